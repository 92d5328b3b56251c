#include "http/chunk.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sara::http;
using namespace std::string_literals;

namespace {

std::string state_of(const ChunkReader& reader) {
  if (reader.refusal()) return std::string{problem_type(reader.refusal()->problem).type};
  return reader.done() ? "done" : "more";
}

std::string verdict(std::string_view bytes, std::string* body = nullptr) {
  ChunkReader reader{1000};
  std::string out;
  reader.read(bytes, out);
  if (body) *body = out;
  return state_of(reader);
}

/// As it arrives byte by byte: what was not used is given again.
std::string slow_verdict(std::string_view bytes, std::string* body = nullptr) {
  ChunkReader reader{1000};
  std::string out;
  std::string waiting;
  for (const char c : bytes) {
    waiting.push_back(c);
    waiting.erase(0, reader.read(waiting, out));
    if (state_of(reader) != "more") break;
  }
  if (body) *body = out;
  return state_of(reader);
}

}  // namespace

TEST_CASE("chunk: what is well-formed becomes the body") {
  struct Case {
    std::string bytes;
    std::string body;
  };
  const std::vector<Case> cases{
      {"0\r\n\r\n", ""},
      {"000\r\n\r\n", ""},
      {"5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"5;name=value\r\nhello\r\n0\r\n\r\n", "hello"},
      {"5; name=\"v\"\r\nhello\r\n0;x\r\n\r\n", "hello"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
      {"0\r\nDigest: abc\r\nA: b\r\n\r\n", ""},
      {"3E8\r\n" + std::string(1000, 'x') + "\r\n0\r\n\r\n", std::string(1000, 'x')},
  };
  for (const auto& [bytes, body] : cases) {
    CAPTURE(bytes);
    std::string fast;
    std::string slow;
    CHECK(verdict(bytes, &fast) == "done");
    CHECK(slow_verdict(bytes, &slow) == "done");
    CHECK(fast == body);
    CHECK(slow == body);
  }
}

TEST_CASE("chunk: what is behind the body stays where it is") {
  const auto body = "5\r\nhello\r\n0\r\n\r\n"s;
  ChunkReader reader{1000};
  std::string out;
  CHECK(reader.read(body + "GET / HTTP/1.1\r\n", out) == body.size());
  CHECK(reader.done());
}

TEST_CASE("chunk: anything odd ends the connection") {
  const std::vector<std::string> cases{
      "\r\n",
      "x\r\n",
      "-5\r\nhello\r\n",
      "+5\r\nhello\r\n",
      " 5\r\nhello\r\n",
      "5 \r\nhello\r\n",
      "0x5\r\nhello\r\n",
      "5\nhello\n0\n\n",
      "5\r\nhello\n0\r\n\r\n",
      "5\rhello\r\n0\r\n\r\n\n",
      "5\r\nhello0\r\n\r\n",
      "5\r\nhello!\r\n0\r\n\r\n",
      "4\r\nhello\r\n0\r\n\r\n",
      "6\r\nhello\r\n0\r\n\r\n",
      "5\r\nhello\r\n\r\n",
      "5\r\nhello\r\n;\r\n\r\n",
      "5;a\rb\r\nhello\r\n",
      "5;\x01\r\nhello\r\n",
      "5;\xc3\xa9\r\nhello\r\n",
      "5,5\r\nhello\r\n",
      "5\t\r\nhello\r\n",
      "FFFFFFFFFFFFFFFF\r\n",
      "10000000000000000\r\n",
      "00000000000000005\r\nhello\r\n",
      "5;" + std::string(300, 'a') + "\r\nhello\r\n",
      std::string(300, '0'),
      "5;" + std::string(300, 'a'),
      "0\r\nA : b\r\n\r\n",
      "0\r\n A: b\r\n\r\n",
      "0\r\nnonsense\r\n\r\n",
      "0\r\nA: b\n\r\n",
      "0\r\nA: b\0\r\n\r\n"s,
      "0\r\n\n",
      "5\0\r\nhello\r\n"s,
  };
  for (const auto& bytes : cases) {
    CAPTURE(bytes);
    CHECK(verdict(bytes) == "bad-framing");
    CHECK(slow_verdict(bytes) == "bad-framing");
  }
}

TEST_CASE("chunk: sizes are bounded, and known before the bytes come") {
  CHECK(verdict("3E9\r\n") == "content-too-large");
  CHECK(verdict("FFFFFFFFFFFFFFF\r\n") == "content-too-large");
  CHECK(verdict("3E7\r\n" + std::string(999, 'x') + "\r\n2\r\n") == "content-too-large");
  CHECK(verdict("0\r\nA: " + std::string(1100, 'x') + "\r\n\r\n") == "headers-too-large");
  CHECK(verdict("0\r\nA: " + std::string(1100, 'x')) == "headers-too-large");
  std::string many = "0\r\n";
  for (int i = 0; i < 300; ++i) many += "A: b\r\n";
  CHECK(verdict(many) == "headers-too-large");
}

TEST_CASE("chunk: an unfinished body is never done") {
  const auto whole = "5\r\nhello\r\n0\r\nA: b\r\n\r\n"s;
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK(verdict(whole.substr(0, n)) == "more");
  CHECK(verdict(whole) == "done");
}
