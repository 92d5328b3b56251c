// Logging: one line an event, as `event=inbound.received tenant=... request=...`, values escaped.
// Bodies, tokens, signatures and full addresses never come here.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace sara::log {

enum class Level { debug, info, warn, error };

struct Field {
  std::string_view name;
  std::string value;
  Field(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  Field(std::string_view n, std::string_view v) : name(n), value(v) {}
  Field(std::string_view n, const char* v) : name(n), value(v) {}
  Field(std::string_view n, long long v) : name(n), value(std::to_string(v)) {}
  Field(std::string_view n, long v) : name(n), value(std::to_string(v)) {}
  Field(std::string_view n, int v) : name(n), value(std::to_string(v)) {}
  Field(std::string_view n, unsigned long v) : name(n), value(std::to_string(v)) {}
};

void set_level(Level level);
void write(Level level, std::string_view event, std::initializer_list<Field> fields);

inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::debug, event, fields);
}
inline void info(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::info, event, fields);
}
inline void warn(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::warn, event, fields);
}
inline void error(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::error, event, fields);
}

}  // namespace sara::log
