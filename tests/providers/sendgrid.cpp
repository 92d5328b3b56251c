// SendGrid: signed batches of events, and inbound mail.
#include "providers/channels/sendgrid.hpp"

#include "base/crypto.hpp"
#include "tests/providers/support.hpp"

using namespace sara;
using namespace sara::providers;
using namespace std::literals;

namespace {

const char* const signature_header = "X-Twilio-Email-Event-Webhook-Signature";
const char* const timestamp_header = "X-Twilio-Email-Event-Webhook-Timestamp";

const crypto::EcdsaPrivateKey& private_key() {
  static const auto key = crypto::EcdsaPrivateKey::generate();
  return key;
}

Fields credentials(const Fields& more = {}) {
  Fields out = {{"api_key", "SG.x"}, {"webhook_public_key", private_key().public_der_base64()}};
  out.insert(more.begin(), more.end());
  return out;
}

const ChannelCodec& plain_codec() {
  static const auto codec = codec_of(domain::Provider::sendgrid, credentials());
  return *codec;
}

Sent signed_sent(Sent sent, const std::string& timestamp = "1700000300") {
  const std::string_view parts[] = {timestamp, sent.body};
  sent.headers[signature_header] = crypto::to_base64(private_key().sign(parts));
  sent.headers[timestamp_header] = timestamp;
  return sent;
}

Sent batch(const std::string& body, const std::string& timestamp = "1700000300") {
  Sent sent;
  sent.body = body;
  return signed_sent(sent, timestamp);
}

std::string told(const std::string& body) {
  return story(receive(plain_codec(), batch(body)));
}

struct Part {
  std::string name;
  std::string content;
  std::string more_disposition = "";
  std::string content_type = "";
};

Sent form(const std::vector<Part>& parts, const std::string& boundary = "xYzZY") {
  Sent sent;
  sent.content_type = "multipart/form-data; boundary=" + boundary;
  for (const auto& part : parts) {
    sent.body += "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + part.name +
                 "\"" + part.more_disposition + "\r\n";
    if (!part.content_type.empty()) sent.body += "Content-Type: " + part.content_type + "\r\n";
    sent.body += "\r\n" + part.content + "\r\n";
  }
  sent.body += "--" + boundary + "--\r\n";
  return sent;
}

const std::vector<Part> sample_mail = {
    {"headers", "Received: by x\r\nMessage-ID: <m1@example.com>\r\nSubject: Hi\r\n"},
    {"to", "reply+tok@parse.example.com"},
    {"from", "Ana <ana@Example.COM>"},
    {"envelope", R"({"to":["reply+tok@parse.example.com"],"from":"ana@example.com"})"},
    {"subject", "Caf\u00e9"},
    {"text", "caf\xE9"},
    {"charsets", R"({"to":"UTF-8","from":"UTF-8","subject":"UTF-8","text":"iso-8859-1"})"},
    {"attachments", "0"},
    {"SPF", "pass"},
    {"dkim", "{@example.com : pass}"},
};

std::vector<Part> mail_with(std::vector<Part> changes) {
  std::vector<Part> out = sample_mail;
  for (auto& change : changes) {
    const auto same = [&](const Part& p) { return p.name == change.name; };
    std::erase_if(out, same);
    out.push_back(std::move(change));
  }
  return out;
}

std::string mailed(const std::vector<Part>& parts) {
  return story(receive(plain_codec(), form(parts)));
}

}  // namespace

