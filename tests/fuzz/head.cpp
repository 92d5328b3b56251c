// The head of a request: what is accepted has one meaning. Arrived in one piece or byte by byte it
// is the same head, its framing is sane, and Beast, where it accepts it too, understands the same.
#include "http/head.hpp"

#include <algorithm>
#include <boost/beast/http.hpp>
#include <string>

#include "base/text.hpp"
#include "http/request_form.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;
using Progress = http::HeadReader::Progress;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

void demand_path(const http::Head& head) {
  if (head.path == "*") {
    demand(head.method == "OPTIONS", "a star for another method");
    return;
  }
  demand(head.path.starts_with("/") && !head.path.starts_with("//"), "a path without its slash");
  demand(text::valid_utf8(head.path), "a path that is not UTF-8");
  demand(std::none_of(head.path.begin(), head.path.end(), is_control), "a control in a path");
  demand(head.path.find('\\') == std::string::npos, "a backslash in a path");
  std::string_view rest = head.path;
  while (!rest.empty()) {
    const auto segment = rest.substr(0, rest.find('/'));
    demand(segment != "." && segment != "..", "a dot segment in a path");
    rest.remove_prefix(std::min(segment.size() + 1, rest.size()));
  }
}

void demand_framing(const http::Head& head) {
  std::size_t hosts = 0;
  std::size_t lengths = 0;
  std::size_t codings = 0;
  for (const auto& [name, value] : head.fields) {
    demand(!name.empty() && std::none_of(name.begin(), name.end(), is_control), "a field's name");
    demand(value.find_first_of(std::string_view("\r\n\0", 3)) == value.npos, "a field's value");
    if (text::equal_ignoring_case(name, "host")) ++hosts;
    if (text::equal_ignoring_case(name, "content-length")) {
      ++lengths;
      demand(value == std::to_string(head.content_length), "another length than was sent");
    }
    if (text::equal_ignoring_case(name, "transfer-encoding")) {
      ++codings;
      demand(value == "chunked", "a coding that is not chunked");
    }
  }
  demand(hosts == 1, "not one Host");
  demand(lengths + codings <= 1, "two framings");
  demand(head.chunked == (codings == 1), "chunked, or not");
  demand(head.content_length == 0 || lengths == 1, "a length that nobody sent");
}

void demand_sound(std::string_view bytes, const http::Head& head) {
  demand(bytes.size() <= http::target_bytes_max + 64 + http::field_section_bytes_max + 2,
         "a head over its limit");
  demand(head.fields.size() <= http::fields_max, "too many fields");
  demand(head.target.size() <= http::target_bytes_max, "a target over its limit");
  demand_path(head);
  demand_framing(head);
  for (const auto& [name, value] : head.query)
    demand(text::valid_utf8(name) && text::valid_utf8(value), "a query that is not UTF-8");
}

void compare_with_beast(std::string_view bytes, const http::Head& head) {
  namespace beast = boost::beast::http;
  beast::request_parser<beast::empty_body> theirs;
  theirs.header_limit(64 * 1024);
  theirs.body_limit(boost::none);
  boost::system::error_code error;
  theirs.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (error || !theirs.is_header_done()) return;
  const auto& request = theirs.get();
  demand(request.method_string() == boost::beast::string_view(head.method), "another method");
  demand(request.target() == boost::beast::string_view(head.target), "another target");
  demand(theirs.chunked() == head.chunked, "another coding");
  if (!head.chunked)
    demand(theirs.content_length().value_or(0) == head.content_length, "another length");
  demand(
      static_cast<std::size_t>(std::distance(request.begin(), request.end())) == head.fields.size(),
      "another number of fields");
}

/// The checks behind a good head.
void admit(const http::Head& head) {
  http::Request request;
  for (const auto& [name, value] : head.fields) {
    request.headers.emplace_back(text::lower_ascii(name), value);
    if (const auto token = http::bearer_token(value))
      demand(token->find_first_of(" \t,;\"") == token->npos, "a credential with a separator");
    http::is_json(value);
    http::lists_token(value, "upgrade");
    demand(!http::is_request_id(value) || value.size() <= 64, "a request id that is too long");
  }
  http::judge_handshake(request, head.upgrade);
  http::has_credential(head.query);
}

Progress read(std::string_view bytes, std::size_t step, http::HeadReader& reader) {
  auto progress = Progress::more;
  for (std::size_t n = 0; n < bytes.size() && progress == Progress::more;) {
    n = std::min(n + step, bytes.size());
    progress = reader.feed(bytes.substr(0, n));
  }
  demand((progress == Progress::refused) == reader.refusal().has_value(), "refused without a why");
  return progress;
}

void attack(std::string_view bytes) {
  http::HeadReader whole;
  http::HeadReader pieces;
  const auto progress = read(bytes, bytes.size(), whole);
  demand(progress == read(bytes, bytes.size() > 4096 ? 61 : 1, pieces), "in pieces another end");
  if (progress == Progress::refused) demand(whole.refusal()->close, "a broken stream is trusted");
  if (progress != Progress::complete) return;
  demand(whole.size() == pieces.size(), "in pieces another size");
  demand(whole.size() <= bytes.size(), "a head longer than its bytes");
  const auto mine = bytes.substr(0, whole.size());
  http::Head head;
  if (http::judge(mine, head)) return;
  demand_sound(mine, head);
  compare_with_beast(mine, head);
  admit(head);
}

[[maybe_unused]] const bool added = fuzz::add_target("head", attack);

}  // namespace
