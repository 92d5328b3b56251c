// The chunked coding: however the bytes are cut on their way, the body is the same.
#include "http/chunk.hpp"

#include <algorithm>
#include <string>

#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;

constexpr std::uint64_t body_bytes_max = 600;

struct Read {
  bool done = false;
  std::optional<http::Problem> problem;
  std::string body;
  std::size_t used = 0;

  bool operator==(const Read&) const = default;
};

/// As a session reads: pieces of the sizes that `next_size` gives, what was not used comes again.
template <class NextSize>
Read read(std::string_view bytes, NextSize next_size) {
  http::ChunkReader reader(body_bytes_max);
  Read out;
  std::size_t arrived = 0;
  while (!reader.done() && !reader.refusal() && arrived < bytes.size()) {
    arrived += std::min<std::size_t>(next_size(), bytes.size() - arrived);
    const auto waiting = bytes.substr(out.used, arrived - out.used);
    const auto used = reader.read(waiting, out.body);
    demand(used <= waiting.size(), "more used than there was");
    out.used += used;
  }
  out.done = reader.done();
  if (reader.refusal()) {
    demand(reader.refusal()->close, "a connection is trusted after bad framing");
    out.problem = reader.refusal()->problem;
    out.body.clear();
    out.used = 0;
  }
  demand(!out.done || !out.problem, "done and refused");
  demand(out.body.size() <= body_bytes_max, "a body over its limit");
  return out;
}

/// The bytes as somebody would send them, in chunks of up to 7 bytes.
std::string in_chunks(std::string_view body) {
  std::string out;
  while (!body.empty()) {
    const auto piece = body.substr(0, 1 + body.size() % 7);
    out += std::to_string(piece.size()) + ";x=\"y\"\r\n";
    out += piece;
    out += "\r\n";
    body.remove_prefix(piece.size());
  }
  return out + "0\r\nTrailer: x\r\n\r\n";
}

void attack(std::string_view bytes) {
  const auto whole = read(bytes, [&] { return bytes.size(); });
  const auto single = read(bytes, [] { return std::size_t{1}; });
  std::uint32_t state = static_cast<std::uint32_t>(bytes.size());
  const auto mixed = read(bytes, [&] {
    state = state * 1664525 + 1013904223;
    return std::size_t{1 + (state >> 24) % 40};
  });
  demand(whole == single, "byte for byte, it is another body");
  demand(whole == mixed, "in other pieces, it is another body");

  const auto body = bytes.substr(0, body_bytes_max);
  const auto sent = in_chunks(body) + "GET / HTTP/1.1\r\n";
  const auto received = read(sent, [] { return std::size_t{11}; });
  demand(received.done && received.body == body, "a good body is not read as it was sent");
  demand(sent.substr(received.used).starts_with("GET"), "the next request's bytes are touched");
}

[[maybe_unused]] const bool added = fuzz::add_target("chunk", attack);

}  // namespace