TEST_CASE("sendgrid: the published vector verifies, and nothing close to it does") {
  const auto codec =
      codec_of(domain::Provider::sendgrid,
               {{"api_key", "SG.x"},
                {"webhook_public_key",
                 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENgobIu2gOLLVdOSRRuj2xG2NYwoFQwgyw6XJOClEe/"
                 "rK4O4M7hSTBP5htaDGSNtc6Gx25FFsfL+KNEsic5PUSA=="}});
  Sent good;
  good.body = R"([{"email":"a@example.com","event":"open","timestamp":1700000000,)"
              R"("sg_event_id":"ZTE","sg_message_id":"m.1"}])"
              "\r\n";
  good.headers = {{signature_header,
                   "MEQCICcVmnWk8F+pYoVOowLz5xHmVh4zQtT1seIzKfgd6g1RAiBYdQTNqNalpFBk/"
                   "b1enkVUj1YjRPmqVOzxquJLrdUK7A=="},
                  {timestamp_header, "1700000005"}};
  CHECK(story(receive(*codec, good)) ==
        "receipt email read id=m to=a@example.com at=1700000000000 event=open");
  CHECK(keys(receive(*codec, good)) == "s/m:ZTE");

  const auto refused = [&](auto change, TimePoint at = now) {
    Sent bad = good;
    change(bad);
    return story(receive(*codec, bad, at));
  };
  const auto unchanged = [](Sent&) {};
  CHECK(refused([](Sent& s) { s.body.resize(s.body.size() - 2); }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.body.insert(1, " "); }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers.erase(signature_header); }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers.erase(timestamp_header); }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[timestamp_header] = "1700000006"; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[timestamp_header] = "01700000005"; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[timestamp_header] = "1700000005 "; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[timestamp_header] = "-1"; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[timestamp_header] = "99999999999999999999"; }) ==
        "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[signature_header].pop_back(); }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[signature_header] = "AAAA"; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers[signature_header] = "not base64"; }) == "bad_signature");
  CHECK(refused([](Sent& s) {
          // r = s = 0.
          s.headers[signature_header] = crypto::to_base64("\x30\x06\x02\x01\x00\x02\x01\x00"sv);
        }) == "bad_signature");
  CHECK(refused([](Sent& s) {
          // The two numbers side by side, as IEEE P1363 writes them.
          const auto der = *crypto::from_base64(s.headers[signature_header]);
          s.headers[signature_header] =
              crypto::to_base64(der.substr(4, 32) + der.substr(4 + 32 + 2, 32));
        }) == "bad_signature");
  CHECK(refused([](Sent& s) {
          s.headers[signature_header] = crypto::to_base64(
              *crypto::from_base64(s.headers[signature_header]) + std::string(1, '\0'));
        }) == "bad_signature");
  const TimePoint at{std::chrono::seconds{1'700'000'005}};
  CHECK(refused(unchanged, at + 48h) != "bad_signature");
  CHECK(refused(unchanged, at + 48h + 1s) == "bad_signature");
  CHECK(refused(unchanged, at - 5min) != "bad_signature");
  CHECK(refused(unchanged, at - 5min - 1s) == "bad_signature");
}

TEST_CASE("sendgrid: settings and keys") {
  const auto pointer = [](const Fields& settings) {
    return pointers(make_codec(domain::Provider::sendgrid, credentials(), settings));
  };
  CHECK(pointer({{"webhook_tolerance_past_s", "60"}}) == "ok");
  CHECK(pointer({{"webhook_tolerance_past_s", "0"}}) == "/settings/webhook_tolerance_past_s");
  CHECK(pointer({{"webhook_tolerance_past_s", "soon"}}) == "/settings/webhook_tolerance_past_s");
  CHECK(pointer({{"inbound_signature_required", "yes"}}) == "/settings/inbound_signature_required");
  const auto strict =
      codec_of(domain::Provider::sendgrid, credentials(), {{"webhook_tolerance_past_s", "60"}});
  CHECK(story(receive(*strict, batch("[]", "1700000240"))).empty());
  CHECK(story(receive(*strict, batch("[]", "1700000239"))) == "bad_signature");

  const auto next = crypto::EcdsaPrivateKey::generate();
  const auto rotating =
      codec_of(domain::Provider::sendgrid,
               {{"api_key", "SG.x"},
                {"webhook_public_key", next.public_der_base64()},
                {"webhook_public_key_previous", private_key().public_der_base64()}});
  CHECK(receive(*rotating, batch("[]")));
  const auto only_next =
      codec_of(domain::Provider::sendgrid,
               {{"api_key", "SG.x"}, {"webhook_public_key", next.public_der_base64()}});
  CHECK_FALSE(receive(*only_next, batch("[]")));
}

TEST_CASE("sendgrid: one event of each family") {
  const std::string body =
      R"([{"email":"ana@Example.com","timestamp":1700000000,"smtp-id":"<m1@ismtpd>","event":"processed","category":["news"],"sg_event_id":"cA","sg_message_id":"Xid.recvd-1.0","tenant_id":"acme","message_id":"our-1"},
{"email":"ana@example.com","timestamp":1700000003,"event":"deferred","response":"451 try later","attempt":"2","sg_event_id":"cB","sg_message_id":"Xid.recvd-1.0"},
{"email":"ana@example.com","timestamp":1700000009,"event":"delivered","response":"250 OK","sg_event_id":"cC","sg_message_id":"Xid.recvd-1.0"},
{"email":"ana@example.com","timestamp":1700000100,"event":"open","useragent":"Mozilla/5.0","ip":"203.0.113.9","sg_machine_open":false,"sg_event_id":"cD","sg_message_id":"Xid.recvd-1.0"},
{"email":"ana@example.com","timestamp":1700000100,"event":"open","sg_machine_open":true,"sg_event_id":"cD2","sg_message_id":"Xid.recvd-1.0"},
{"email":"ana@example.com","timestamp":1700000110,"event":"click","url":"https://www.example.com/?a=1","useragent":"Mozilla/5.0","ip":"203.0.113.9","sg_event_id":"cE","sg_message_id":"Xid.recvd-1.0"},
{"email":"bob@example.com","timestamp":1700000005,"event":"bounce","type":"bounce","status":"5.1.1","reason":"550 unknown","sg_event_id":"cF","sg_message_id":"Yid.recvd-1.0"},
{"email":"bob@example.com","timestamp":1700000006,"event":"bounce","type":"blocked","status":"5.7.1","reason":"550 blocked","sg_event_id":"cG","sg_message_id":"Zid.recvd-1.0"},
{"email":"eve@example.com","timestamp":1700000001,"event":"dropped","reason":"Unsubscribed Address","status":"5.0.0","sg_event_id":"cH","sg_message_id":"Wid.recvd-1.0"},
{"email":"ana@example.com","timestamp":1700000200,"event":"spamreport","sg_event_id":"cI","sg_message_id":"Xid.recvd-1.0"},
{"email":"ana@example.com","timestamp":1700000201,"event":"group_unsubscribe","asm_group_id":10,"url":"https://example.com/","ip":"203.0.113.9","useragent":"Mozilla/5.0","sg_event_id":"cJ","sg_message_id":"Xid.recvd-1.0"},
{"event":"unsubscribe","sg_event_id":"cK"},{"event":"group_resubscribe","sg_event_id":"cL"},
{"event":"account_status_change","type":"compliance_deactivate","sg_event_id":"cM"}])";
  const auto received = receive(plain_codec(), batch(body));
  CHECK(story(received) ==
        "receipt email sent id=Xid to=ana@example.com at=1700000000000 event=processed ref=our-1\n"
        "kept deferred\n"
        "receipt email delivered id=Xid to=ana@example.com at=1700000009000 event=delivered\n"
        "receipt email read id=Xid to=ana@example.com at=1700000100000 event=open\n"
        "kept machine_open\n"
        "receipt email read id=Xid to=ana@example.com at=1700000110000 event=click\n"
        "receipt email bounced id=Yid to=bob@example.com at=1700000005000 event=bounce code=5.1.1 "
        "detail=550 unknown\n"
        "receipt email failed id=Zid to=bob@example.com at=1700000006000 event=blocked code=5.7.1 "
        "detail=550 blocked\n"
        "receipt email failed id=Wid to=eve@example.com at=1700000001000 event=dropped code=5.0.0 "
        "detail=Unsubscribed Address\n"
        "receipt email complained id=Xid to=ana@example.com at=1700000200000 event=spamreport\n"
        "kept group_unsubscribe\n"
        "kept unsubscribe\n"
        "kept group_resubscribe\n"
        "kept event:account_status_change");
  CHECK(
      keys(received) ==
      "s/Xid:cA s/Xid:cB s/Xid:cC s/Xid:cD s/Xid:cD2 s/Xid:cE s/Yid:cF s/Zid:cG s/Wid:cH s/Xid:cI "
      "s/Xid:cJ s/cK s/cL s/cM");
  CHECK(std::get<domain::Receipt>(received->front().what).key == "Xid:cA");
  for (const auto& event : *received) {
    const auto again = receive(plain_codec(), batch(event.raw));
    REQUIRE(again);
    REQUIRE(again->size() == 1);
    CHECK(line(again->front()) == line(event));
    CHECK(again->front().dedupe_key == event.dedupe_key);
  }
}

