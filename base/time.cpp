// RFC 3339 in and out, by the civil calendar of std::chrono; and the machine's clock.
#include "base/time.hpp"

#include <algorithm>
#include <array>

namespace sara {
namespace {

using namespace std::chrono;

void put(char* at, unsigned value, int digits) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) at[i] = static_cast<char>('0' + value % 10);
}

/// Reads exactly `digits` digits at the front and takes them off; -1 if they are not there.
int take(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char upper, char lower) {
  if (text.empty() || (text[0] != upper && text[0] != lower)) return false;
  text.remove_prefix(1);
  return true;
}

/// The fraction after the dot, cut to milliseconds; -1 if there is a dot without digits.
int take_fraction(std::string_view& text) {
  if (!take(text, '.', '.')) return 0;
  int millis = 0;
  int digits = 0;
  for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), ++digits)
    if (digits < 3) millis = millis * 10 + (text[0] - '0');
  if (digits == 0) return -1;
  for (; digits < 3; ++digits) millis *= 10;
  return millis;
}

/// "Z" or "+hh:mm", and nothing after it.
bool take_offset(std::string_view& text, minutes& offset) {
  if (take(text, 'Z', 'z')) return text.empty();
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return false;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  const int hour = take(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':', ':')) return false;
  const int minute = take(text, 2);
  if (minute < 0 || minute > 59 || !text.empty()) return false;
  offset = minutes{sign * (hour * 60 + minute)};
  return true;
}

constexpr sys_days first_day{year{0} / 1 / 1};
constexpr sys_days end_day{year{10000} / 1 / 1};

}  // namespace

void append_rfc3339(std::string& out, TimePoint t) {
  t = std::clamp<TimePoint>(t, first_day, TimePoint{end_day} - Millis{1});
  const auto day = floor<days>(t);
  const year_month_day date{day};
  auto rest = static_cast<unsigned>((t - day).count());
  std::array<char, 24> text{'0', '0', '0', '0', '-', '0', '0', '-', '0', '0', 'T', '0',
                            '0', ':', '0', '0', ':', '0', '0', '.', '0', '0', '0', 'Z'};
  put(&text[0], static_cast<unsigned>(static_cast<int>(date.year())), 4);
  put(&text[5], static_cast<unsigned>(date.month()), 2);
  put(&text[8], static_cast<unsigned>(date.day()), 2);
  put(&text[20], rest % 1000, 3);
  rest /= 1000;
  put(&text[17], rest % 60, 2);
  put(&text[14], rest / 60 % 60, 2);
  put(&text[11], rest / 3600, 2);
  out.append(text.data(), text.size());
}

std::string to_rfc3339(TimePoint t) {
  std::string out;
  append_rfc3339(out, t);
  return out;
}

Result<TimePoint> parse_rfc3339(std::string_view text) {
  const auto bad = [] { return fail(Errc::malformed, "not an RFC 3339 time"); };
  const int y = take(text, 4);
  if (y < 0 || !take(text, '-', '-')) return bad();
  const int m = take(text, 2);
  if (m < 0 || !take(text, '-', '-')) return bad();
  const int d = take(text, 2);
  if (d < 0 || !take(text, 'T', 't')) return bad();
  const int hour = take(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':', ':')) return bad();
  const int minute = take(text, 2);
  if (minute < 0 || minute > 59 || !take(text, ':', ':')) return bad();
  const int second = take(text, 2);
  if (second < 0 || second > 60) return bad();  // 60 is a leap second; it counts as the next one.
  const int milli = take_fraction(text);
  minutes offset{0};
  if (milli < 0 || !take_offset(text, offset)) return bad();
  const year_month_day date{year{y}, month{static_cast<unsigned>(m)},
                            day{static_cast<unsigned>(d)}};
  if (!date.ok()) return bad();
  return TimePoint{sys_days{date}} + hours{hour} + minutes{minute} + seconds{second} +
         Millis{milli} - offset;
}

const Clock& system_clock() {
  struct Machine : Clock {
    TimePoint now() const override { return floor<Millis>(std::chrono::system_clock::now()); }
  };
  static const Machine machine;
  return machine;
}

}  // namespace sara
