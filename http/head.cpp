#include "http/head.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace sara::http {

namespace {

using Verdict = std::optional<Refusal>;

Refusal close_with(Problem problem, std::string_view detail) {
  return {problem, detail, true};
}
Refusal refuse_with(Problem problem, std::string_view detail) {
  return {problem, detail, false};
}

// --- Characters -----------------------------------------------------------------------------

enum : std::uint8_t { token_char = 1, value_char = 2, host_char = 4 };

constexpr auto make_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    unsigned bits = 0;
    if (alnum || (c < 128 && std::string_view{"!#$%&'*+-.^_`|~"}.find(static_cast<char>(c)) !=
                                 std::string_view::npos)) {
      bits |= token_char;
    }
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) bits |= value_char;
    if (alnum || c == '-' || c == '.' || c == '_') bits |= host_char;
    classes[c] = static_cast<std::uint8_t>(bits);
  }
  return classes;
}
constexpr auto classes = make_classes();

bool is(char c, std::uint8_t kind) {
  return (classes[static_cast<unsigned char>(c)] & kind) != 0;
}
bool all(std::string_view s, std::uint8_t kind) {
  return std::all_of(s.begin(), s.end(), [kind](char c) { return is(c, kind); });
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool all_digits(std::string_view s) {
  return std::all_of(s.begin(), s.end(), is_digit);
}
bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view trim_blanks(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

// --- Request line ---------------------------------------------------------------------------

struct RequestLine {
  std::string_view method;
  std::string_view target;
  bool version_1_0 = false;
};

bool is_known_method(std::string_view method) {
  static constexpr std::array<std::string_view, 7> known{"GET",  "POST",   "PATCH",  "PUT",
                                                         "HEAD", "DELETE", "OPTIONS"};
  return std::find(known.begin(), known.end(), method) != known.end();
}

Verdict judge_version(std::string_view version, bool& version_1_0) {
  if (version == "HTTP/1.1") return {};
  if (version == "HTTP/1.0") {
    version_1_0 = true;
    return {};
  }
  if (version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
      version[6] == '.' && is_digit(version[7])) {
    return close_with(Problem::http_version, "");
  }
  return close_with(Problem::bad_request, "The request line names no HTTP version.");
}

Verdict judge_request_line(std::string_view line, RequestLine& out) {
  const auto first = line.find(' ');
  out.method = line.substr(0, first);
  if (out.method.empty() || !all(out.method, token_char)) {
    return close_with(Problem::bad_request, "The request line begins with a method.");
  }
  if (first == line.npos) {
    return close_with(Problem::bad_request, "The request line has three parts.");
  }
  const auto behind = line.substr(first + 1);
  const auto second = behind.find(' ');
  out.target = behind.substr(0, second);
  if (out.target.empty() || std::any_of(out.target.begin(), out.target.end(), is_control)) {
    return close_with(Problem::bad_request, "The request line holds a stray character.");
  }
  if (out.target.size() > target_bytes_max) return close_with(Problem::uri_too_long, "");
  // Version 0.9 has a request line of two parts.
  if (second == behind.npos) return close_with(Problem::http_version, "");
  return judge_version(behind.substr(second + 1), out.version_1_0);
}

// --- Target ---------------------------------------------------------------------------------

Refusal bad_target(std::string_view detail) {
  return refuse_with(Problem::bad_target, detail);
}

Verdict judge_target_characters(std::string_view target) {
  for (std::size_t i = 0; i < target.size(); ++i) {
    const char c = target[i];
    if (static_cast<unsigned char>(c) >= 0x80) {
      return bad_target("Percent-encode what is not ASCII.");
    }
    if (c == '#') return bad_target("A request target has no fragment.");
    if (c == '\\') return bad_target("A request target has no backslash.");
    if (c != '%') continue;
    const int high = i + 2 < target.size() ? hex_value(target[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(target[i + 2]) : -1;
    if (low < 0) return bad_target("A percent sign is followed by two hexadecimal digits.");
    if (high == 0 && low == 0) return bad_target("A request target has no NUL.");
    i += 2;
  }
  return {};
}

bool has_dot_segment(std::string_view path) {
  for (auto dot = path.find("/."); dot != path.npos; dot = path.find("/.", dot + 1)) {
    const auto rest = path.substr(dot + 2);
    if (rest.empty() || rest[0] == '/' || rest == "." || rest.starts_with("./")) return true;
  }
  return false;
}

Verdict judge_path(std::string_view raw, std::string& path) {
  path.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    if (c == '%') {
      c = static_cast<char>(hex_value(raw[i + 1]) * 16 + hex_value(raw[i + 2]));
      i += 2;
      if (c == '/' || c == '\\') return bad_target("A path has no encoded slash or backslash.");
      if (is_control(c)) return bad_target("A path has no control characters.");
    }
    path.push_back(c);
  }
  if (path.starts_with("//")) return bad_target("A path begins with one slash.");
  if (has_dot_segment(path)) return bad_target("A path has no dot segments.");
  if (!text::valid_utf8(path)) return bad_target("A path is UTF-8.");
  return {};
}

/// The absolute form names the host again: then both must say the same.
Verdict strip_authority(std::string_view& target, std::string_view host) {
  const auto scheme_end = target.find("://");
  const auto scheme = target.substr(0, scheme_end);
  if (scheme_end == target.npos ||
      !(text::equal_ignoring_case(scheme, "http") || text::equal_ignoring_case(scheme, "https"))) {
    return bad_target("A request target is a path.");
  }
  target.remove_prefix(scheme_end + 3);
  const auto authority = target.substr(0, target.find_first_of("/?"));
  if (!text::equal_ignoring_case(authority, host)) {
    return bad_target("The target's authority is not the Host header's.");
  }
  target.remove_prefix(authority.size());
  return {};
}

Verdict judge_target(std::string_view host, Head& head) {
  auto target = head.target;
  if (auto refusal = judge_target_characters(target)) return refusal;
  if (target == "*" && head.method == "OPTIONS") {
    head.path.assign(1, '*');
    return {};
  }
  if (target[0] != '/') {
    if (auto refusal = strip_authority(target, host)) return refusal;
  }
  const auto mark = target.find('?');
  auto raw_path = target.substr(0, mark);
  if (raw_path.empty()) raw_path = "/";  // Only behind an authority.
  if (auto refusal = judge_path(raw_path, head.path)) {
    head.path.clear();
    return refusal;
  }
  if (mark == target.npos) return {};
  head.raw_query = target.substr(mark + 1);
  auto query = text::parse_form(head.raw_query);
  if (!query) return bad_target("A query is percent-encoded UTF-8.");
  head.query = std::move(*query);
  return {};
}

// --- Fields ---------------------------------------------------------------------------------

bool is_port(std::string_view port) {
  if (port.empty() || port.size() > 5 || !all_digits(port)) return false;
  unsigned value = 0;
  for (const char c : port) value = value * 10 + static_cast<unsigned>(c - '0');
  return value >= 1 && value <= 65535;
}

bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 261) return false;
  std::string_view port;
  if (host.front() == '[') {
    const auto end = host.find(']');
    if (end == host.npos) return false;
    const std::string address{host.substr(1, end - 1)};
    in6_addr parsed{};
    if (inet_pton(AF_INET6, address.c_str(), &parsed) != 1) return false;
    port = host.substr(end + 1);
  } else {
    const auto colon = host.find(':');
    const auto name = host.substr(0, colon);
    if (colon != host.npos) port = host.substr(colon);
    if (name.empty() || name.front() == '.' || !all(name, host_char)) return false;
    if (name.find("..") != name.npos) return false;
  }
  return port.empty() || (port.front() == ':' && is_port(port.substr(1)));
}

/// What decides where the body ends, gathered while the fields go by.
struct Framing {
  unsigned lengths = 0;
  unsigned codings = 0;
  std::string_view length;
  std::string_view coding;
};

Verdict judge_framing(const Framing& framing, bool version_1_0, Head& head) {
  if (framing.codings > 0) {
    if (version_1_0) {
      return close_with(Problem::bad_framing, "HTTP/1.0 has no Transfer-Encoding.");
    }
    if (framing.lengths > 0) {
      return close_with(Problem::bad_framing,
                        "Send Content-Length or Transfer-Encoding, not both.");
    }
    if (framing.codings > 1 || framing.coding != "chunked") {
      return close_with(Problem::bad_framing, "The only Transfer-Encoding is: chunked");
    }
    head.chunked = true;
    return {};
  }
  if (framing.lengths == 0) return {};
  const auto digits = framing.length;
  // 18 digits fit 64 bits; a longer number is an attack, not a body.
  if (framing.lengths > 1 || digits.empty() || digits.size() > 18 || !all_digits(digits) ||
      (digits.size() > 1 && digits[0] == '0')) {
    return close_with(Problem::bad_framing, "Content-Length is one plain decimal number.");
  }
  for (const char c : digits) {
    head.content_length = head.content_length * 10 + static_cast<unsigned>(c - '0');
  }
  return {};
}

struct Noted {
  Framing framing;
  unsigned hosts = 0;
  std::string_view host;
  bool other_expectation = false;
};

/// The fields that the edge itself acts on. Told apart by length first: most fields are none of
/// them.
void note(const Field& field, Head& head, Noted& noted) {
  const auto named = [&](std::string_view name) {
    return text::equal_ignoring_case(field.name, name);
  };
  switch (field.name.size()) {
    case 4:
      if (named("host")) {
        ++noted.hosts;
        noted.host = field.value;
      }
      break;
    case 6:
      if (named("expect")) {
        const bool usual = text::equal_ignoring_case(field.value, "100-continue");
        (usual ? head.expect_continue : noted.other_expectation) = true;
      }
      break;
    case 10:
      if (named("connection")) {
        head.close = head.close || lists_token(field.value, "close");
        head.upgrade = head.upgrade || lists_token(field.value, "upgrade");
      }
      break;
    case 12:
      if (named("content-type")) ++head.content_types;
      break;
    case 13:
      if (named("authorization")) ++head.authorizations;
      break;
    case 14:
      if (named("content-length")) {
        ++noted.framing.lengths;
        noted.framing.length = field.value;
      }
      break;
    case 17:
      if (named("transfer-encoding")) {
        ++noted.framing.codings;
        noted.framing.coding = field.value;
      }
      break;
    default:
      break;
  }
}

Verdict judge_fields(std::string_view section, Head& head, Noted& noted) {
  if (section.size() > field_section_bytes_max) return close_with(Problem::headers_too_large, "");
  while (!section.empty()) {
    const auto end = section.find("\r\n");
    if (end == section.npos) return close_with(Problem::bad_request, "A header line has no end.");
    Field field;
    if (auto refusal = judge_field(section.substr(0, end), field)) return refusal;
    if (head.fields.size() == fields_max) return close_with(Problem::headers_too_large, "");
    head.fields.push_back(field);
    note(field, head, noted);
    section.remove_prefix(end + 2);
  }
  return {};
}

void clear(Head& head) {
  auto fields = std::move(head.fields);
  auto path = std::move(head.path);
  fields.clear();
  path.clear();
  head = Head{};
  head.fields = std::move(fields);
  head.path = std::move(path);
}

}  // namespace