TEST_CASE("sendgrid: one bad element does not spoil the batch") {
  const auto received = receive(
      plain_codec(),
      batch("[{\"event\":\"delivered\",\"sg_message_id\":\"a.b\",\"sg_event_id\":\"e1\"},\r\n"
            "42,null,[],{},{\"event\":7},\r\n"
            "{\"event\":\"delivered\",\"sg_message_id\":\"c\",\"email\":\"x\",\"timestamp\":"
            "\"1700000001\"}]\r\n"));
  CHECK(story(received) ==
        "receipt email delivered id=a event=delivered\n"
        "unusable an element that is no object\n"
        "unusable an element that is no object\n"
        "unusable an element that is no object\n"
        "unusable an event without its name\n"
        "unusable an event without its name\n"
        "receipt email delivered id=c to=x at=1700000001000 event=delivered");
  REQUIRE(received);
  CHECK((*received)[1].raw == "[42]");
  CHECK((*received)[6].dedupe_key.starts_with("s/c:#"));
  CHECK((*received)[6].dedupe_key.size() == 5 + 64);
}

TEST_CASE("sendgrid: signed but unreadable is kept whole") {
  const struct {
    std::string body;
    const char* reason;
  } cases[] = {
      {"", "unusable empty"},
      {"{}", "unusable not a list of events"},
      {"\"x\"", "unusable not a list of events"},
      {"[{]", "unusable not JSON"},
      {"[{\"event\":\"\xff\"}]", "unusable not UTF-8"},
      {std::string(40, '[') + std::string(40, ']'), "unusable nested too deep"},
      {"[{\"event\":\"a\",\"event\":\"b\"}]", "unusable a key stands twice"},
      {"[]x", "unusable not JSON"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.body);
    const auto received = receive(plain_codec(), batch(c.body));
    CHECK(story(received).starts_with(c.reason));
    REQUIRE(received);
    CHECK(received->size() == 1);
    CHECK(received->front().raw == c.body);
    CHECK(received->front().dedupe_key.starts_with("s/#"));
  }
  CHECK(told("[]").empty());
  std::string many = "[1";
  for (int i = 0; i < 10'000; ++i) many += ",1";
  CHECK(told(many + "]") == "unusable too many events");
  Sent text = batch("[]");
  text.content_type = "text/plain";
  CHECK(story(receive(plain_codec(), text)) == "unsupported_media");
  text.content_type = "application/json; charset=iso-8859-1";
  CHECK(story(receive(plain_codec(), text)) == "unsupported_media");
  text.headers.clear();
  CHECK(story(receive(plain_codec(), text)) == "bad_signature");
}

TEST_CASE("sendgrid: odd strings and large batches") {
  CHECK(told("[{\"event\":\"delivered\",\"sg_message_id\":\"a\\u0000b.c\",\"sg_event_id\":"
             "\"\\ud83d\"}]") == "receipt email delivered id=ab event=delivered");
  std::string body = "[";
  for (int i = 0; i < 3000; ++i)
    body += (i ? "," : "") +
            R"({"email":"a@b.example","timestamp":1700000000,"event":"delivered",)"s +
            R"("ip":"1","response":"250","category":["x"],"sg_message_id":"m.)" +
            std::to_string(i) + R"(","sg_event_id":"e)" + std::to_string(i) + "\"}";
  body += "]";
  const auto received = receive(plain_codec(), batch(body));
  REQUIRE(received);
  CHECK(received->size() == 3000);
  CHECK(received->back().dedupe_key == "s/m:e2999");
}

