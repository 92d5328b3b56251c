// Every malformed head we could think of, and what each is answered; and those that must pass.
#include "http/head.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sara::http;
using namespace std::string_literals;

namespace {

std::string with_line(const std::string& request_line) {
  return request_line + "\r\nHost: a.example\r\n\r\n";
}
std::string with_target(const std::string& target) {
  return with_line("GET " + target + " HTTP/1.1");
}
/// fields: lines with their CRLF
std::string with_fields(const std::string& fields) {
  return "POST /x HTTP/1.1\r\nHost: a.example\r\n" + fields + "\r\n";
}
std::string with_host_lines(const std::string& lines) {
  return "GET /x HTTP/1.1\r\n" + lines + "\r\n";
}
std::string with_host(const std::string& host) {
  return with_host_lines("Host: " + host + "\r\n");
}

std::string repeat(const std::string& s, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += s;
  return out;
}

std::string describe(const Refusal& refusal) {
  const auto& type = problem_type(refusal.problem);
  return std::to_string(type.status) + " " + std::string{type.type} +
         (refusal.close ? " close" : "");
}

/// "passed", "more", or the refusal.
std::string verdict(std::string_view bytes) {
  HeadReader reader;
  switch (reader.feed(bytes)) {
    case HeadReader::Progress::more:
      return "more";
    case HeadReader::Progress::refused:
      return describe(*reader.refusal());
    case HeadReader::Progress::complete:
      break;
  }
  Head head;
  const auto refusal = judge(bytes.substr(0, reader.size()), head);
  return refusal ? describe(*refusal) : "passed";
}

/// The same, byte by byte, as a slow client sends it.
std::string slow_verdict(std::string_view bytes) {
  HeadReader reader;
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    // A copy of exactly this size: reading beyond it is for the sanitizer to find.
    const std::string part{bytes.substr(0, n)};
    const auto progress = reader.feed(part);
    if (progress == HeadReader::Progress::more) continue;
    if (progress == HeadReader::Progress::refused) return describe(*reader.refusal());
    Head head;
    const auto refusal = judge(std::string_view{part}.substr(0, reader.size()), head);
    return refusal ? describe(*refusal) : "passed";
  }
  return "more";
}

struct Case {
  const char* name;
  std::string bytes;
};

void expect(const std::string& answer, const std::vector<Case>& cases) {
  for (const auto& [name, bytes] : cases) {
    CAPTURE(name);
    CHECK(verdict(bytes) == answer);
    CHECK(slow_verdict(bytes) == answer);
  }
}

Head judged(const std::string& bytes) {
  Head head;
  const auto refusal = judge(bytes, head);
  CHECK(!refusal);
  return head;
}

}  // namespace

