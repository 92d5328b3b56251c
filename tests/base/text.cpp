// UTF-8, charsets, forms.
#include "base/text.hpp"

#include <doctest/doctest.h>

using namespace sara;
using namespace std::literals;

namespace {

template <class T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::ok : result.error().code;
}

}  // namespace

TEST_CASE("text: strict UTF-8") {
  for (const auto good : {""sv, "ascii only, longer than eight"sv, "h\u00e9"sv, "\u20ac"sv,
                          "\U0010FFFF"sv, "\0"sv, "12345678\u00e912345678"sv})
    CHECK(text::valid_utf8(good));
  for (const auto bad : {"\x80"sv, "\xff"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xe0\x80\x80"sv,
                         "\xed\xa0\x80"sv, "\xf0\x80\x80\x80"sv, "\xf4\x90\x80\x80"sv,
                         "\xf5\x80\x80\x80"sv, "\xe2\x82"sv, "abcdefgh\xe2"sv, "\xc3("sv})
    CHECK_FALSE(text::valid_utf8(bad));
}

TEST_CASE("text: a cut ends between code points") {
  CHECK(text::cut("abc", 5) == "abc");
  CHECK(text::cut("abc", 2) == "ab");
  CHECK(text::cut("a\u00e9", 2) == "a");
  CHECK(text::cut("\U0001F44D!", 3).empty());
  CHECK(text::cut("\U0001F44D!", 4) == "\U0001F44D");
}

TEST_CASE("text: every charset becomes UTF-8") {
  struct Case {
    std::string_view bytes, charset, expected;
  };
  const Case cases[] = {
      {"caf\xe9", "iso-8859-1", "caf\u00e9"},
      {"caf\xe9 \x93q\x94", "ISO-8859-1", "caf\u00e9 \u201cq\u201d"},
      {"\x80", "windows-1252", "\u20ac"},
      {"a\x81z", "windows-1252", "a\uFFFDz"},
      {"caf\xc3\xa9", "UTF-8", "caf\u00e9"},
      {"caf\xe9!", "utf-8", "caf\uFFFD!"},
      {"caf\xe9", "us-ascii", "caf\uFFFD"},
      {"\xcf\xf0\xe8", "windows-1251", "\u041f\u0440\u0438"},
      {"\x82\xa0", "Shift_JIS", "\u3042"},
      {"\x1b$B$\"\x1b(B", "iso-2022-jp", "\u3042"},
      {"\xa4\xa4", "big5", "\u4e2d"},
      {"\xd6\xd0", "gb18030", "\u4e2d"},
      {"a\0b\0"sv, "utf-16le", "ab"},
      {"a\0\x00\xd8z\0"sv, "utf-16le", "a\uFFFDz"},
      {"caf\xc3\xa9", "x-unknown", "caf\u00e9"},
      {"caf\xe9", "x-unknown", "caf\u00e9"},
      {"caf\xe9", "", "caf\u00e9"},
      {"caf\xe9", "utf-8//IGNORE", "caf\u00e9"},
      {"caf\xe9", " \"latin1\" ", "caf\u00e9"},
      {"\xe3\x81", "utf-8", "\uFFFD\uFFFD"},
      {"\x82", "Shift_JIS", "\uFFFD"},
      {"", "utf-16", ""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.charset);
    CAPTURE(c.bytes);
    const std::string out = text::to_utf8(c.bytes, c.charset);
    CHECK(out == c.expected);
    CHECK(text::valid_utf8(out));
  }
  CHECK(text::to_utf8(std::string(5000, '\xe9'), "latin1").size() == 10'000);
}

TEST_CASE("text: tidy, trim, case, preview") {
  CHECK(text::tidy(" \ta\x01\r\n\u0085"
                   "b\tc\x7f ") == "a\nb\tc");
  CHECK(text::trim(" \r\n x y\t") == "x y");
  CHECK(text::trim(" ").empty());
  CHECK(text::lower_ascii("AbC\u00c9") == "abc\u00c9");
  CHECK(text::equal_ignoring_case("Content-Type", "content-type"));
  CHECK_FALSE(text::equal_ignoring_case("a", "ab"));
  CHECK(text::preview("  Hello\r\n\r\n  there\x01 ") == "Hello there");
  CHECK(text::preview(std::string(400, 'a')).size() == 160);
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\u00e9";
  CHECK(text::preview("a" + wide).size() == 159);
}

TEST_CASE("text: forms keep order and repetition") {
  const auto form = text::parse_form("b=2&a=+H%C3%A9%2B&b=1&empty=&name&&=v");
  REQUIRE(form);
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"b", "2"}, {"a", " H\u00e9+"}, {"b", "1"}, {"empty", ""}, {"name", ""}, {"", "v"}};
  CHECK(*form == expected);
  CHECK(text::parse_form("")->empty());
  for (const auto bad : {"a=%"sv, "a=%4"sv, "a=%zz"sv, "%=1"sv, "a=%E9"sv, "a=\xff"sv, "%C3=1"sv})
    CHECK(code_of(text::parse_form(bad)) == Errc::malformed);
}

TEST_CASE("text: percent-encoding round trip") {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  CHECK(text::percent_decode(text::percent_encode(all), false).value_or("?") == all);
  CHECK(text::percent_encode("a b/\u00e9~") == "a%20b%2F%C3%A9~");
  CHECK(text::percent_decode("a+b", false).value_or("?") == "a+b");
  CHECK(text::percent_decode("a+b", true).value_or("?") == "a b");
}
