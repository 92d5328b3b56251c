// Log lines through spdlog: "2026-11-21T09:35:00.123Z info event=inbound.received tenant=...".
#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/text.hpp"

namespace sara::log {
namespace {

constexpr std::size_t value_bytes_max = 1024;

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
  }
  return "error";
}

spdlog::logger& logger() {
  // Never destroyed: threads may still log while statics are taken down.
  static auto* const instance = [] {
    auto* made = new spdlog::logger("sara", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::info);
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *instance;
}

bool plain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value)
    if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\') return false;
  return true;
}

void append_escaped_byte(std::string& out, unsigned char c) {
  constexpr char digits[] = "0123456789abcdef";
  out += "\\x";
  out += digits[c >> 4];
  out += digits[c & 15];
}

/// Quotes what is not a plain word. Nothing that a terminal or a log reader could take for the end
/// of the line passes: controls of both sets, U+2028 and U+2029, broken UTF-8.
void append_value(std::string& out, std::string_view value) {
  value = value.substr(0, value_bytes_max);
  if (plain(value)) {
    out += value;
    return;
  }
  out += '"';
  for (std::size_t i = 0; i < value.size();) {
    const auto c = static_cast<unsigned char>(value[i]);
    if (c < 0x80) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += value[i];
      } else if (c < 0x20 || c == 0x7F) {
        append_escaped_byte(out, c);
      } else {
        out += value[i];
      }
      ++i;
      continue;
    }
    const std::size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    const auto sequence = value.substr(i, length);
    const bool hidden =
        sequence == "\u2028" || sequence == "\u2029" ||
        (c == 0xC2 && sequence.size() == 2 && static_cast<unsigned char>(sequence[1]) < 0xA0);
    if (sequence.size() == length && text::valid_utf8(sequence) && !hidden) {
      out += sequence;
      i += length;
    } else {
      append_escaped_byte(out, c);
      ++i;
    }
  }
  out += '"';
}

}  // namespace

void set_level(Level level) {
  logger().set_level(to_spdlog(level));
}

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (!logger().should_log(to_spdlog(level))) return;
  std::string line(name_of(level));
  line += " event=";
  append_value(line, event);
  for (const auto& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    append_value(line, field.value);
  }
  logger().log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace sara::log
