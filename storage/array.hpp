// Postgres array literals: many rows travel as one parameter per column and become rows by unnest.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/id.hpp"

namespace sara::storage {

/// Builds {1,2,NULL,"text"}. NULLs at its end are left out: where several arrays become rows
/// together, unnest fills the shorter ones up with NULL, and a column of NULLs costs nothing.
class Array {
 public:
  Array& add(std::int64_t value) {
    separate();
    char digits[24];
    auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out_.append(digits, end);
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
    for (;;) {
      auto end = std::min(text.find('"'), text.find('\\'));
      out_.append(text.substr(0, end));
      if (end == text.npos) break;
      out_ += '\\';
      out_ += text[end];
      text.remove_prefix(end + 1);
    }
    out_ += '"';
    return *this;
  }
  Array& null() {
    ++nulls_;
    return *this;
  }
  /// The value, or NULL if it is empty (zero, false, "", no id).
  Array& or_null(std::string_view text) { return text.empty() ? null() : add(text); }
  Array& or_null(const Uuid& id) { return id ? add(id) : null(); }
  Array& or_null(std::int64_t value) { return value == 0 ? null() : add(value); }
  Array& or_null(bool value) { return value ? add(value) : null(); }

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
    for (; nulls_ > 0; --nulls_) out_ += "NULL,";
  }
  std::string out_ = "{";
  std::size_t nulls_ = 0;  ///< not written yet
  bool closed_ = false;
};

}  // namespace sara::storage
