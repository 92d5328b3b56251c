// Forms, headers and text as bytes, hostile ones included.
#include "providers/mime.hpp"

#include <doctest/doctest.h>

#include "base/text.hpp"

using namespace sara;
using namespace sara::providers;

TEST_CASE("mime: form data is cut at its boundary only") {
  const std::string body =
      "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--bx\r\n--b "
      "\t\r\n"
      "content-disposition: form-data; filename=\"f.txt\"; name=b\r\nContent-Type: "
      "text/plain\r\n\r\n"
      "\r\n--b--\r\nepilogue";
  // "--bx" begins with the delimiter, so it is a broken boundary, not content.
  CHECK_FALSE(mime::parse_form_data(body, "b"));
  const std::string good =
      "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--\r\nb\r\n--b "
      "\t\r\n"
      "content-disposition: form-data; filename=\"f.txt\"; name=b\r\nContent-Type: "
      "text/plain\r\n\r\n"
      "\r\n--b--\r\nepilogue";
  const auto parts = mime::parse_form_data(good, "b");
  REQUIRE(parts);
  REQUIRE(parts->size() == 2);
  CHECK((*parts)[0].name == "a");
  CHECK((*parts)[0].content == "one\r\n--\r\nb");
  CHECK_FALSE((*parts)[0].filename);
  CHECK((*parts)[1].name == "b");
  CHECK((*parts)[1].filename == "f.txt");
  CHECK((*parts)[1].content_type == "text/plain");
  CHECK((*parts)[1].content.empty());
  CHECK(mime::parse_form_data("--b--", "b")->empty());
  for (const char* bad : {"", "x", "--b", "--b\r\n", "--b\r\n\r\n--b--", "--b\r\n\r\n\r\n--b--",
                          "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
                          "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b",
                          "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx"}) {
    CAPTURE(bad);
    CHECK_FALSE(mime::parse_form_data(bad, "b"));
  }
}

TEST_CASE("mime: headers are unfolded and decoded") {
  const std::string_view headers =
      "A: 1\r\nSubject:  one\r\n two\r\n\tthree \r\nsubject: x\r\nEmpty:\r\n";
  CHECK(mime::header_value(headers, "SUBJECT") == "one two three");
  CHECK(mime::header_value(headers, "a") == "1");
  CHECK(mime::header_value(headers, "Empty").empty());
  CHECK(mime::header_value(headers, "Sub").empty());
  CHECK(mime::decode_header("=?utf-8?B?4pyT?= =?utf-8?Q?_ok?=") == "\u2713 ok");
  CHECK(mime::decode_header("plain \u00e9") == "plain \u00e9");
  CHECK(mime::decode_header("=?x-none?Q?a=E9?= b").find(" b") != std::string::npos);
  CHECK(text::valid_utf8(mime::decode_header("=?utf-8?Q?=FF=FE?= \xff")));
  CHECK(mime::decode_header("=?utf-8?Q?a=0D=0AX-Evil:_1?=") == "a X-Evil: 1");
}

TEST_CASE("mime: mailboxes") {
  const struct {
    const char* header;
    const char* expected;
  } cases[] = {
      {"ana@example.com", "|ana@example.com"},
      {"Ana <ana@EXAMPLE.com>", "Ana|ana@example.com"},
      {"\"P\u00e9rez, Ana\" <Ana@example.com>, bob@example.com", "P\u00e9rez, Ana|Ana@example.com"},
      {"=?utf-8?q?Ana_P=C3=A9rez?= <ana@example.com>", "Ana P\u00e9rez|ana@example.com"},
      {"undisclosed-recipients:;", "none"},
      {"", "none"},
      {"nobody", "none"},
      {"<", "none"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.header);
    const auto found = mime::first_mailbox(c.header);
    CHECK((found ? found->name + "|" + found->address : "none") == c.expected);
  }
}

TEST_CASE("mime: a mail nested without end does not overflow the stack") {
  std::string mail;
  for (int i = 0; i < 20'000; ++i)
    mail += "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\n\n--b" +
            std::to_string(i) + "\n";
  (void)mime::parse_mail(mail);
  std::string forwarded;
  for (int i = 0; i < 20'000; ++i) forwarded += "Content-Type: message/rfc822\n\n";
  (void)mime::parse_mail(forwarded);
  (void)mime::parse_mail("");
  (void)mime::parse_mail(std::string(10'000, '\0'));
  (void)mime::first_mailbox(std::string(10'000, '('));
  (void)mime::first_mailbox("a:" + std::string(10'000, 'a') + ":");
  CHECK(true);
}

TEST_CASE("mime: plain text of HTML") {
  const struct {
    const char* html;
    const char* text;
  } cases[] = {
      {"", ""},
      {"plain  text\n here", "plain text here"},
      {"<p>One</p>\n<p>Two<br>Three</p>", "One\n\nTwo\nThree"},
      {"a<b>b</b>c", "abc"},
      {"<td>a</td><td>b</td>", "a b"},
      {"<style>p{color:red}</style>x<script>if(a<b)alert('</p>')</script>y", "xy"},
      {"<SCRIPT>never</SCRIPT\n>shown", "shown"},
      {"<script>no end", ""},
      {"<!-- <p>hidden</p> -->seen<!-- open", "seen"},
      {"<a href=\"x>y\" title='>'>link</a>", "link"},
      {"1 < 2 && 3 > 2", "1 < 2 && 3 > 2"},
      {"&lt;b&gt; &amp;amp; &quot;&#39;&#x41;&#xe9;&nbsp;&euro;", "<b> &amp; \"'A\u00e9 \u20ac"},
      {"&unknown; &; &# &#x; &#xD800; &#0; &#99999999;",
       "&unknown; &; &# &#x; \uFFFD \uFFFD &#99999999;"},
      {"caf\u00e9 \U0001F44D", "caf\u00e9 \U0001F44D"},
      {"a<", "a<"},
      {"a<b", "a"},
      {"<div><div><div>x</div></div></div><div>y</div>", "x\n\ny"},
      {"<head><title>T</title><meta x></head><body>B</body>", "B"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.html);
    CHECK(mime::plain_text(c.html) == c.text);
  }
}
