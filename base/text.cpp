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

/// Writes the decoded text, which is never longer, to `to`. Returns its end, or null for a percent
/// sign without two hex digits.
char* decode_to(char* to, std::string_view s, bool plus_is_space) {
  const char* at = s.data();
  const char* const end = at + s.size();
  for (; at != end; ++at) {
    if (*at == '%') {
      if (end - at < 3) return nullptr;
      const int high = hex_value(at[1]);
      const int low = hex_value(at[2]);
      if (high < 0 || low < 0) return nullptr;
      *to++ = static_cast<char>(high << 4 | low);
      at += 2;
    } else {
      *to++ = plus_is_space && *at == '+' ? ' ' : *at;
    }
  }
  return to;
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

Result<Form> read_form(std::string_view body) {
  const auto bad_percent_sign = [] {
    return fail(Errc::malformed, "a percent sign without two hex digits");
  };
  Form form;
  form.bytes.resize(body.size() + 1);
  form.fields.reserve(32);
  char* to = form.bytes.data();
  while (!body.empty()) {
    const std::size_t end = body.find('&');
    const auto piece = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (piece.empty()) continue;
    const std::size_t sign = std::min(piece.find('='), piece.size());
    char* const name = to;
    char* const name_end = decode_to(name, piece.substr(0, sign), true);
    if (name_end == nullptr) return bad_percent_sign();
    // The separators stay, so that no sequence of UTF-8 can reach from one field into the next.
    char* value = name_end;
    if (sign < piece.size()) *value++ = '=';
    char* const value_end =
        decode_to(value, piece.substr(std::min(sign + 1, piece.size())), true);
    if (value_end == nullptr) return bad_percent_sign();
    *value_end = '&';
    to = value_end + 1;
    form.fields.emplace_back(
        std::string_view(name, static_cast<std::size_t>(name_end - name)),
        std::string_view(value, static_cast<std::size_t>(value_end - value)));
  }
  if (!valid_utf8({form.bytes.data(), static_cast<std::size_t>(to - form.bytes.data())}))
    return fail(Errc::malformed, "not UTF-8");
  return form;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body) {
  const auto form = read_form(body);
  if (!form) return fail(form.error());
  std::vector<std::pair<std::string, std::string>> out;
  out.reserve(form->fields.size());
  for (const auto& [name, value] : form->fields) out.emplace_back(name, value);
  return out;
}

Result<std::string> percent_decode(std::string_view s, bool plus_is_space) {
  std::string out(s.size(), '\0');
  const char* const end = decode_to(out.data(), s, plus_is_space);
  if (end == nullptr) return fail(Errc::malformed, "a percent sign without two hex digits");
  out.resize(static_cast<std::size_t>(end - out.data()));
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
  std::array<char, bytes_max + 4> room;
  std::size_t size = 0;
  bool gap = false;
  for (const char c : body) {
    if (is_space(c)) {
      gap = size > 0;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) continue;
    if (gap) room[size++] = ' ';
    gap = false;
    room[size++] = c;
    if (size > bytes_max) break;
  }
  return std::string(cut({room.data(), size}, bytes_max));
}

}  // namespace sara::text
