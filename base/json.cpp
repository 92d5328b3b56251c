// RapidJSON behind our own door: strict reading into a DOM, and a writer of ours.
// A counting handler stands in front of the DOM, so a hostile text is refused before it costs.
#include "base/json.hpp"

// RAPIDJSON_SSE2 stays undefined: its vector loops let U+001A to U+001F pass inside strings.
#include <rapidjson/document.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/text.hpp"

namespace sara::json {
namespace {

namespace rj = rapidjson;
using Value = rj::GenericValue<rj::UTF8<>, rj::MemoryPoolAllocator<>>;
using Dom = rj::GenericDocument<rj::UTF8<>, rj::MemoryPoolAllocator<>>;

constexpr std::size_t npos = std::string_view::npos;

const Value* value_of(const void* p) {
  return static_cast<const Value*>(p);
}

/// Forwards every event to the DOM and stops the parse at the first broken rule.
class Gate {
 public:
  Gate(Dom& dom, const Limits& limits, bool has_escapes)
      : dom_(dom), limits_(limits), has_escapes_(has_escapes) {}

  Errc why() const { return why_; }
  const char* detail() const { return detail_; }

  bool Null() { return element() && dom_.Null(); }
  bool Bool(bool b) { return element() && dom_.Bool(b); }
  bool RawNumber(const char* s, rj::SizeType n, bool) { return element() && number({s, n}); }
  // All numbers come raw; the reader wants these to exist.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
  bool String(const char* s, rj::SizeType n, bool copy) {
    return element() && clean(s, n) && dom_.String(s, n, copy);
  }
  bool Key(const char* s, rj::SizeType n, bool copy) {
    if (!count() || !clean(s, n)) return false;
    keys_.emplace_back(s, n);
    return dom_.Key(s, n, copy);
  }
  bool StartObject() {
    if (!element() || !enter()) return false;
    frames_.push_back({keys_.size(), true});
    return dom_.StartObject();
  }
  bool EndObject(rj::SizeType n) {
    if (!distinct_keys()) return stop(Errc::malformed, "a key stands twice in one object");
    keys_.resize(frames_.back().first_key);
    frames_.pop_back();
    return dom_.EndObject(n);
  }
  bool StartArray() {
    if (!element() || !enter()) return false;
    frames_.push_back({keys_.size(), false});
    return dom_.StartArray();
  }
  bool EndArray(rj::SizeType n) {
    frames_.pop_back();
    return dom_.EndArray(n);
  }

 private:
  struct Frame {
    std::size_t first_key;
    bool object;
  };

  bool stop(Errc why, const char* detail) {
    why_ = why;
    detail_ = detail;
    return false;
  }
  bool enter() {
    return frames_.size() < limits_.depth_max || stop(Errc::malformed, "nested too deep");
  }
  bool count() {
    return ++counted_ <= limits_.members_max ||
           stop(Errc::malformed, "too many members and elements");
  }
  /// A value inside an array counts; a member was counted with its key.
  bool element() { return frames_.empty() || frames_.back().object || count(); }

  /// RapidJSON has checked the form; its own conversion makes 0e300 a number that is not 0.
  bool number(std::string_view text) {
    constexpr std::size_t characters_max = 64;
    if (text.size() > characters_max) return stop(Errc::malformed, "a number is too long");
    const char* const end = text.data() + text.size();
    if (text.find_first_of(".eE") == npos) {
      std::int64_t integer = 0;
      if (std::from_chars(text.data(), end, integer).ec == std::errc{}) return dom_.Int64(integer);
      std::uint64_t large = 0;
      if (std::from_chars(text.data(), end, large).ec == std::errc{}) return dom_.Uint64(large);
    }
    double value = 0;
    if (std::from_chars(text.data(), end, value).ec == std::errc{}) return dom_.Double(value);
    // Out of range: so short a number is too close to 0 only by its exponent.
    if (const auto exponent = text.find_first_of("eE");
        exponent == npos || text[exponent + 1] != '-')
      return stop(Errc::malformed, "a number is too large");
    return dom_.Double(0);
  }

  bool clean(const char* s, std::size_t n) {
    if (!has_escapes_ || limits_.any_string) return true;
    if (std::memchr(s, 0, n) != nullptr)
      return stop(Errc::invalid_argument, "a string holds U+0000");
    // The text was valid UTF-8, so a surrogate can only come from an escape.
    for (const char* at = s; (at = static_cast<const char*>(
                                  std::memchr(at, 0xED, static_cast<std::size_t>(s + n - at))));
         ++at)
      if (at + 1 < s + n && static_cast<unsigned char>(at[1]) > 0x9F)
        return stop(Errc::invalid_argument, "a string holds half of a surrogate pair");
    return true;
  }

