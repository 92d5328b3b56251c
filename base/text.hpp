// Text: UTF-8 checks and cuts, charset conversion, percent-encoding.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace sara::text {

/// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool valid_utf8(std::string_view s);
/// The longest prefix of at most `bytes_max` bytes that ends between code points.
std::string_view cut(std::string_view s, std::size_t bytes_max);
/// Converts to UTF-8; bytes that the charset does not know become U+FFFD. An unknown charset is
/// read as windows-1252 unless the bytes are valid UTF-8.
std::string to_utf8(std::string_view bytes, std::string_view charset);
/// Control characters but tab and newline are removed, white space at both ends is trimmed.
std::string tidy(std::string_view s);
std::string_view trim(std::string_view s);
std::string lower_ascii(std::string_view s);
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// A decoded form: all of its text in one block, and views into it, in the form's order.
struct Form {
  std::vector<char> bytes;
  std::vector<std::pair<std::string_view, std::string_view>> fields;
};
/// application/x-www-form-urlencoded. errors: malformed - a bad percent sign, not UTF-8
Result<Form> read_form(std::string_view body);
/// The same, each name and value on its own.
Result<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body);
/// Percent-decodes; `plus_is_space` for forms and queries. errors: malformed
Result<std::string> percent_decode(std::string_view s, bool plus_is_space);
/// Encodes all but RFC 3986's unreserved characters.
std::string percent_encode(std::string_view s);

/// The first line or so of a message, for lists: white space folded, at most 160 bytes of UTF-8.
std::string preview(std::string_view body);

}  // namespace sara::text
