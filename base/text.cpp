// Text as bytes: every function here is total, whatever it is fed.
#include "base/text.hpp"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace sara::text {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Length of the valid UTF-8 sequence at the front of `s`, or 0. source: RFC 3629, section 4
std::size_t sequence_length(std::string_view s) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto tail = [&](std::size_t i) { return i < s.size() && (at(i) & 0xC0) == 0x80; };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  if (c < 0xC2 || !tail(1)) return 0;
  if (c < 0xE0) return 2;
  if (!tail(2)) return 0;
  if (c < 0xF0) {
    const bool overlong = c == 0xE0 && at(1) < 0xA0;
    const bool surrogate = c == 0xED && at(1) > 0x9F;
    return overlong || surrogate ? 0 : 3;
  }
  if (c > 0xF4 || !tail(3)) return 0;
  const bool overlong = c == 0xF0 && at(1) < 0x90;
  const bool above = c == 0xF4 && at(1) > 0x8F;
  return overlong || above ? 0 : 4;
}

/// How many bytes at the front are ASCII for sure; eight are looked at in a step.
std::size_t ascii_run(std::string_view s) {
  std::size_t i = 0;
  for (; i + 8 <= s.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, s.data() + i, 8);
    if ((word & 0x8080'8080'8080'8080ull) != 0) break;
  }
  return i;
}

std::string repaired(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  while (!s.empty()) {
    const std::size_t n = sequence_length(s);
    out += n == 0 ? replacement : s.substr(0, n);
    s.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

/// The charset's name as iconv may see it: no "//TRANSLIT" or "//IGNORE" can be smuggled in.
std::string clean_charset(std::string_view charset) {
  std::string name = lower_ascii(trim(charset));
  if (name.size() > 40) return {};
  for (const char c : name) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                      c == '.' || c == ':' || c == '+';
    if (!fine) return {};
  }
  // Mail that says Latin-1 means windows-1252: it differs only where Latin-1 has control codes.
  if (name == "iso-8859-1" || name == "latin1" || name == "iso8859-1" || name == "iso_8859-1")
    return "windows-1252";
  return name;
}

std::size_t unit_bytes(std::string_view name) {
  if (name.starts_with("utf-16") || name.starts_with("utf16") || name.starts_with("ucs-2"))
    return 2;
  if (name.starts_with("utf-32") || name.starts_with("utf32") || name.starts_with("ucs-4"))
    return 4;
  return 1;
}

struct Converter {
  iconv_t handle;
  explicit Converter(const std::string& from) : handle(iconv_open("UTF-8", from.c_str())) {}
  ~Converter() {
    if (usable()) iconv_close(handle);
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;
  // iconv reports failure as (iconv_t)-1, which is no pointer of ours to compare with nullptr.
  bool usable() const { return reinterpret_cast<std::intptr_t>(handle) != -1; }
};

std::string convert(Converter& converter, std::string_view bytes, std::size_t unit) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  std::array<char, 2048> room;
  // iconv takes a char**, but it never writes to its input.
  char* in = const_cast<char*>(bytes.data());
  std::size_t left = bytes.size();
  for (;;) {
    char* to = room.data();
    std::size_t space = room.size();
    const std::size_t done = left > 0 ? iconv(converter.handle, &in, &left, &to, &space)
                                      : iconv(converter.handle, nullptr, nullptr, &to, &space);
    const int why = done == static_cast<std::size_t>(-1) ? errno : 0;
    const bool was_flush = left == 0 && why == 0;
    out.append(room.data(), room.size() - space);
    if (why == EILSEQ) {
      out += replacement;
      const std::size_t skip = std::min(unit, left);
      in += skip;
      left -= skip;
    } else if (why == EINVAL) {
      out += replacement;
      left = 0;
    } else if (was_flush) {
      return out;
    } else if (why != 0 && why != E2BIG) {
      return out;
    }
  }
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

/// Appends the decoded text. False: a percent sign without two hex digits.
bool decode_into(std::string& out, std::string_view s, bool plus_is_space) {
  out.reserve(out.size() + s.size());
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '%') {
      if (i + 2 >= s.size()) return false;
      const int high = hex_value(s[i + 1]);
      const int low = hex_value(s[i + 2]);
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out += plus_is_space && s[i] == '+' ? ' ' : s[i];
    }
  }
  return true;
}

}  // namespace

