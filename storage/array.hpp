// Postgres array literals: many rows travel as one parameter per column and become rows by unnest.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/id.hpp"

namespace sara::storage {

/// Builds {1,2,NULL,"text"}.
class Array {
 public:
  Array& add(std::int64_t value) {
    separate();
    char digits[24];
    int n = std::snprintf(digits, sizeof digits, "%lld", static_cast<long long>(value));
    out_.append(digits, static_cast<std::size_t>(n));
    return *this;
  }
  Array& add(bool value) {
    separate();
    out_ += value ? 't' : 'f';
    return *this;
  }
  Array& add(double value) {
    separate();
    char digits[32];
    int n = std::snprintf(digits, sizeof digits, "%.17g", value);
    out_.append(digits, static_cast<std::size_t>(n));
    return *this;
  }
  Array& add(const Uuid& id) {
    separate();
    append_to(out_, id);
    return *this;
  }
  /// Text; inside quotes only `"` and `\` need an escape.
  Array& add(std::string_view text) {
    separate();
    out_ += '"';
    std::size_t start = 0;
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '"' || text[i] == '\\') {
        out_.append(text, start, i - start);
        out_ += '\\';
        start = i;
      }
    out_.append(text, start, text.size() - start);
    out_ += '"';
    return *this;
  }
  Array& null() {
    separate();
    out_ += "NULL";
    return *this;
  }
  /// The value, or NULL if it is empty (zero, "", no id).
  Array& or_null(std::string_view text) { return text.empty() ? null() : add(text); }
  Array& or_null(const Uuid& id) { return id ? add(id) : null(); }
  Array& or_null(std::int64_t value) { return value == 0 ? null() : add(value); }

  bool empty() const { return out_.size() == 1; }
  /// The finished literal; nothing may be added after it.
  const std::string& str() {
    if (!closed_) out_ += '}';
    closed_ = true;
    return out_;
  }

 private:
  void separate() {
    if (out_.size() > 1) out_ += ',';
  }
  std::string out_ = "{";
  bool closed_ = false;
};

}  // namespace sara::storage
