// The strict reader and the writer.
#include "base/json.hpp"

#include <doctest/doctest.h>

using namespace sara;

namespace {

template <class T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::ok : result.error().code;
}

std::string verdict(std::string_view text) {
  const auto parsed = json::parse(text);
  return parsed ? "ok" : std::string(to_string(parsed.error().code));
}

std::string repeated(std::string_view part, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += part;
  return out;
}

}  // namespace

TEST_CASE("json: only strict JSON is read") {
  struct Case {
    std::string text;
    const char* verdict;
  };
  const std::string keys_17 = [] {
    std::string out = "{";
    for (int i = 0; i < 17; ++i) out += "\"k" + std::to_string(i) + "\":1,";
    return out;
  }();
  const Case cases[] = {
      {"{}", "ok"},
      {" [1,2.5,-3e2,true,false,null,\"a\"] \r\n", "ok"},
      {"\"text\"", "ok"},
      {"", "malformed"},
      {"   ", "malformed"},
      {"{} {}", "malformed"},
      {"[1,]", "malformed"},
      {"{\"a\":1,}", "malformed"},
      {"{'a':1}", "malformed"},
      {"{a:1}", "malformed"},
      {"[NaN]", "malformed"},
      {"[Infinity]", "malformed"},
      {"[01]", "malformed"},
      {"[+1]", "malformed"},
      {"[.5]", "malformed"},
      {"[1.]", "malformed"},
      {"[1e999]", "malformed"},
      {"// c\n1", "malformed"},
      {"[\"\t\"]", "malformed"},
      {"[\"\\x\"]", "malformed"},
      {"\xEF\xBB\xBF{}", "malformed"},
      {std::string("{}\0", 3), "malformed"},
      {std::string("{}\0{", 4), "malformed"},
      {std::string("[\"\0\"]", 5), "malformed"},
      {"{\"a\":1,\"b\":2,\"a\":3}", "malformed"},
      {"{\"a\":1,\"\\u0061\":2}", "malformed"},
      {"[{\"a\":1},{\"a\":1}]", "ok"},
      {"{\"a\":{\"a\":{\"a\":1}}}", "ok"},
      {keys_17 + "\"z\":1}", "ok"},
      {keys_17 + "\"k3\":1}", "malformed"},
      {"[\"\xff\"]", "malformed"},
      {"[\"\xc0\xaf\"]", "malformed"},
      {"[\"\xed\xa0\x80\"]", "malformed"},
      {"[\"\xf4\x90\x80\x80\"]", "malformed"},
      {"[\"\\ud83d\\ude00\"]", "ok"},
      {"[\"\\ud83d\"]", "invalid_argument"},
      {"[\"\\ud83dx\"]", "invalid_argument"},
      {"[\"\\ude00\"]", "invalid_argument"},
      {"[\"a\\u0000b\"]", "invalid_argument"},
      {"{\"a\\u0000b\":1}", "invalid_argument"},
      {"[\"\\\\u0000\"]", "ok"},
      {repeated("[", 32) + repeated("]", 32), "ok"},
      {repeated("[", 33) + repeated("]", 33), "malformed"},
      {repeated("{\"a\":", 33) + "1" + repeated("}", 33), "malformed"},
      {repeated("[", 100'000), "malformed"},
      {"[" + repeated("1,", 9'999) + "1]", "ok"},
      {"[" + repeated("1,", 10'000) + "1]", "malformed"},
      {"[0." + repeated("1", 62) + "]", "ok"},
      {"[0." + repeated("1", 63) + "]", "malformed"},
      {"[" + repeated("1", 65) + "]", "malformed"},
      {"[1e-" + repeated("0", 70) + "1]", "malformed"},
      {"[12345678901234567890, 0." + repeated("1", 62) + " ]", "ok"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.text.substr(0, 80));
    CHECK(verdict(c.text) == c.verdict);
  }
}

TEST_CASE("json: a control character in a string must be escaped, wherever it stands") {
  for (int c = 1; c < 0x20; ++c) {
    for (std::size_t at = 0; at < 40; ++at) {
      std::string text(40, 'a');
      text[at] = static_cast<char>(c);
      CHECK(verdict("[\"" + text + "\"]") == "malformed");
      CHECK(verdict("{\"" + text + "\":1}") == "malformed");
    }
  }
}

TEST_CASE("json: a signed webhook may ask for more") {
  const json::Limits wide{.depth_max = 32, .members_max = 1'000'000, .any_string = true};
  const auto many = json::parse("[" + repeated("1,", 20'000) + "1]", wide);
  REQUIRE(many);
  CHECK(many->root().size() == 20'001);
  const auto odd = json::parse(R"(["a\u0000b","\ud83d","\ud83d\ude00","\\ud83d","\ude00x"])", wide);
  REQUIRE(odd);
  CHECK(*odd->root().at(0).string() == std::string_view("a\0b", 3));
  CHECK(*odd->root().at(1).string() == "\uFFFD");
  CHECK(*odd->root().at(2).string() == "\U0001F600");
  CHECK(*odd->root().at(3).string() == "\\ud83d");
  CHECK(*odd->root().at(4).string() == "\uFFFDx");
}

TEST_CASE("json: a value tells its type and nothing else") {
  const auto parsed = json::parse(
      R"({"s":"x","i":7,"big":9223372036854775808,"d":1.5,"b":true,"n":null,"a":[1,2],"o":{"k":"v"}})");
  REQUIRE(parsed);
  const auto root = parsed->root();
  CHECK(root.is_object());
  CHECK(root.size() == 8);
  CHECK(root["s"].string_or("") == "x");
  CHECK(*root["i"].integer() == 7);
  CHECK(*root["i"].number() == 7.0);
  CHECK_FALSE(root["big"].integer());
  CHECK(root["big"].is_number());
  CHECK(*root["d"].number() == 1.5);
  CHECK_FALSE(root["d"].integer());
  CHECK(*root["b"].boolean());
  CHECK(root["n"].is_null());
  CHECK(root["a"].at(1).integer() == 2);
  CHECK_FALSE(root["a"].at(2).exists());
  CHECK_FALSE(root["none"].exists());
  CHECK_FALSE(root["s"]["deep"].at(3)["er"].exists());
  CHECK(root["o"]["k"].string_or("") == "v");
  CHECK(root.members().front().first == "s");
  CHECK(
      root.dump() ==
      R"({"s":"x","i":7,"big":9223372036854775808,"d":1.5,"b":true,"n":null,"a":[1,2],"o":{"k":"v"}})");
  CHECK_FALSE(json::Document{}.root().exists());
  CHECK(json::Ref{}.dump().empty());
}

TEST_CASE("json: raw texts are bytes of the original") {
  const std::string_view text =
      "{ \"a\" : [ {\"x\":\"]}\\\"\"} ,\r\n 12 , \"s,\" ,[ ] ] , \"\\u0062\":{\"c\":null} }";
  REQUIRE(json::parse(text));
  const auto array = json::raw_member(text, "a");
  const auto elements = json::raw_elements(array);
  REQUIRE(elements.size() == 4);
  CHECK(elements[0] == R"({"x":"]}\""})");
  CHECK(elements[1] == "12");
  CHECK(elements[2] == R"("s,")");
  CHECK(elements[3] == "[ ]");
  CHECK(elements[0].data() > text.data());
  CHECK(json::raw_member(text, "b") == R"({"c":null})");
  CHECK(json::raw_member(json::raw_member(text, "b"), "c") == "null");
  CHECK(json::raw_member(text, "c").empty());
  CHECK(json::raw_member("[1]", "c").empty());
  CHECK(json::raw_elements("{}").empty());
  CHECK(json::raw_elements("[]").empty());
  CHECK(json::raw_elements("[1").size() <= 1);
  CHECK(json::raw_elements("[\"").empty());
}

TEST_CASE("json: the writer escapes what must be escaped") {
  std::string out;
  {
    json::Writer w(out);
    w.begin_object()
        .member("plain", "a long run without anything to escape")
        .member("odd", std::string_view("\"\\/\b\f\n\r\t\0\x1f\x7f", 11))
        .member("utf8", "h\u00e9 \U0001F44D")
        .member("broken", "a\xff\xc3(\xed\xa0\x80z")
        .member("n", 42)
        .member("yes", true)
        .member_or_null("none", "");
    w.key("list").begin_array().integer(-1).number(0.1).number(1e300).null().begin_object();
    w.end_object().raw("[1]").end_array().end_object();
  }
  CHECK(out ==
        "{\"plain\":\"a long run without anything to escape\","
        "\"odd\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\","
        "\"utf8\":\"h\u00e9 \U0001F44D\","
        "\"broken\":\"a\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFDz\","
        "\"n\":42,\"yes\":true,\"none\":null,"
        "\"list\":[-1,0.1,1e+300,null,{},[1]]}");
  CHECK(code_of(json::parse(out)) == Errc::invalid_argument);
}

TEST_CASE("json: what is written is read back") {
  std::string value;
  for (int c = 1; c < 128; ++c) {
    value += static_cast<char>(c);
    std::string out;
    json::Writer(out).string(value);
    const auto parsed = json::parse(out);
    REQUIRE(parsed);
    CHECK(parsed->root().string() == value);
  }
}

TEST_CASE("json: a number is what it says, however oddly it says it") {
  const auto value_of = [](std::string_view number) {
    const auto parsed = json::parse(number);
    REQUIRE(parsed);
    return parsed->root().number().value();
  };
  // RapidJSON's own conversion makes numbers out of zeros that have an exponent.
  for (const char* zero : {"0e300", "0.0e100", "-0e99", "0e-300", "0.000e25", "-1E-999"}) {
    CAPTURE(zero);
    CHECK(value_of(zero) == 0);
  }
  CHECK(value_of("1e308") == 1e308);
  CHECK(value_of("0.1e-306") == 0.1e-306);
  CHECK(value_of("179769313486231570e291") == 1.7976931348623157e308);
  CHECK(value_of("2.2250738585072011e-308") == 2.2250738585072011e-308);
  CHECK(value_of("18446744073709551615") == 18446744073709551615.0);
  CHECK(value_of("18446744073709551616") == 18446744073709551616.0);
  CHECK(json::parse("-9223372036854775808")->root().integer() == INT64_MIN);
  CHECK_FALSE(json::parse("9223372036854775808")->root().integer());
  for (const char* large : {"1e309", "10e308", "-2e308", "1e999999999999"}) {
    CAPTURE(large);
    CHECK(code_of(json::parse(large)) == Errc::malformed);
  }
}

TEST_CASE("json: a number is written the same way when it is written again") {
  for (const char* number : {"0", "-0", "-0.0", "-1e-400", "1.0", "-5e-324", "0.1", "1e300",
                             "9223372036854775807", "18446744073709551615"}) {
    CAPTURE(number);
    const auto first = json::parse(number);
    REQUIRE(first);
    const auto again = json::parse(first->root().dump());
    REQUIRE(again);
    CHECK(*again->root().number() == *first->root().number());
    CHECK(again->root().dump() == first->root().dump());
  }
}
