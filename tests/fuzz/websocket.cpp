// A client's frames: however they are cut on their way, the same messages or the same refusal, and
// none over its limit.
#include "http/websocket.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;
using http::CloseCode;
using http::Opcode;

constexpr http::FrameLimits limits{.message_bytes_max = 300, .fragments_max = 4};

struct Read {
  std::string heard;  ///< kind and payload of each
  CloseCode code = CloseCode::none;

  bool operator==(const Read&) const = default;
};

void demand_message(Opcode kind, std::string_view payload) {
  const bool control = static_cast<unsigned>(kind) >= 8;
  demand(kind != Opcode::continuation, "a fragment is no message");
  demand(payload.size() <= (control ? 125 : limits.message_bytes_max), "over its limit");
  demand(kind != Opcode::text || text::valid_utf8(payload), "a text that is not UTF-8");
  if (kind != Opcode::close) return;
  const auto answer = http::judge_close(payload);
  demand(answer != CloseCode::none, "a close without an answer");
  std::string out;
  http::append_close(out, answer, payload.substr(std::min<std::size_t>(2, payload.size())));
  demand(out.size() <= 127, "a control frame that is too long");
}

template <class NextSize>
Read read(std::string bytes, NextSize next_size) {
  http::FrameReader reader;
  Read out;
  const auto handle = [&](Opcode kind, std::string_view payload) {
    demand_message(kind, payload);
    out.heard += std::to_string(static_cast<int>(kind)) + ":" + std::string(payload) + "\n";
    return true;
  };
  for (std::size_t at = 0; at < bytes.size() && out.code == CloseCode::none;) {
    const auto size = std::min<std::size_t>(next_size(), bytes.size() - at);
    // A buffer of its own, so that a sanitizer sees who reads or writes behind its end.
    std::vector<char> piece(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                            bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
    out.code = reader.take(piece.data(), piece.size(), limits, handle);
    at += size;
  }
  return out;
}

void attack(std::string_view bytes) {
  const std::string all(bytes);
  const auto whole = read(all, [&] { return all.size(); });
  const auto single = read(all, [] { return std::size_t{1}; });
  std::uint32_t state = static_cast<std::uint32_t>(all.size());
  const auto mixed = read(all, [&] {
    state = state * 1664525 + 1013904223;
    return std::size_t{1 + (state >> 24) % 40};
  });
  demand(whole == single, "byte for byte, they are other messages");
  demand(whole == mixed, "in other pieces, they are other messages");

  // What a client sends well is heard as it was sent; a mask of zeros leaves it as it is.
  const auto payload = bytes.substr(0, 125);
  std::string sent{'\x82', static_cast<char>(0x80 | payload.size())};
  sent += std::string(4, '\0');
  sent += payload;
  const auto heard = read(sent, [] { return std::size_t{11}; });
  demand(heard.code == CloseCode::none && heard.heard == "2:" + std::string(payload) + "\n",
         "a good message is not heard as it was sent");
}

[[maybe_unused]] const bool added = fuzz::add_target("websocket", attack);

}  // namespace