  /// A sort costs n log n whatever the keys are; a hash set could be flooded.
  bool distinct_keys() {
    const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(frames_.back().first_key);
    if (keys_.end() - first <= 16) {
      for (auto a = first; a != keys_.end(); ++a)
        for (auto b = first; b != a; ++b)
          if (*a == *b) return false;
      return true;
    }
    std::sort(first, keys_.end());
    return std::adjacent_find(first, keys_.end()) == keys_.end();
  }

  Dom& dom_;
  const Limits& limits_;
  bool has_escapes_;
  std::vector<Frame> frames_;
  std::vector<std::string_view> keys_;
  std::size_t counted_ = 0;
  Errc why_ = Errc::ok;
  const char* detail_ = "";
};

/// The four hex digits after "\u", or -1.
int escape_value(const char* at) {
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = at[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/// Turns halves of surrogate pairs into U+FFFD, byte for byte. `text` ends with a NUL.
void mend_surrogates(char* text, std::size_t size) {
  const auto escape_at = [&](std::size_t i) {
    return i + 6 <= size && text[i] == '\\' && text[i + 1] == 'u' ? escape_value(text + i + 2) : -1;
  };
  for (std::size_t i = 0; i + 1 < size;) {
    if (text[i] != '\\') {
      ++i;
      continue;
    }
    const int value = escape_at(i);
    if (value < 0xD800 || value > 0xDFFF) {
      i += 2;
      continue;
    }
    const int next = value < 0xDC00 ? escape_at(i + 6) : -1;
    if (next >= 0xDC00 && next <= 0xDFFF) {
      i += 12;
    } else {
      std::memcpy(text + i + 2, "fffd", 4);
      i += 6;
    }
  }
}

// The scanner of raw texts. It trusts nothing: at any surprise it returns npos.

std::size_t skip_space(std::string_view s, std::size_t i) {
  while (i < s.size() && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r')) ++i;
  return i;
}

/// The position after the string that begins at `i`.
std::size_t skip_string(std::string_view s, std::size_t i) {
  for (++i; i < s.size(); ++i) {
    if (s[i] == '\\') {
      ++i;
    } else if (s[i] == '"') {
      return i + 1;
    }
  }
  return npos;
}

/// The position after the value that begins at `i`.
std::size_t skip_value(std::string_view s, std::size_t i) {
  std::size_t depth = 0;
  while (i < s.size()) {
    const char c = s[i];
    if (c == '"') {
      i = skip_string(s, i);
      if (i == npos || depth == 0) return i;
    } else if (c == '{' || c == '[') {
      ++depth;
      ++i;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return i;
      ++i;
      if (--depth == 0) return i;
    } else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      return i;
    } else {
      ++i;
    }
  }
  return depth == 0 ? i : npos;
}

bool same_key(std::string_view quoted, std::string_view key) {
  const auto inside = quoted.substr(1, quoted.size() - 2);
  if (inside.find('\\') == npos) return inside == key;
  const auto parsed = parse(quoted);
  return parsed && parsed->root().string_or({}) == key;
}

void dump_value(Writer& out, Ref value) {
  if (value.is_object()) {
    out.begin_object();
    for (const auto& [name, member] : value.members()) {
      out.key(name);
      dump_value(out, member);
    }
    out.end_object();
  } else if (value.is_array()) {
    out.begin_array();
    for (std::size_t i = 0; i < value.size(); ++i) dump_value(out, value.at(i));
    out.end_array();
  } else if (const auto text = value.string()) {
    out.string(*text);
  } else if (const auto integer = value.integer()) {
    out.integer(*integer);
  } else if (const auto number = value.number()) {
    out.number(*number);
  } else if (const auto boolean = value.boolean()) {
    out.boolean(*boolean);
  } else {
    out.null();
  }
}

/// True if one of eight bytes is a control, a quote, a backslash or not ASCII.
bool has_special(std::uint64_t word) {
  constexpr std::uint64_t ones = 0x0101'0101'0101'0101ull;
  constexpr std::uint64_t tops = 0x8080'8080'8080'8080ull;
  const std::uint64_t quote = word ^ (ones * '"');
  const std::uint64_t slash = word ^ (ones * '\\');
  const std::uint64_t found =
      ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | word;
  return (found & tops) != 0;
}

std::size_t plain_run(std::string_view s) {
  std::size_t i = 0;
  for (; i + 8 <= s.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, s.data() + i, 8);
    if (has_special(word)) break;
  }
  while (i < s.size()) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (c < 0x20 || c == '"' || c == '\\' || c >= 0x80) break;
    ++i;
  }
  return i;
}

/// Appends one special character; returns how many bytes it took.
std::size_t append_special(std::string& out, std::string_view s) {
  constexpr char digits[] = "0123456789abcdef";
  const auto c = static_cast<unsigned char>(s[0]);
  if (c >= 0x80) {
    // Only valid UTF-8 may leave us: one broken byte would spoil the whole document.
    const std::size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (n <= s.size() && text::valid_utf8(s.substr(0, n))) {
      out.append(s.data(), n);
      return n;
    }
    out += "\xEF\xBF\xBD";
    return 1;
  }
  out += '\\';
  switch (c) {
    case '"':
      out += '"';
      break;
    case '\\':
      out += '\\';
      break;
    case '\n':
      out += 'n';
      break;
    case '\r':
      out += 'r';
      break;
    case '\t':
      out += 't';
      break;
    case '\b':
      out += 'b';
      break;
    case '\f':
      out += 'f';
      break;
    default:
      out += "u00";
      out += digits[c >> 4];
      out += digits[c & 15];
  }
  return 1;
}

void append_string(std::string& out, std::string_view s) {
  out += '"';
  for (;;) {
    const std::size_t run = plain_run(s);
    out.append(s.data(), run);
    s.remove_prefix(run);
    if (s.empty()) break;
    s.remove_prefix(append_special(out, s));
  }
  out += '"';
}

}  // namespace

bool Ref::is_null() const {
  return value_ && value_of(value_)->IsNull();
}
bool Ref::is_object() const {
  return value_ && value_of(value_)->IsObject();
}
bool Ref::is_array() const {
  return value_ && value_of(value_)->IsArray();
}
bool Ref::is_string() const {
  return value_ && value_of(value_)->IsString();
}
bool Ref::is_number() const {
  return value_ && value_of(value_)->IsNumber();
}
bool Ref::is_integer() const {
  return value_ && value_of(value_)->IsInt64();
}
bool Ref::is_bool() const {
  return value_ && value_of(value_)->IsBool();
}

Ref Ref::operator[](std::string_view key) const {
  if (!is_object()) return {};
  for (auto& m : value_of(value_)->GetObject())
    if (std::string_view(m.name.GetString(), m.name.GetStringLength()) == key) return Ref{&m.value};
  return {};
}

Ref Ref::at(std::size_t index) const {
  if (!is_array() || index >= value_of(value_)->Size()) return {};
  return Ref{&(*value_of(value_))[static_cast<rj::SizeType>(index)]};
}

std::size_t Ref::size() const {
  if (is_array()) return value_of(value_)->Size();
  return is_object() ? value_of(value_)->MemberCount() : 0;
}

std::vector<std::pair<std::string_view, Ref>> Ref::members() const {
  std::vector<std::pair<std::string_view, Ref>> out;
  if (!is_object()) return out;
  out.reserve(size());
  for (auto& m : value_of(value_)->GetObject())
    out.emplace_back(std::string_view(m.name.GetString(), m.name.GetStringLength()), Ref{&m.value});
  return out;
}

std::optional<std::string_view> Ref::string() const {
  if (!is_string()) return std::nullopt;
  return std::string_view(value_of(value_)->GetString(), value_of(value_)->GetStringLength());
}
std::optional<std::int64_t> Ref::integer() const {
  if (!is_integer()) return std::nullopt;
  return value_of(value_)->GetInt64();
}
std::optional<double> Ref::number() const {
  if (!is_number()) return std::nullopt;
  return value_of(value_)->GetDouble();
}
std::optional<bool> Ref::boolean() const {
  if (!is_bool()) return std::nullopt;
  return value_of(value_)->GetBool();
}

std::string Ref::dump() const {
  std::string out;
  if (!exists()) return out;
  Writer writer(out);
  dump_value(writer, *this);
  return out;
}

/// Strings of the DOM point into `text`, which is parsed in place.
struct Document::Impl {
  std::unique_ptr<char[]> text;
  rj::MemoryPoolAllocator<> pool;
  Dom dom;
  Impl(std::unique_ptr<char[]> owned, std::size_t chunk_bytes)
      : text(std::move(owned)), pool(chunk_bytes), dom(&pool, 512) {}
};

Document::Document() = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;
Ref Document::root() const {
  return impl_ ? Ref{static_cast<const Value*>(&impl_->dom)} : Ref{};
}

Result<Document> parse(std::string_view text, const Limits& limits) {
  if (text.empty()) return fail(Errc::malformed, "empty");
  if (text.find('\0') != npos || !text::valid_utf8(text))
    return fail(Errc::malformed, "not UTF-8 text");
  std::unique_ptr<char[]> copy(new char[text.size() + 1]);
  std::memcpy(copy.get(), text.data(), text.size());
  copy[text.size()] = '\0';
  const bool has_escapes = text.find("\\u") != npos;
  if (has_escapes && limits.any_string) mend_surrogates(copy.get(), text.size());

  Document out;
  const std::size_t chunk = std::clamp<std::size_t>(text.size() * 2, 1024, 64 * 1024);
  out.impl_ = std::make_unique<Document::Impl>(std::move(copy), chunk);
  char* const begin = out.impl_->text.get();
  rj::InsituStringStream in(begin);
  Gate gate(out.impl_->dom, limits, has_escapes);
  rj::GenericReader<rj::UTF8<>, rj::UTF8<>> reader;
  rj::ParseResult parsed;
  const auto generate = [&](Dom&) {
    constexpr unsigned flags = rj::kParseInsituFlag | rj::kParseNumbersAsStringsFlag;
    parsed = reader.Parse<flags>(in, gate);
    return !parsed.IsError();
  };
  out.impl_->dom.Populate(generate);
  if (!parsed.IsError()) return out;
  if (gate.why() != Errc::ok) return fail(gate.why(), gate.detail());
  if (parsed.Code() == rj::kParseErrorStringUnicodeSurrogateInvalid)
    return fail(Errc::invalid_argument, "a string holds half of a surrogate pair");
  return fail(Errc::malformed, "not JSON, at byte " + std::to_string(parsed.Offset()));
}

Result<Document> parse(std::string_view text) {
  return parse(text, Limits{});
}

std::vector<std::string_view> raw_elements(std::string_view array) {
  std::vector<std::string_view> out;
  std::size_t i = skip_space(array, 0);
  if (i >= array.size() || array[i] != '[') return out;
  for (i = skip_space(array, i + 1); i < array.size() && array[i] != ']';) {
    const std::size_t end = skip_value(array, i);
    if (end == npos || end == i) return {};
    out.push_back(array.substr(i, end - i));
    i = skip_space(array, end);
    if (i < array.size() && array[i] == ',') i = skip_space(array, i + 1);
  }
  return out;
}

std::string_view raw_member(std::string_view object, std::string_view key) {
  std::size_t i = skip_space(object, 0);
  if (i >= object.size() || object[i] != '{') return {};
  for (i = skip_space(object, i + 1); i < object.size() && object[i] == '"';) {
    const std::size_t name_end = skip_string(object, i);
    if (name_end == npos) return {};
    const auto name = object.substr(i, name_end - i);
    i = skip_space(object, name_end);
    if (i >= object.size() || object[i] != ':') return {};
    i = skip_space(object, i + 1);
    const std::size_t end = skip_value(object, i);
    if (end == npos || end == i) return {};
    if (same_key(name, key)) return object.substr(i, end - i);
    i = skip_space(object, end);
    if (i < object.size() && object[i] == ',') i = skip_space(object, i + 1);
  }
  return {};
}

Writer::Writer(std::string& out) : out_(out) {}
Writer::~Writer() {
  assert(depth_ == 0 && !after_key_);
}

/// Inside an object a value needs its key, and only there a key is allowed.
void Writer::before_value() {
  assert(!in_object() || after_key_);
  if (need_comma_) out_ += ',';
  after_key_ = false;
}

Writer& Writer::begin_object() {
  before_value();
  ensure(depth_ < 63, "JSON is written too deep");
  ++depth_;
  objects_ |= std::uint64_t{1} << depth_;
  out_ += '{';
  need_comma_ = false;
  return *this;
}
Writer& Writer::end_object() {
  assert(in_object() && !after_key_);
  --depth_;
  out_ += '}';
  need_comma_ = true;
  return *this;
}
Writer& Writer::begin_array() {
  before_value();
  ensure(depth_ < 63, "JSON is written too deep");
  ++depth_;
  objects_ &= ~(std::uint64_t{1} << depth_);
  out_ += '[';
  need_comma_ = false;
  return *this;
}
Writer& Writer::end_array() {
  assert(depth_ > 0 && !in_object());
  --depth_;
  out_ += ']';
  need_comma_ = true;
  return *this;
}
Writer& Writer::key(std::string_view name) {
  assert(in_object() && !after_key_);
  if (need_comma_) out_ += ',';
  append_string(out_, name);
  out_ += ':';
  need_comma_ = false;
  after_key_ = true;
  return *this;
}
Writer& Writer::string(std::string_view value) {
  before_value();
  append_string(out_, value);
  need_comma_ = true;
  return *this;
}
Writer& Writer::integer(std::int64_t value) {
  before_value();
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  need_comma_ = true;
  return *this;
}
Writer& Writer::number(double value) {
  if (!std::isfinite(value)) return null();  // JSON has no word for it.
  if (value == 0) return integer(0);         // "-0" is an integer to some readers, ours among them.
  before_value();
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  need_comma_ = true;
  return *this;
}
Writer& Writer::boolean(bool value) {
  return raw(value ? "true" : "false");
}
Writer& Writer::null() {
  return raw("null");
}
Writer& Writer::raw(std::string_view json) {
  before_value();
  out_ += json;
  need_comma_ = true;
  return *this;
}

}  // namespace sara::json