TEST_CASE(
    "head: a request line or a header that is not HTTP is refused and the connection closed") {
  expect(
      "400 bad-request close",
      {
          {"no target, no version", "GET\r\nHost: a\r\n\r\n"},
          {"two spaces behind the method", with_line("GET  /x HTTP/1.1")},
          {"two spaces before the version", with_line("GET /x  HTTP/1.1")},
          {"a space in the target", with_line("GET /a b HTTP/1.1")},
          {"a space behind the version", with_line("GET /x HTTP/1.1 ")},
          {"a tab instead of a space", with_line("GET\t/x HTTP/1.1")},
          {"a tab behind the method", with_line("GET \t/x HTTP/1.1")},
          {"a tab in the target", with_target("/a\tb")},
          {"a leading space", with_line(" GET /x HTTP/1.1")},
          {"two empty lines first", "\r\n\r\n" + with_target("/x")},
          {"an empty request line", "\r\n\r\nHost: a\r\n\r\n"},
          {"a method with an at sign", with_line("G@T /x HTTP/1.1")},
          {"a method in brackets", with_line("(GET) /x HTTP/1.1")},
          {"a method with a NUL", with_line("GE\0T /x HTTP/1.1"s)},
          {"a method that is not ASCII", with_line("G\xc3\x89T /x HTTP/1.1")},
          {"a control character in the target", with_target("/a\x01"
                                                            "b")},
          {"an escape in the target", with_target("/a\x1b[2J")},
          {"DEL in the target", with_target("/a\x7f")},
          {"NUL in the target", with_target("/a\0b"s)},
          {"vertical tab in the target", with_target("/a\vb")},
          {"a bare CR in the request line", with_line("GET /x\rHTTP/1.1")},
          {"a bare CR in the target", with_target("/a\rb")},
          {"version in lower case", with_line("GET /x http/1.1")},
          {"version without a dot", with_line("GET /x HTTP/11")},
          {"version without a minor", with_line("GET /x HTTP/1")},
          {"version with a comma", with_line("GET /x HTTP/1,1")},
          {"version with three digits", with_line("GET /x HTTP/1.10")},
          {"version with a leading zero", with_line("GET /x HTTP/01.1")},
          {"version of something else", with_line("GET /x ICY/1.1")},
          {"version with a letter", with_line("GET /x HTTP/1.x")},
          {"bare LF behind the request line", "GET /x HTTP/1.1\nHost: a\r\n\r\n"},
          {"bare LF everywhere", "GET /x HTTP/1.1\nHost: a\n\n"},
          {"bare LF behind a header", with_fields("A: b\nC: d\r\n")},
          {"bare LF as the empty line", "GET /x HTTP/1.1\r\nHost: a\r\n\n"},
          {"LF CR", "GET /x HTTP/1.1\r\nHost: a\n\r\n\r"},
          {"a bare CR in a value", with_fields("A: b\rC: d\r\n")},
          {"a bare CR behind the colon", with_fields("A:\rb\r\n")},
          {"CR CR LF", with_fields("A: b\r\r\n")},
          {"bare CRs everywhere", "GET /x HTTP/1.1\rHost: a\r\r"},
          {"NUL in a value", with_fields("A: b\0c\r\n"s)},
          {"NUL in a name", with_fields("A\0: b\r\n"s)},
          {"a control character in a value", with_fields("A: b\x02\r\n")},
          {"vertical tab behind chunked", with_fields("Transfer-Encoding: chunked\v\r\n")},
          {"form feed in a value", with_fields("A: \f\r\n")},
          {"DEL in a value", with_fields("A: b\x7f\r\n")},
          {"a folded header, space", with_fields("A: b\r\n c\r\n")},
          {"a folded header, tab", with_fields("A: b\r\n\tc\r\n")},
          {"a folded first header", "GET /x HTTP/1.1\r\n Host: a\r\n\r\n"},
          {"folded framing", with_fields("Transfer-Encoding:\r\n chunked\r\n")},
          {"a line of spaces", with_fields("A: b\r\n  \r\n")},
          {"space before the colon", with_fields("A : b\r\n")},
          {"space before the colon of the length", with_fields("Content-Length : 5\r\n")},
          {"tab before the colon of the coding", with_fields("Transfer-Encoding\t: chunked\r\n")},
          {"no name", with_fields(": b\r\n")},
          {"no colon", with_fields("Nonsense\r\n")},
          {"a space in a name", with_fields("A b: c\r\n")},
          {"a name in quotes", with_fields("\"A\": b\r\n")},
          {"a name with a slash", with_fields("A/b: c\r\n")},
          {"a name with brackets", with_fields("A[b]: c\r\n")},
          {"a name with a comma", with_fields("A,B: c\r\n")},
          {"a name with an equals sign", with_fields("A=b: c\r\n")},
          {"a name that is not ASCII", with_fields("\xc3\x84: c\r\n")},
          {"a control character in a name", with_fields("\x01: c\r\n")},
          {"a TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s},
          {"an SSH-like greeting without a version", "\x80\x2e\x01\x03"s},
          {"a JSON body without a head", "{\"a\": 1}\r\n\r\n"},
      });
}

TEST_CASE("head: whoever states the body's length in an odd way is refused and cut") {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string five = "Content-Length: 5\r\n";
  expect("400 bad-framing close",
         {
             {"both", with_fields(five + chunked)},
             {"both, the other way round", with_fields(chunked + five)},
             {"both, of length 0", with_fields("Content-Length: 0\r\n" + chunked)},
             {"both, other coding", with_fields(five + "Transfer-Encoding: identity\r\n")},
             {"two equal lengths", with_fields(five + five)},
             {"two lengths", with_fields(five + "Content-Length: 6\r\n")},
             {"two lengths, other case", with_fields(five + "content-length: 5\r\n")},
             {"two equal lengths in one line", with_fields("Content-Length: 5, 5\r\n")},
             {"two lengths in one line", with_fields("Content-Length: 5,6\r\n")},
             {"length with a plus", with_fields("Content-Length: +5\r\n")},
             {"length with a minus", with_fields("Content-Length: -5\r\n")},
             {"minus zero", with_fields("Content-Length: -0\r\n")},
             {"two numbers", with_fields("Content-Length: 5 5\r\n")},
             {"hexadecimal length", with_fields("Content-Length: 0x5\r\n")},
             {"length of letters", with_fields("Content-Length: five\r\n")},
             {"length with a letter", with_fields("Content-Length: 5b\r\n")},
             {"length with a point", with_fields("Content-Length: 5.0\r\n")},
             {"length with an exponent", with_fields("Content-Length: 1e3\r\n")},
             {"length with an underscore", with_fields("Content-Length: 1_000\r\n")},
             {"length in quotes", with_fields("Content-Length: \"5\"\r\n")},
             {"length with a leading zero", with_fields("Content-Length: 05\r\n")},
             {"empty length", with_fields("Content-Length:\r\n")},
             {"blank length", with_fields("Content-Length:   \r\n")},
             {"length with a semicolon", with_fields("Content-Length: 5;\r\n")},
             {"length over 64 bits", with_fields("Content-Length: 18446744073709551616\r\n")},
             {"length that wraps to 5", with_fields("Content-Length: 18446744073709551621\r\n")},
             {"length of 400 digits", with_fields("Content-Length: " + repeat("9", 400) + "\r\n")},
             {"length in full-width digits", with_fields("Content-Length: \xef\xbc\x95\r\n")},
             {"identity", with_fields("Transfer-Encoding: identity\r\n")},
             {"gzip", with_fields("Transfer-Encoding: gzip\r\n")},
             {"gzip, chunked", with_fields("Transfer-Encoding: gzip, chunked\r\n")},
             {"chunked, identity", with_fields("Transfer-Encoding: chunked, identity\r\n")},
             {"identity, chunked", with_fields("Transfer-Encoding: identity, chunked\r\n")},
             {"chunked, chunked", with_fields("Transfer-Encoding: chunked, chunked\r\n")},
             {"chunked twice", with_fields(chunked + chunked)},
             {"chunked, then identity", with_fields(chunked + "Transfer-Encoding: identity\r\n")},
             {"identity, then chunked", with_fields("Transfer-Encoding: identity\r\n" + chunked)},
             {"xchunked", with_fields("Transfer-Encoding: xchunked\r\n")},
             {"chunkedx", with_fields("Transfer-Encoding: chunkedx\r\n")},
             {"Chunked", with_fields("Transfer-Encoding: Chunked\r\n")},
             {"CHUNKED", with_fields("Transfer-Encoding: CHUNKED\r\n")},
             {"chunked in quotes", with_fields("Transfer-Encoding: \"chunked\"\r\n")},
             {"chunked with a comma", with_fields("Transfer-Encoding: chunked,\r\n")},
             {"a comma, chunked", with_fields("Transfer-Encoding: ,chunked\r\n")},
             {"chunked with a parameter", with_fields("Transfer-Encoding: chunked;q=1\r\n")},
             {"chunked with a tab inside", with_fields("Transfer-Encoding: chun\tked\r\n")},
             {"no coding", with_fields("Transfer-Encoding:\r\n")},
             {"a coding in HTTP/1.0",
              "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
         });
}

TEST_CASE("head: exactly one good Host") {
  expect("400 bad-host close", {
                                   {"none", "GET /x HTTP/1.1\r\n\r\n"},
                                   {"none, but others", with_host_lines("A: b\r\n")},
                                   {"two", with_host_lines("Host: a\r\nHost: b\r\n")},
                                   {"two equal ones", with_host_lines("Host: a\r\nhost: a\r\n")},
                                   {"empty", with_host("")},
                                   {"blank", with_host("   ")},
                                   {"two in one line", with_host("a, b")},
                                   {"two words", with_host("a b")},
                                   {"with a path", with_host("a/x")},
                                   {"with a scheme", with_host("http://a")},
                                   {"with userinfo", with_host("me@a")},
                                   {"with userinfo and port", with_host("me:secret@a:80")},
                                   {"with a query", with_host("a?x")},
                                   {"with a fragment", with_host("a#x")},
                                   {"with a backslash", with_host("a\\b")},
                                   {"with a percent sign", with_host("a%00b")},
                                   {"not ASCII", with_host("b\xc3\xbc"
                                                           "cher.example")},
                                   {"an empty label", with_host("a..b")},
                                   {"a leading dot", with_host(".a")},
                                   {"a port without digits", with_host("a:")},
                                   {"a port of letters", with_host("a:http")},
                                   {"a signed port", with_host("a:+80")},
                                   {"port 0", with_host("a:0")},
                                   {"port 65536", with_host("a:65536")},
                                   {"a port of six digits", with_host("a:000080")},
                                   {"two ports", with_host("a:80:80")},
                                   {"only a port", with_host(":80")},
                                   {"IPv6 without brackets", with_host("::1")},
                                   {"an open bracket", with_host("[::1")},
                                   {"empty brackets", with_host("[]")},
                                   {"brackets around a name", with_host("[a.example]")},
                                   {"IPv6 with something behind", with_host("[::1]x")},
                                   {"IPv6 with a zone", with_host("[fe80::1%25eth0]")},
                                   {"a quote", with_host("\"a\"")},
                                   {"too long", with_host(repeat("a", 300))},
                               });
}

TEST_CASE("head: a target is a path of percent-encoded UTF-8") {
  expect("400 bad-target",
         {
             {"%00", with_target("/a%00b")},
             {"%00 in the query", with_target("/a?b=%00")},
             {"%zz", with_target("/a%zz")},
             {"%4", with_target("/a%4")},
             {"%4 before a query", with_target("/a%4?b")},
             {"% at the end", with_target("/a%")},
             {"%%41", with_target("/a%%41")},
             {"%u0041", with_target("/%u0041")},
             {"%-1", with_target("/%-1")},
             {"%zz in the query", with_target("/a?b=%zz")},
             {"% at the end of the query", with_target("/a?b=%")},
             {"a dot-dot segment", with_target("/a/../b")},
             {"a dot-dot segment at the end", with_target("/a/..")},
             {"dot-dot at once", with_target("/..")},
             {"encoded dot-dot", with_target("/a/%2e%2e/b")},
             {"half-encoded dot-dot", with_target("/a/.%2E/b")},
             {"a dot segment", with_target("/a/./b")},
             {"a dot segment at the end", with_target("/a/.")},
             {"dot-dot before a query", with_target("/a/..?b")},
             {"an encoded slash", with_target("/a%2fb")},
             {"dot-dot with an encoded slash", with_target("/..%2f..%2fetc%2fpasswd")},
             {"a leading double slash", with_target("//evil.example/x")},
             {"a double slash alone", with_target("//")},
             {"a backslash", with_target("/a\\b")},
             {"a leading backslash", with_target("/\\evil.example")},
             {"an encoded backslash", with_target("/a%5cb")},
             {"a backslash in the query", with_target("/a?b=\\")},
             {"an encoded CR LF", with_target("/a%0d%0aSet-Cookie:x")},
             {"an encoded DEL", with_target("/a%7f")},
             {"overlong slash", with_target("/a%c0%afb")},
             {"overlong dot", with_target("/%c0%ae%c0%ae/b")},
             {"overlong slash, three bytes", with_target("/a%e0%80%afb")},
             {"overlong NUL", with_target("/a%c0%80")},
             {"half a code point", with_target("/a%c3")},
             {"a stray continuation", with_target("/a%a9")},
             {"a surrogate", with_target("/a%ed%a0%80")},
             {"above U+10FFFF", with_target("/a%f4%90%80%80")},
             {"Latin-1 in the query", with_target("/a?b=%e9")},
             {"overlong in the query", with_target("/a?b=%c0%af")},
             {"raw UTF-8", with_target("/caf\xc3\xa9")},
             {"a raw byte", with_target("/a\xff")},
             {"raw UTF-8 in the query", with_target("/a?b=\xc3\xa9")},
             {"a fragment", with_target("/a#b")},
             {"a fragment behind the query", with_target("/a?b#c")},
             {"only a fragment", with_target("#")},
             {"a relative path", with_target("a/b")},
             {"only a query", with_target("?a")},
             {"an asterisk", with_target("*")},
             {"authority form", with_target("a.example:80")},
             {"another authority", with_target("http://b.example/x")},
             {"another port", with_target("http://a.example:8080/x")},
             {"userinfo", with_target("http://me@a.example/x")},
             {"userinfo that looks like the host", with_target("http://a.example@evil.example/x")},
             {"no authority", with_target("http:///x")},
             {"another scheme", with_target("ftp://a.example/x")},
             {"a file", with_target("file:///etc/passwd")},
             {"a scheme without slashes", with_target("javascript:alert(1)")},
             {"absolute form with a dot segment", with_target("http://a.example/../x")},
             {"absolute form with a double slash", with_target("http://a.example//x")},
         });
}

TEST_CASE("head: sizes are bounded") {
  const auto field = [](std::size_t n) { return "F" + std::to_string(n) + ": v\r\n"; };
  std::string many;
  for (std::size_t i = 0; i < 100; ++i) many += field(i);
  expect("414 uri-too-long close",
         {
             {"8 KiB and one byte", with_target("/" + repeat("a", 8192))},
             {"a long query", with_target("/?" + repeat("a", 9000))},
             {"a target without an end", "GET /" + repeat("a", 20000)},
             {"bytes without an end", repeat("a", 20000)},
             {"a target of 30 KiB", with_target("/" + repeat("a", 30000))},
         });
  expect("431 headers-too-large close",
         {
             {"101 fields", with_fields(many)},
             {"101 fields, no end", "POST /x HTTP/1.1\r\nHost: a\r\n" + many + "A: b"},
             {"one large field", with_fields("A: " + repeat("b", 17000) + "\r\n")},
             {"a field without an end", "POST /x HTTP/1.1\r\nHost: a\r\nA: " + repeat("b", 17000)},
             {"a name without an end", "POST /x HTTP/1.1\r\nHost: a\r\n" + repeat("b", 17000)},
             {"many middling fields", with_fields(repeat("A: " + repeat("b", 400) + "\r\n", 50))},
             {"100 000 short fields", with_fields(repeat("A:b\r\n", 100'000))},
         });
}

TEST_CASE("head: HTTP/1.1 is what is spoken here") {
  expect("505 http-version close",
         {
             {"1.0", with_line("GET /x HTTP/1.0")},
             {"1.0 without Host", "GET /x HTTP/1.0\r\n\r\n"},
             {"0.9", "GET /x\r\n"},
             {"0.9 with headers", with_line("GET /x")},
             {"1.2", with_line("GET /x HTTP/1.2")},
             {"2.0", with_line("GET /x HTTP/2.0")},
             {"3.0", with_line("GET /x HTTP/3.0")},
             {"0.0", with_line("GET /x HTTP/0.0")},
             {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
         });
}

TEST_CASE("head: methods are a closed list, in upper case") {
  expect("501 method-not-allowed", {
                                       {"get", with_line("get /x HTTP/1.1")},
                                       {"Post", with_line("Post /x HTTP/1.1")},
                                       {"CONNECT", with_line("CONNECT a.example:443 HTTP/1.1")},
                                       {"TRACE", with_line("TRACE /x HTTP/1.1")},
                                       {"PROPFIND", with_line("PROPFIND /x HTTP/1.1")},
                                       {"GETT", with_line("GETT /x HTTP/1.1")},
                                       {"GE", with_line("GE /x HTTP/1.1")},
                                       {"M-SEARCH", with_line("M-SEARCH * HTTP/1.1")},
                                       {"a long one", with_line(repeat("A", 60) + " /x HTTP/1.1")},
                                   });
}

TEST_CASE("head: no expectation but 100-continue") {
  expect("417 expectation close",
         {
             {"another", with_fields("Expect: 200-ok\r\n")},
             {"empty", with_fields("Expect:\r\n")},
             {"two in a line", with_fields("Expect: 100-continue, x\r\n")},
             {"two lines", with_fields("Expect: 100-continue\r\nExpect: x\r\n")},
         });
}

TEST_CASE("head: what is right passes") {
  std::string hundred;
  for (int i = 0; i < 99; ++i) hundred += "F" + std::to_string(i) + ": v\r\n";
  expect("passed",
         {
             {"the least", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
             {"one empty line first", "\r\n" + with_target("/x")},
             {"HEAD", with_line("HEAD /x HTTP/1.1")},
             {"POST", with_line("POST /x HTTP/1.1")},
             {"PUT", with_line("PUT /x HTTP/1.1")},
             {"PATCH", with_line("PATCH /x HTTP/1.1")},
             {"DELETE", with_line("DELETE /x HTTP/1.1")},
             {"OPTIONS", with_line("OPTIONS /x HTTP/1.1")},
             {"OPTIONS *", with_line("OPTIONS * HTTP/1.1")},
             {"host with a port", with_host("a.example:8002")},
             {"host in upper case", with_host("A.EXAMPLE")},
             {"host with a final dot", with_host("a.example.")},
             {"host with an underscore", with_host("my_service:80")},
             {"IPv4", with_host("127.0.0.1:8002")},
             {"IPv6", with_host("[::1]")},
             {"IPv6 with a port", with_host("[2001:db8::1]:8002")},
             {"no space behind the colon", with_host_lines("Host:a\r\n")},
             {"tabs around a value", with_host_lines("Host:\ta\t \r\n")},
             {"name in capitals", with_host_lines("HOST: a\r\n")},
             {"an empty value", with_fields("A:\r\n")},
             {"a value with a tab", with_fields("A: b\tc\r\n")},
             {"a value that is not ASCII", with_fields("User-Agent: caf\xc3\xa9\r\n")},
             {"a value with colons", with_fields("A: b:c::d\r\n")},
             {"all token characters", with_fields("!#$%&'*+-.^_`|~09azAZ: b\r\n")},
             {"the same name twice", with_fields("A: b\r\nA: c\r\n")},
             {"length 0", with_fields("Content-Length: 0\r\n")},
             {"length", with_fields("content-length: 700\r\n")},
             {"length with blanks around", with_fields("Content-Length:  700 \r\n")},
             {"chunked", with_fields("Transfer-Encoding: chunked\r\n")},
             {"chunked with blanks around", with_fields("transfer-encoding:\tchunked \r\n")},
             {"Expect", with_fields("Expect: 100-Continue\r\nContent-Length: 1\r\n")},
             {"100 fields", with_fields(hundred)},
             {"a field of 16 000 bytes", with_fields("A: " + repeat("b", 16'000) + "\r\n")},
             {"a target of 8 KiB", with_target("/" + repeat("a", 8191))},
             {"both at their limits", "GET /" + repeat("a", 8191) + " HTTP/1.1\r\nHost: a\r\nA: " +
                                          repeat("b", 16'000) + "\r\n\r\n"},
             {"an encoded letter", with_target("/%61pi")},
             {"encoded UTF-8", with_target("/caf%C3%A9/%e2%82%ac")},
             {"an emoji", with_target("/%F0%9F%98%80")},
             {"a query", with_target("/x?a=b&c=d")},
             {"an empty query", with_target("/x?")},
             {"a query with a slash and a mark", with_target("/x?a=/b?c")},
             {"a query of braces", with_target("/x?a={b|c}")},
             {"dots in a name", with_target("/a..b/..c/d../.well-known/...")},
             {"two slashes inside", with_target("/a//b")},
             {"a slash at the end", with_target("/a/")},
             {"dot-dot in the query", with_target("/a?b=/../c")},
             {"a newline in the query", with_target("/a?b=%0A")},
             {"two slashes in the query", with_target("/a?b=http://c//d")},
             {"absolute form", with_target("http://a.example/x")},
             {"absolute form, other case", with_target("HTTP://A.example/x?y")},
             {"absolute form without a path", with_target("http://a.example")},
             {"absolute form with only a query", with_target("http://a.example?x")},
             {"two credentials (judged later)",
              with_fields("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")},
         });
}

TEST_CASE("head: a head that has not ended is waited for") {
  const auto whole = with_fields("Content-Length: 5\r\n");
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK(verdict(whole.substr(0, n)) == "more");
  CHECK(verdict(whole) == "passed");
}

TEST_CASE("head: the reader stops at the empty line, whatever stands behind") {
  const auto first = with_target("/one");
  HeadReader reader;
  CHECK(reader.feed(first + "\0\xff\n\n"s) == HeadReader::Progress::complete);
  CHECK(reader.size() == first.size());
  reader.reset();
  CHECK(reader.feed("\r\n" + first + first) == HeadReader::Progress::complete);
  CHECK(reader.size() == first.size() + 2);
}

TEST_CASE("head: what was understood") {
  const auto bytes =
      "POST http://A.example/caf%C3%A9/b?q=a%20b+c&flag&x=%26 HTTP/1.1\r\n"
      "host: a.EXAMPLE\r\nContent-Length: 4711\r\nConnection: Upgrade, close\r\n"
      "Expect: 100-continue\r\nAuthorization: x\r\nAuthorization: y\r\nContent-Type: z\r\n\r\n"s;
  const auto head = judged(bytes);
  CHECK(head.method == "POST");
  CHECK(head.target == "http://A.example/caf%C3%A9/b?q=a%20b+c&flag&x=%26");
  CHECK(head.path == "/caf\xc3\xa9/b");
  CHECK(head.raw_query == "q=a%20b+c&flag&x=%26");
  CHECK(head.query == Pairs{{"q", "a b c"}, {"flag", ""}, {"x", "&"}});
  CHECK(head.content_length == 4711);
  CHECK(!head.chunked);
  CHECK(head.close);
  CHECK(head.upgrade);
  CHECK(head.expect_continue);
  CHECK(head.authorizations == 2);
  CHECK(head.content_types == 1);
  CHECK(head.fields.size() == 7);
  CHECK(head.fields[0].name == "host");
  CHECK(head.fields[0].value == "a.EXAMPLE");
  CHECK(judged(with_fields("Transfer-Encoding: chunked\r\n")).chunked);
  CHECK(judged(with_target("http://a.example?x")).path == "/");
}

TEST_CASE("head: a head used before leaves nothing behind") {
  Head head;
  CHECK(!judge(with_fields("Content-Length: 5\r\nConnection: close\r\nA: b\r\n"), head));
  CHECK(!judge(with_target("/y"), head));
  CHECK(head.content_length == 0);
  CHECK(!head.close);
  CHECK(head.query.empty());
  CHECK(head.fields.size() == 1);
}

TEST_CASE("head: any bytes get a verdict, and the same one piece by piece") {
  // A small fuzzer with a fixed seed: a good head with bytes changed, dropped and doubled.
  const auto good = "POST /a%20b?c=d HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nA: b\r\n\r\n"s;
  const std::string spice = "\r\n\0 \t:/%?#.,0aZ\x7f\xc3\\"s;
  std::uint64_t state = 42;
  const auto draw = [&state](std::size_t below) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<std::size_t>(state >> 33) % below;
  };
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good;
    for (auto changes = 1 + draw(3); changes > 0; --changes) {
      const auto at = draw(bytes.size());
      if (const auto kind = draw(3); kind == 0) {
        bytes[at] = spice[draw(spice.size())];
      } else if (kind == 1) {
        bytes.erase(at, 1);
      } else {
        bytes.insert(at, 1, spice[draw(spice.size())]);
      }
    }
    const auto at_once = verdict(bytes);
    const auto slowly = slow_verdict(bytes);
    // A head that is refused early and one that is refused at its end may differ in the reason
    // only.
    CAPTURE(bytes);
    CHECK((at_once == "passed") == (slowly == "passed"));
    CHECK((at_once == "more") == (slowly == "more"));
  }
}