TEST_CASE("sendgrid: an inbound mail, its charsets named after its text") {
  const auto received = receive(plain_codec(), form(sample_mail));
  CHECK(story(received) ==
        "inbound email id=<m1@example.com> reply+tok@parse.example.com from=ana@example.com "
        "to=reply+tok@parse.example.com name=Ana subject=Caf\u00e9 body=caf\u00e9");
  CHECK(keys(received) == "s/<m1@example.com> reply+tok@parse.example.com");
  CHECK(received->front().raw == form(sample_mail).body);
}

TEST_CASE("sendgrid: mails with odd fields are still mails") {
  CHECK(mailed(mail_with({{"text", "h\xE9!"}, {"charsets", R"({"text":"x-none"})"}}))
            .ends_with("body=h\u00e9!"));
  CHECK(mailed(mail_with({{"text", "h\xE9!"}, {"charsets", R"({"text":"utf-8"})"}}))
            .ends_with("body=h\uFFFD!"));
  CHECK(
      mailed(mail_with({{"text", "h\xE9!"}, {"charsets", "{broken"}})).ends_with("body=h\uFFFD!"));
  CHECK(mailed(mail_with({{"text", "a\0b"s}})).ends_with("body=ab"));
  CHECK(mailed(mail_with({{"text", " "}, {"html", "<p>Hello <b>you</b> &amp; me</p><p>Bye</p>"}}))
            .ends_with("body=Hello you & me\n\nBye"));
  CHECK(mailed(mail_with({{"envelope", "not json"}})).find("to=reply+tok@parse.example.com") !=
        std::string::npos);
  CHECK(mailed(mail_with({{"from", ""}})).find(" from=ana@example.com") != std::string::npos);
  CHECK(mailed(mail_with({{"from", ""}, {"envelope", R"({"to":["x@y.example"],"from":""})"}})) ==
        "unusable no sender");
  CHECK(mailed({}) == "unusable no sender");
  CHECK(mailed(mail_with({{"from", "=?UTF-8?B?QW5hIFDDqXJleg==?= <ana@example.com>"},
                          {"subject", "=?ISO-8859-1?Q?Caf=E9?="}}))
            .find("name=Ana P\u00e9rez subject=Caf\u00e9") != std::string::npos);
  CHECK(
      mailed(mail_with(
                 {{"attachment1", "\x89PNG\r\n\r\n--x", "; filename=\"p\u00e9.png\"", "image/png"},
                  {"attachment2", "%PDF", "; filename=\"a \\\"b\\\".pdf\"", "application/pdf"}}))
          .ends_with("file=image||p\u00e9.png|11 file=file||a \"b\".pdf|4"));
  // Without a Message-ID the headers stand for it; without headers the whole body does.
  CHECK(keys(receive(plain_codec(), form(mail_with({{"headers", "Subject: x"}}))))
            .starts_with("s/#"));
  CHECK(keys(receive(plain_codec(), form(mail_with({{"headers", ""}})))).starts_with("s/#"));
  const std::string long_id = "Message-ID: <" + std::string(500, 'i') + "@x>";
  const auto hashed = receive(plain_codec(), form(mail_with({{"headers", long_id}})));
  CHECK(keys(hashed).size() == 3 + 64);
  // The same mail to another of our addresses is another message.
  CHECK(keys(receive(plain_codec(),
                     form(mail_with({{"envelope", R"({"to":["b@p.example"],"from":"a@b"})"}})))) ==
        "s/<m1@example.com> b@p.example");
}

