// Request targets, queries and forms: percent-encoding in and out.
#include <algorithm>
#include <string>

#include "base/text.hpp"
#include "http/head.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;

/// A target between a good method and a good Host. Refused as a target, never as a broken head.
void attack_target(std::string_view bytes) {
  const std::string sent = "GET " + std::string(bytes) + " HTTP/1.1\r\nHost: example.com\r\n\r\n";
  http::Head head;
  if (http::judge(sent, head)) return;
  demand(head.target == bytes, "another target");
  demand(head.fields.size() == 1 && head.content_length == 0, "a target that brings fields along");
  demand(head.path.starts_with('/') && !head.path.starts_with("//"), "a path without its slash");
  demand(text::valid_utf8(head.path), "a path that is not UTF-8");
  demand(("/" + head.path + "/").find("/../") == std::string::npos, "a path that climbs");
  // An encoded path means the same again: nothing is decoded twice.
  const std::string again = "GET " + [&] {
    std::string out;
    for (const char c : head.path) out += c == '/' ? "/" : text::percent_encode({&c, 1});
    return out;
  }() + " HTTP/1.1\r\nHost: example.com\r\n\r\n";
  http::Head second;
  demand(!http::judge(again, second) && second.path == head.path, "a path changes when it is sent");
}

void attack_form(std::string_view bytes) {
  const auto pairs = text::parse_form(bytes);
  if (!pairs) return;
  std::string written;
  for (const auto& [name, value] : *pairs) {
    demand(text::valid_utf8(name) && text::valid_utf8(value), "a form that is not UTF-8");
    if (!written.empty()) written += '&';
    written += text::percent_encode(name) + '=' + text::percent_encode(value);
  }
  const auto again = text::parse_form(written);
  demand(again && *again == *pairs, "a form changes when it is sent");
}

void attack(std::string_view bytes) {
  attack_target(bytes);
  attack_form(bytes);
  for (const bool plus : {true, false}) {
    const auto decoded = text::percent_decode(bytes, plus);
    demand(!decoded || decoded->size() <= bytes.size(), "decoded to more");
    const auto back = text::percent_decode(text::percent_encode(bytes), plus);
    demand(back && *back == bytes, "encoded and decoded to something else");
  }
}

[[maybe_unused]] const bool added = fuzz::add_target("query", attack);

}  // namespace
