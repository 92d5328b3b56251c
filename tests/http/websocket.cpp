// Frames of RFC 6455: whatever the pieces they arrive in, the same messages or the same refusal.
#include "http/websocket.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace sara::http;
using namespace std::string_literals;

namespace {

/// A client's frame, masked.
std::string frame(unsigned first_byte, std::string_view payload) {
  std::string out(1, static_cast<char>(first_byte));
  auto number = [&](std::size_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
      out += static_cast<char>(value >> shift);
  };
  if (payload.size() <= 125) {
    out += static_cast<char>(0x80 | payload.size());
  } else if (payload.size() <= 0xFFFF) {
    out += static_cast<char>(0x80 | 126);
    number(payload.size(), 2);
  } else {
    out += static_cast<char>(0x80 | 127);
    number(payload.size(), 8);
  }
  constexpr char mask[] = {0x11, 0x7F, 0x03, 0x55};
  out.append(mask, 4);
  for (std::size_t i = 0; i < payload.size(); ++i)
    out += static_cast<char>(payload[i] ^ mask[i % 4]);
  return out;
}

constexpr FrameLimits limits{.message_bytes_max = 1000, .fragments_max = 4};
constexpr unsigned final_text = 0x81, part_of_text = 0x01, part = 0x00, final_part = 0x80;

/// What is read, as "text:hello ping:x", then the close code, if there is one.
std::string read(std::string bytes, std::size_t piece) {
  FrameReader reader;
  std::string out;
  auto handle = [&](Opcode kind, std::string_view payload) {
    constexpr const char* names[] = {"?", "text", "binary", "?", "?",    "?",
                                     "?", "?",    "close",  "ping", "pong"};
    out += (out.empty() ? "" : " ") + std::string(names[static_cast<int>(kind)]) + ":";
    out += payload;
    return true;
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    auto n = std::min(piece, bytes.size() - at);
    auto code = reader.take(bytes.data() + at, n, limits, handle);
    if (code == CloseCode::none) continue;
    return out + (out.empty() ? "" : " ") + std::to_string(static_cast<int>(code));
  }
  return out;
}

std::string verdict(const std::string& bytes) {
  auto whole = read(bytes, bytes.size());
  for (std::size_t piece : {1u, 2u, 3u, 7u}) CHECK(read(bytes, piece) == whole);
  return whole;
}

}  // namespace

TEST_CASE("websocket: messages are the same in whatever pieces they come") {
  CHECK(verdict(frame(final_text, "hello")) == "text:hello");
  CHECK(verdict(frame(final_text, "")) == "text:");
  CHECK(verdict(frame(final_text, "one") + frame(final_text, "two")) == "text:one text:two");
  CHECK(verdict(frame(0x82, "\x00\xFF"s)) == "binary:\x00\xFF"s);
  CHECK(verdict(frame(final_text, std::string(1000, 'x'))) == "text:" + std::string(1000, 'x'));
}

TEST_CASE("websocket: a message in fragments is one, with control frames between") {
  CHECK(verdict(frame(part_of_text, "a") + frame(part, "b") + frame(final_part, "c")) ==
        "text:abc");
  CHECK(verdict(frame(part_of_text, "a") + frame(0x89, "p") + frame(0x8A, "q") +
                frame(final_part, "b") + frame(final_text, "next")) ==
        "ping:p pong:q text:ab text:next");
  // A code point may be cut in two.
  CHECK(verdict(frame(part_of_text, "\xC3") + frame(final_part, "\xA9")) == "text:\xC3\xA9");
}

TEST_CASE("websocket: what the protocol forbids is refused with its code") {
  auto unmasked = "\x81\x02hi"s;
  CHECK(verdict(unmasked) == "1002");
  CHECK(verdict(frame(0xC1, "reserved bit")) == "1002");
  CHECK(verdict(frame(0x83, "reserved kind")) == "1002");
  CHECK(verdict(frame(final_part, "continues nothing")) == "1002");
  CHECK(verdict(frame(part_of_text, "a") + frame(final_text, "another begins")) == "1002");
  CHECK(verdict(frame(0x09, "a ping in fragments")) == "1002");
  CHECK(verdict(frame(0x89, std::string(126, 'x'))) == "1002");
  // A length in more bytes than it needs.
  CHECK(verdict("\x81\xFE\x00\x01\x00\x00\x00\x00x"s) == "1002");
  CHECK(verdict(frame(final_text, "\xFF")) == "1007");
  CHECK(verdict(frame(part_of_text, "\xC3") + frame(final_part, "x")) == "1007");
}

TEST_CASE("websocket: limits hold before the bytes are there") {
  auto too_long = frame(final_text, std::string(1001, 'x'));
  CHECK(verdict(too_long) == "1009");
  CHECK(read(too_long.substr(0, 8), 8) == "1009");
  CHECK(read("\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s, 10) == "1009");
  CHECK(verdict(frame(part_of_text, std::string(600, 'x')) +
                frame(final_part, std::string(401, 'x'))) == "1009");
  std::string crumbs = frame(part_of_text, "");
  for (int i = 0; i < 3; ++i) crumbs += frame(part, "");
  CHECK(verdict(crumbs + frame(final_part, "")) == "1008");
  CHECK(verdict(frame(part_of_text, "a") + frame(part, "b") + frame(final_part, "c") +
                frame(part_of_text, "d") + frame(part, "e") + frame(final_part, "f")) ==
        "text:abc text:def");
}

TEST_CASE("websocket: a handler that has heard enough hears no more") {
  FrameReader reader;
  int heard = 0;
  auto bytes = frame(final_text, "1") + frame(final_text, "2");
  auto stop = [&](Opcode, std::string_view) { return ++heard < 1; };
  CHECK(reader.take(bytes.data(), bytes.size(), limits, stop) == CloseCode::none);
  CHECK(heard == 1);
}

TEST_CASE("websocket: a close is answered with its code, or told that it is none") {
  auto judged = [](std::string_view payload) { return static_cast<int>(judge_close(payload)); };
  CHECK(judged("") == 1000);
  CHECK(judged("\x03\xE8"s) == 1000);
  CHECK(judged("\x03\xE9going"s) == 1001);
  CHECK(judged("\x0F\xA0") == 4000);
  for (auto bad : {"\x03"s, "\x03\xE7"s, "\x03\xEC"s, "\x03\xED"s, "\x03\xEE"s, "\x03\xF7"s,
                   "\x13\x88"s, "\x03\xE8\xFF"s})
    CHECK(judged(bad) == 1002);
}

TEST_CASE("websocket: frames of the server carry their length in as few bytes as it needs") {
  auto head = [](std::size_t size) {
    std::string out;
    append_frame_head(out, Opcode::text, size);
    return out;
  };
  CHECK(head(0) == "\x81\x00"s);
  CHECK(head(125) == "\x81\x7D"s);
  CHECK(head(126) == "\x81\x7E\x00\x7E"s);
  CHECK(head(65'535) == "\x81\x7E\xFF\xFF"s);
  CHECK(head(65'536) == "\x81\x7F\x00\x00\x00\x00\x00\x01\x00\x00"s);
  std::string out;
  append_close(out, CloseCode::going_away, "bye");
  CHECK(out == "\x88\x05\x03\xE9" "bye"s);
}