TEST_CASE("sendgrid: raw mode") {
  const std::string mail =
      "From: Ana <ana@example.com>\r\nTo: x@parse.example.com\r\nSubject: =?utf-8?q?H=C3=A9?=\r\n"
      "Message-ID:\r\n <raw1@example.com>\r\nMIME-Version: 1.0\r\n"
      "Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\npreamble\r\n"
      "--b1\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n"
      "--b2\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
      "quoted-printable\r\n\r\ncaf=E9\r\n"
      "--b2\r\nContent-Type: text/html\r\n\r\n<p>no</p>\r\n--b2--\r\n"
      "--b1\r\nContent-Type: image/png; name=\"x.png\"\r\nContent-Disposition: attachment; "
      "filename*=utf-8''p%C3%A9.png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n"
      "--b1--\r\n";
  const auto told_raw =
      mailed({{"email", mail},
              {"envelope", R"({"to":["x@parse.example.com"],"from":"ana@example.com"})"},
              {"charsets", R"({"to":"UTF-8"})"}});
  CHECK(told_raw ==
        "inbound email id=<raw1@example.com> x@parse.example.com from=ana@example.com "
        "to=x@parse.example.com name=Ana subject=H\u00e9 body=caf\u00e9 file=image||p\u00e9.png|4");
  const auto broken = mailed({{"email", "From: a@b.example\n\nunterminated \xff"}});
  CHECK(broken.find("from=a@b.example") != std::string::npos);
  CHECK(broken.find("unterminated") != std::string::npos);
}

