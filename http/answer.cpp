#include "http/answer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "base/text.hpp"
#include "http/problem.hpp"

namespace sara::http {

namespace {

void append_number(std::string& out, std::size_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ", 2).append(value).append("\r\n", 2);
}

bool is_harmless(std::string_view s) {
  return std::none_of(s.begin(), s.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

}  // namespace

std::string_view content_of(const Response& answer) {
  return answer.static_body.empty() ? std::string_view{answer.body} : answer.static_body;
}

bool append_answer_head(std::string& out, const Response& answer, const AnswerContext& context) {
  bool harmless = true;
  bool cacheable = false;
  out.append("HTTP/1.1 ", 9);
  append_number(out, static_cast<std::size_t>(answer.status));
  out.append(1, ' ').append(reason_phrase(answer.status)).append("\r\n", 2);
  append_line(out, "Date", context.date);
  if (has_content(answer.status)) {
    if (!answer.content_type.empty()) {
      const bool good = is_harmless(answer.content_type);
      append_line(out, "Content-Type", good ? answer.content_type : "application/octet-stream");
      harmless = harmless && good;
    }
    out.append("Content-Length: ", 16);
    append_number(out, content_of(answer).size());
    out.append("\r\n", 2);
  }
  append_line(out, "X-Request-Id", context.request_id);
  append_line(out, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : answer.headers) {
    if (!is_harmless(name) || !is_harmless(value)) {
      harmless = false;
      continue;
    }
    cacheable = cacheable || text::equal_ignoring_case(name, "cache-control");
    append_line(out, name, value);
  }
  if (!cacheable) append_line(out, "Cache-Control", "no-store");
  if (context.close) append_line(out, "Connection", "close");
  out.append("\r\n", 2);
  return harmless;
}

std::string http_date(std::int64_t unix_seconds) {
  static constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = unix_seconds;
  std::tm t{};
  gmtime_r(&seconds, &t);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     days[static_cast<std::size_t>(t.tm_wday)], t.tm_mday,
                     months[static_cast<std::size_t>(t.tm_mon)], t.tm_year + 1900, t.tm_hour,
                     t.tm_min, t.tm_sec);
}

}  // namespace sara::http