std::optional<Refusal> judge_field(std::string_view line, Field& field) {
  std::size_t end = 0;
  while (end < line.size() && is(line[end], token_char)) ++end;
  if (end == 0 || end == line.size() || line[end] != ':') {
    return close_with(Problem::bad_request,
                      "A header line is a name, a colon right behind it, and a value.");
  }
  field.name = line.substr(0, end);
  field.value = trim_blanks(line.substr(end + 1));
  if (!all(field.value, value_char)) {
    return close_with(Problem::bad_request, "A header value has no control characters.");
  }
  return {};
}

bool lists_token(std::string_view list, std::string_view lower_case_token) {
  for (;;) {
    const auto comma = list.find(',');
    if (text::equal_ignoring_case(trim_blanks(list.substr(0, comma)), lower_case_token)) {
      return true;
    }
    if (comma == list.npos) return false;
    list.remove_prefix(comma + 1);
  }
}

// The order matters: first all that makes the bytes behind this head untrustworthy (these close the
// connection), then what only this request has got wrong.
std::optional<Refusal> judge(std::string_view bytes, Head& head) {
  clear(head);
  if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);  // RFC 9112, 2.2: one is forgiven.
  const auto line_end = bytes.find("\r\n");
  if (line_end == bytes.npos || !bytes.ends_with("\r\n\r\n")) {
    return close_with(Problem::bad_request, "The head is not complete.");
  }
  RequestLine line;
  if (auto refusal = judge_request_line(bytes.substr(0, line_end), line)) return refusal;
  head.method = line.method;
  head.target = line.target;

  Noted noted;
  const auto section = bytes.substr(line_end + 2, bytes.size() - line_end - 4);
  if (auto refusal = judge_fields(section, head, noted)) return refusal;
  if (auto refusal = judge_framing(noted.framing, line.version_1_0, head)) return refusal;
  if (line.version_1_0) return close_with(Problem::http_version, "");
  if (noted.hosts != 1 || !is_host(noted.host)) return close_with(Problem::bad_host, "");

  if (!is_known_method(head.method)) return refuse_with(Problem::method_unknown, "");
  if (auto refusal = judge_target(noted.host, head)) return refusal;
  // Whoever waits for an answer to this may never send its body.
  if (noted.other_expectation) return close_with(Problem::expectation, "");
  return {};
}

