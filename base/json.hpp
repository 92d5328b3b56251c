// JSON in and out. RapidJSON lives in json.cpp alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace sara::json {

/// A view of one value inside a Document, or of nothing. Valid while the Document lives.
class Ref {
 public:
  Ref() = default;
  explicit Ref(const void* value) : value_(value) {}

  bool exists() const { return value_ != nullptr; }
  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_string() const;
  bool is_number() const;
  bool is_integer() const;
  bool is_bool() const;

  /// Member of an object; a Ref to nothing if absent or not an object.
  Ref operator[](std::string_view key) const;
  /// Element of an array; a Ref to nothing if out of range or not an array.
  Ref at(std::size_t index) const;
  /// Elements of an array or members of an object; 0 for anything else.
  std::size_t size() const;
  /// Members in the order they stand in the text.
  std::vector<std::pair<std::string_view, Ref>> members() const;

  /// The value if it is of that type, else nothing.
  std::optional<std::string_view> string() const;
  std::optional<std::int64_t> integer() const;
  std::optional<double> number() const;
  std::optional<bool> boolean() const;
  /// The string, or `fallback`.
  std::string_view string_or(std::string_view fallback) const {
    return string().value_or(fallback);
  }
  /// The value as compact JSON text.
  std::string dump() const;

 private:
  const void* value_ = nullptr;
};

/// How much a text may ask for. A signed webhook may ask for more than an API request.
struct Limits {
  std::size_t depth_max = 32;
  std::size_t members_max = 10'000;  ///< members and elements of the whole text
  bool any_string = false;  ///< U+0000 passes, half of a surrogate pair becomes U+FFFD
};

/// A parsed text. Move-only.
class Document {
 public:
  Document();
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();
  Ref root() const;

 private:
  friend Result<Document> parse(std::string_view text, const Limits& limits);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Parses strictly (reliability.md, section 6): UTF-8, no duplicate keys, depth <= 32, at most
/// 10 000 members and elements, numbers of at most 64 characters, nothing after the value.
/// errors: malformed - not such a text; invalid_argument - a lone surrogate or U+0000 in a string
Result<Document> parse(std::string_view text);
/// The same with other limits.
Result<Document> parse(std::string_view text, const Limits& limits);

/// The raw texts of an array's elements, or of an object's member: bytes of `text`, not copies.
/// `text` must have been accepted by parse(). Empty if it is no array, or has no such member.
std::vector<std::string_view> raw_elements(std::string_view array);
std::string_view raw_member(std::string_view object, std::string_view key);

/// Appends compact JSON to a string; bytes that are not UTF-8 become U+FFFD. Misuse (a value
/// without its key) is a bug and asserts.
class Writer {
 public:
  explicit Writer(std::string& out);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(std::string_view name);
  Writer& string(std::string_view value);
  Writer& integer(std::int64_t value);
  Writer& number(double value);
  Writer& boolean(bool value);
  Writer& null();
  /// A value that is JSON already.
  Writer& raw(std::string_view json);

  /// key + value, for the common case.
  Writer& member(std::string_view name, std::string_view value) { return key(name).string(value); }
  Writer& member(std::string_view name, const char* value) { return key(name).string(value); }
  Writer& member(std::string_view name, const std::string& value) {
    return key(name).string(value);
  }
  Writer& member(std::string_view name, std::int64_t value) { return key(name).integer(value); }
  Writer& member(std::string_view name, int value) { return key(name).integer(value); }
  Writer& member(std::string_view name, bool value) { return key(name).boolean(value); }
  /// key + string, or key + null if empty.
  Writer& member_or_null(std::string_view name, std::string_view value) {
    return value.empty() ? key(name).null() : key(name).string(value);
  }

 private:
  void before_value();
  bool in_object() const { return depth_ > 0 && (objects_ >> depth_ & 1) != 0; }
  std::string& out_;
  std::uint64_t objects_ = 0;  ///< one bit a level: it is an object, not an array
  int depth_ = 0;
  bool need_comma_ = false;
  bool after_key_ = false;
};

}  // namespace sara::json