TEST_CASE("sendgrid: who may deliver a mail") {
  const auto guarded =
      codec_of(domain::Provider::sendgrid, credentials({{"inbound_token", "t0k+n"}}));
  Sent sent = form(sample_mail);
  CHECK(story(receive(*guarded, sent)) == "bad_signature");
  sent.url = "https://h.example.com/w?token=wrong";
  CHECK(story(receive(*guarded, sent)) == "bad_signature");
  sent.url = "https://h.example.com/w?a=b&token=t0k%2Bn";
  CHECK(receive(*guarded, sent));
  // A signature that is there must hold, even where none is asked for.
  CHECK(receive(*guarded, signed_sent(sent)));
  Sent forged = signed_sent(sent);
  forged.body += "\r\n";
  CHECK(story(receive(*guarded, forged)) == "bad_signature");
  CHECK(story(receive(*guarded, signed_sent(sent, "1600000000"))) == "bad_signature");
  const auto required =
      codec_of(domain::Provider::sendgrid, credentials(), {{"inbound_signature_required", "true"}});
  CHECK(story(receive(*required, form(sample_mail))) == "bad_signature");
  CHECK(receive(*required, signed_sent(form(sample_mail))));
}

TEST_CASE("sendgrid: broken multipart") {
  Sent sent = form(sample_mail);
  sent.content_type = "multipart/form-data";
  CHECK(story(receive(plain_codec(), sent)) == "malformed");
  sent.content_type = "multipart/form-data; boundary=\"\"";
  CHECK(story(receive(plain_codec(), sent)) == "malformed");
  sent.content_type = "multipart/form-data; boundary=other";
  CHECK(story(receive(plain_codec(), sent)) == "unusable no part in the form");
  Sent cut = form(sample_mail);
  cut.body.resize(cut.body.size() - 6);
  const auto received = receive(plain_codec(), cut);
  CHECK(story(received) == "unusable the form is not closed");
  CHECK(received->front().raw == cut.body);
  Sent quoted = form(sample_mail, "a b");
  quoted.content_type = "Multipart/Form-Data; charset=utf-8; BOUNDARY=\"a b\"";
  CHECK(receive(plain_codec(), quoted));
}