HeadReader::Progress HeadReader::refuse(Problem problem, std::string_view detail) {
  refusal_ = close_with(problem, detail);
  return Progress::refused;
}

HeadReader::Progress HeadReader::feed(std::string_view bytes) {
  if (fields_begin_ == 0 && line_ == 0 && bytes.starts_with("\r\n")) line_ = scanned_ = 2;
  for (;;) {
    const auto found = bytes.find('\n', scanned_);
    const auto end = std::min(found, bytes.size());
    const bool in_request_line = fields_begin_ == 0;
    if (in_request_line ? end - line_ > target_bytes_max + 64
                        : end - fields_begin_ > field_section_bytes_max) {
      return refuse(in_request_line ? Problem::uri_too_long : Problem::headers_too_large, "");
    }
    if (in_request_line && end > line_ && !is(bytes[line_], token_char) &&
        !(bytes[line_] == '\r' && line_ == 0)) {
      return refuse(Problem::bad_request, "The request line begins with a method.");
    }
    if (found == bytes.npos) {
      const auto tail = bytes.substr(scanned_);
      const auto stray = tail.find('\r');
      if (stray != tail.npos && stray + 1 != tail.size()) {
        return refuse(Problem::bad_request, "A line ends with CR and LF.");
      }
      // A CR at the very end is looked at again, together with what follows it.
      scanned_ = stray == tail.npos ? bytes.size() : bytes.size() - 1;
      return Progress::more;
    }
    const auto line = bytes.substr(line_, bytes.find('\r', line_) - line_);
    if (line_ + line.size() + 1 != end) {
      return refuse(Problem::bad_request, "A line ends with CR and LF.");
    }
    line_ = scanned_ = end + 1;
    if (in_request_line) {
      // A request line that is wrong by itself may be all that ever comes (version 0.9).
      RequestLine parsed;
      if (line.find(" HTTP/1.") == line.npos) {
        refusal_ = judge_request_line(line, parsed);
        if (refusal_) return Progress::refused;
      }
      fields_begin_ = line_;
    } else if (line.empty()) {
      return Progress::complete;
    } else if (++fields_ > fields_max) {
      return refuse(Problem::headers_too_large, "");
    }
  }
}

}  // namespace sara::http