bool valid_utf8(std::string_view s) {
  while (!s.empty()) {
    s.remove_prefix(ascii_run(s));
    if (s.empty()) return true;
    const std::size_t n = sequence_length(s);
    if (n == 0) return false;
    s.remove_prefix(n);
  }
  return true;
}

std::string_view cut(std::string_view s, std::size_t bytes_max) {
  if (s.size() <= bytes_max) return s;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(s[end]) & 0xC0) == 0x80) --end;
  return s.substr(0, end);
}

std::string to_utf8(std::string_view bytes, std::string_view charset) {
  std::string name = clean_charset(charset);
  if (name == "utf-8" || name == "utf8")
    return valid_utf8(bytes) ? std::string(bytes) : repaired(bytes);
  if (!name.empty()) {
    if (Converter converter(name); converter.usable()) {
      std::string out = convert(converter, bytes, unit_bytes(name));
      return valid_utf8(out) ? out : repaired(out);
    }
  }
  if (valid_utf8(bytes)) return std::string(bytes);
  Converter fallback("WINDOWS-1252");
  return fallback.usable() ? convert(fallback, bytes, 1) : repaired(bytes);
}

std::string tidy(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (std::size_t i = 0; i < s.size(); ++i) {
    const auto c = static_cast<unsigned char>(s[i]);
    if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7F) continue;
    // U+0080 to U+009F are controls too: C2 80 to C2 9F.
    if (c == 0xC2 && i + 1 < s.size() && static_cast<unsigned char>(s[i + 1]) < 0xA0 &&
        static_cast<unsigned char>(s[i + 1]) >= 0x80) {
      ++i;
      continue;
    }
    out += s[i];
  }
  return std::string(trimmed(out));
}

std::string_view trim(std::string_view s) {
  return trimmed(s);
}

std::string lower_ascii(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = lower(c);
  return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body) {
  std::vector<std::pair<std::string, std::string>> out;
  out.reserve(24);
  while (!body.empty()) {
    const std::size_t end = body.find('&');
    const auto piece = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (piece.empty()) continue;
    const std::size_t sign = piece.find('=');
    const auto name = piece.substr(0, sign);
    const auto value = sign == std::string_view::npos ? std::string_view{} : piece.substr(sign + 1);
    auto& [to_name, to_value] = out.emplace_back();
    if (!decode_into(to_name, name, true) || !decode_into(to_value, value, true))
      return fail(Errc::malformed, "a percent sign without two hex digits");
    if (!valid_utf8(to_name) || !valid_utf8(to_value)) return fail(Errc::malformed, "not UTF-8");
  }
  return out;
}

Result<std::string> percent_decode(std::string_view s, bool plus_is_space) {
  std::string out;
  if (!decode_into(out, s, plus_is_space))
    return fail(Errc::malformed, "a percent sign without two hex digits");
  return out;
}

std::string percent_encode(std::string_view s) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(s.size() + 8);
  for (const char c : s) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out += c;
    } else {
      out += '%';
      out += digits[static_cast<unsigned char>(c) >> 4];
      out += digits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

std::string preview(std::string_view body) {
  constexpr std::size_t bytes_max = 160;
  std::string out;
  out.reserve(std::min(body.size(), bytes_max + 4));
  bool gap = false;
  for (const char c : body) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_space(c)) {
      gap = !out.empty();
      continue;
    }
    if (byte < 0x20 || byte == 0x7F) continue;
    if (gap) out += ' ';
    gap = false;
    out += c;
    if (out.size() > bytes_max) break;
  }
  out.resize(cut(out, bytes_max).size());
  return out;
}

}  // namespace sara::text
