// Twilio: signatures by published vectors, then what the forms mean.
#include "providers/channels/twilio.hpp"

#include "base/crypto.hpp"
#include "providers/signing.hpp"
#include "tests/providers/support.hpp"

using namespace sara;
using namespace sara::providers;

namespace {

using Params = std::vector<std::pair<std::string, std::string>>;

const std::string token = "test_auth_token_0123456789abcdef";
const std::string account = "AC00000000000000000000000000000000";
const Fields credentials = {{"account_sid", account}, {"auth_token", token}};
const std::string url = "https://hooks.example.com/webhooks/twilio/e";

std::string encode(const Params& params) {
  std::string out;
  for (const auto& [name, value] : params)
    out +=
        (out.empty() ? "" : "&") + text::percent_encode(name) + "=" + text::percent_encode(value);
  return out;
}

Sent form(const Params& params, const std::string& to = url, const std::string& key = token) {
  return {"POST",
          to,
          "application/x-www-form-urlencoded; charset=UTF-8",
          encode(params),
          {{"X-Twilio-Signature", sign_twilio(key, to, params)}}};
}

Params sms(const Params& more = {}) {
  Params out = {{"MessageSid", "SM1"},   {"SmsSid", "SM1"},         {"SmsMessageSid", "SM1"},
                {"AccountSid", account}, {"From", "+15550100777"},  {"To", "+15550100001"},
                {"NumSegments", "1"},    {"SmsStatus", "received"}, {"ApiVersion", "2010-04-01"},
                {"FromCity", ""},        {"FromCountry", "US"}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

Params status(const std::string& name, const Params& more = {}) {
  Params out = {{"MessageSid", "SM9"},   {"SmsSid", "SM9"},           {"MessageStatus", name},
                {"SmsStatus", name},     {"To", "+15550100777"},      {"From", "+15550100001"},
                {"AccountSid", account}, {"ApiVersion", "2010-04-01"}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::string told(const Params& params) {
  static const auto codec = codec_of(domain::Provider::twilio, credentials);
  return story(receive(*codec, form(params)));
}

}  // namespace

TEST_CASE("twilio: the published form vector verifies, and nothing close to it does") {
  const auto codec = codec_of(domain::Provider::twilio, credentials);
  const Params params = {{"To", "+15550100001"},
                         {"From", "+15550100777"},
                         {"Body", " H\u00e9 \U0001F44D "},
                         {"NumMedia", "0"},
                         {"MessageSid", "SM00000000000000000000000000000001"},
                         {"AccountSid", account},
                         {"FromCity", ""}};
  const std::string to = "https://hooks.example.com/api/v1/webhooks/twilio/sms?tenant=acme";
  const std::string signature = "c9ZnTMnFB7vjSEo2cjiLdNUAiaI=";
  CHECK(sign_twilio(token, to, params) == signature);
  const Sent good{"POST",
                  to,
                  "application/x-www-form-urlencoded",
                  encode(params),
                  {{"X-Twilio-Signature", signature}}};
  CHECK(story(receive(*codec, good)) ==
        "inbound sms id=SM00000000000000000000000000000001 from=+15550100777 to=+15550100001 body= "
        "H\u00e9 \U0001F44D ");
  CHECK(keys(receive(*codec, good)) == "t/SM00000000000000000000000000000001");

  const auto refused = [&](auto change) {
    Sent bad = good;
    change(bad);
    return story(receive(*codec, bad));
  };
  CHECK(refused([](Sent& s) { s.headers.clear(); }) == "bad_signature");
  CHECK(refused([](Sent& s) {
          s.headers["X-Twilio-Signature"] = "d9ZnTMnFB7vjSEo2cjiLdNUAiaI=";
        }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers["X-Twilio-Signature"] = "c9ZnTMnFB7vjSEo2cjiLdNUAiaI"; }) ==
        "bad_signature");
  CHECK(refused([](Sent& s) { s.headers["X-Twilio-Signature"] += "="; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.headers["X-Twilio-Signature"].insert(0, " "); }) ==
        "bad_signature");
  CHECK(refused([](Sent& s) { s.headers["X-Twilio-Signature"] = "c9ZnTMnFB7s="; }) ==
        "bad_signature");
  CHECK(refused([](Sent& s) { s.url = "http" + s.url.substr(5); }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.url += "&x=1"; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.body += "&Extra=1"; }) == "bad_signature");
  CHECK(refused([](Sent& s) { s.body += "&FromCity=X"; }) == "bad_signature");
  CHECK(refused([&](Sent& s) {
          s.headers["X-Twilio-Signature"] = sign_twilio("another_token", to, params);
        }) == "bad_signature");
  // SHA-256 instead of SHA-1.
  CHECK(refused([&](Sent& s) {
          s.headers["X-Twilio-Signature"] =
              crypto::to_base64(crypto::HmacKey(crypto::HmacKey::Hash::sha256, token).sign("x"));
        }) == "bad_signature");
}

TEST_CASE("twilio: the published JSON vector needs its body hash") {
  const auto codec = codec_of(domain::Provider::twilio, credentials);
  const std::string hash = "c26f48b80939798c203e14225cbf6ae28c873127685412286f8bef6f04211767";
  Sent good{"POST",
            "https://hooks.example.com/t?bodySHA256=" + hash,
            "application/json",
            "{\"MessageSid\":\"SM1\",\"note\":\"\u00e9\"}",
            {{"X-Twilio-Signature", "q8sljR/G7wGKQYeFomWj40i+zAI="}}};
  CHECK(story(receive(*codec, good)) == "kept form");
  Sent other_body = good;
  other_body.body = R"({"MessageSid":"SM2"})";
  CHECK(story(receive(*codec, other_body)) == "bad_signature");
  Sent no_hash = good;
  no_hash.url = "https://hooks.example.com/t";
  no_hash.headers["X-Twilio-Signature"] = sign_twilio(token, no_hash.url, {});
  CHECK(story(receive(*codec, no_hash)) == "bad_signature");

  const auto json = [&](const std::string& body) {
    const auto digest = crypto::sha256(body);
    const std::string to =
        "https://hooks.example.com/t?bodySHA256=" +
        crypto::to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
    return story(receive(*codec, {"POST",
                                  to,
                                  "application/json",
                                  body,
                                  {{"X-Twilio-Signature", sign_twilio(token, to, {})}}}));
  };
  CHECK(json(R"({"MessageSid":"SM3","From":"+1555","To":"+1556","Body":"hi","AccountSid":")" +
             account + "\"}") == "inbound sms id=SM3 from=+1555 to=+1556 body=hi");
  CHECK(json("{\"a\":").substr(0, 17) == "unusable not JSON");
  CHECK(json("[1]") == "unusable not a JSON object");
}

TEST_CASE("twilio: the port may be signed or not") {
  const auto codec = codec_of(domain::Provider::twilio, credentials);
  const Params params = sms({{"Body", "hi"}});
  const struct {
    const char* signed_url;
    const char* seen_url;
    bool good;
  } cases[] = {
      {"https://h.example.com/t", "https://h.example.com/t", true},
      {"https://h.example.com:443/t", "https://h.example.com/t", true},
      {"https://h.example.com/t", "https://h.example.com:443/t", true},
      {"http://h.example.com:80/t?a=b:c", "http://h.example.com/t?a=b:c", true},
      {"https://h.example.com/t", "https://h.example.com:8443/t", true},
      {"http://[::1]:80/t", "http://[::1]/t", true},
      {"http://[::1]/t", "http://[::1]:8002/t", true},
      {"https://h.example.com:8443/t", "https://h.example.com/t", false},
      {"https://h.example.com:80/t", "https://h.example.com/t", false},
      {"https://h.example.com/t", "https://h.example.com/T", false},
      {"https://h.example.com/t", "https://g.example.com/t", false},
  };
  for (const auto& c : cases) {
    CAPTURE(c.signed_url);
    CAPTURE(c.seen_url);
    Sent sent = form(params, c.signed_url);
    sent.url = c.seen_url;
    CHECK(receive(*codec, sent).has_value() == c.good);
  }
}

TEST_CASE("twilio: both tokens hold during a rotation") {
  Fields rotating = credentials;
  rotating["auth_token"] = "new_token";
  rotating["auth_token_previous"] = token;
  const auto codec = codec_of(domain::Provider::twilio, rotating);
  CHECK(receive(*codec, form(sms({{"Body", "a"}}), url, token)));
  CHECK(receive(*codec, form(sms({{"Body", "a"}}), url, "new_token")));
  CHECK_FALSE(receive(*codec, form(sms({{"Body", "a"}}), url, "third")));
}

TEST_CASE("twilio: repeated names and odd values are signed as they are") {
  const auto codec = codec_of(domain::Provider::twilio, credentials);
  Params params = sms({{"Body", "a+b & c=d\r\n%"}, {"X", "2"}, {"X", "1"}, {"X", "2"}, {"x", ""}});
  CHECK(story(receive(*codec, form(params))) ==
        "inbound sms id=SM1 from=+15550100777 to=+15550100001 body=a+b & c=d\r\n%");
  // Plus signs for spaces, and lower-case hex.
  Sent plus = form(sms({{"Body", "a b\u00e9"}}));
  plus.body.replace(plus.body.find("a%20b%C3%A9"), 11, "a+b%c3%a9");
  CHECK(receive(*codec, plus));
  // A GET carries its parameters in the signed URL.
  Sent get{"GET", url + "?" + encode(sms({{"Body", "by get"}})), "", "", {}};
  get.headers["X-Twilio-Signature"] = sign_twilio(token, get.url, {});
  CHECK(story(receive(*codec, get)) ==
        "inbound sms id=SM1 from=+15550100777 to=+15550100001 body=by get");
}

TEST_CASE("twilio: what cannot be verified is refused") {
  const auto codec = codec_of(domain::Provider::twilio, credentials);
  const auto refusal = [&](const std::string& body, const std::string& type) {
    return story(receive(
        *codec,
        {"POST", url, type, body, {{"X-Twilio-Signature", "c9ZnTMnFB7vjSEo2cjiLdNUAiaI="}}}));
  };
  const std::string form_type = "application/x-www-form-urlencoded";
  CHECK(refusal("Body=%E9", form_type) == "malformed");
  CHECK(refusal("Body=%", form_type) == "malformed");
  CHECK(refusal("Body=%4", form_type) == "malformed");
  CHECK(refusal("Body=%zz", form_type) == "malformed");
  CHECK(refusal("Body=\xE9", form_type) == "malformed");
  CHECK(refusal("Body=a", form_type) == "bad_signature");
  CHECK(refusal(std::string(5000, '&'), form_type) == "malformed");
  CHECK(refusal("", form_type) == "bad_signature");
  CHECK(refusal("Body=a", form_type + ";charset=iso-8859-1") == "unsupported_media");
  CHECK(refusal("Body=a", "text/plain") == "unsupported_media");
  CHECK(refusal("Body=a", "") == "unsupported_media");
  CHECK(story(receive(*codec, {"POST", url, form_type, "Body=%E9", {}})) == "bad_signature");
}

TEST_CASE("twilio: inbound messages") {
  CHECK(told(sms({{"Body", "Do you ship?"}, {"NumMedia", "0"}})) ==
        "inbound sms id=SM1 from=+15550100777 to=+15550100001 body=Do you ship?");
  CHECK(told(sms({{"Body", ""},
                  {"NumMedia", "2"},
                  {"MediaUrl0", "https://api.twilio.com/m/ME0"},
                  {"MediaContentType0", "image/jpeg"},
                  {"MediaUrl1", "https://api.twilio.com/m/ME1"},
                  {"MediaContentType1", "application/pdf"}})) ==
        "inbound sms id=SM1 from=+15550100777 to=+15550100001 "
        "file=image|https://api.twilio.com/m/ME0||0 file=file|https://api.twilio.com/m/ME1||0");
  CHECK(told(sms({{"Body", "STOP"}, {"OptOutType", "STOP"}, {"MessagingServiceSid", "MG1"}})) ==
        "inbound sms id=SM1 from=+15550100777 to=+15550100001 body=STOP");
  CHECK(told({{"MessageSid", "SM2"},
              {"AccountSid", account},
              {"From", "whatsapp:+15550100777"},
              {"To", "whatsapp:+15550100002"},
              {"ProfileName", "Ana"},
              {"WaId", "15550100777"},
              {"MessageType", "button"},
              {"Body", "Yes"},
              {"ButtonText", "Yes"},
              {"ButtonPayload", "CONFIRM_1"},
              {"OriginalRepliedMessageSid", "SM0"}}) ==
        "inbound whatsapp id=SM2 from=+15550100777 to=+15550100002 name=Ana body=Yes");
  CHECK(told({{"MessageSid", "SM2"},
              {"AccountSid", account},
              {"From", "whatsapp:US.13491208655302741918"},
              {"To", "whatsapp:+15550100002"},
              {"Body", "hi"}}) ==
        "inbound whatsapp id=SM2 from=US.13491208655302741918 to=+15550100002 body=hi");
  CHECK(told({{"MessageSid", "SM2"},
              {"AccountSid", account},
              {"From", "whatsapp:+1"},
              {"To", "whatsapp:+2"},
              {"Body", ""},
              {"Latitude", "1.5"},
              {"Longitude", "-2"},
              {"Label", "Shop"}}) ==
        "inbound whatsapp id=SM2 from=+1 to=+2 file=location||1.5,-2 Shop|0");
  CHECK(told(sms({{"Body", std::string("a\0b", 3)}})) ==
        "inbound sms id=SM1 from=+15550100777 to=+15550100001 body=ab");
}

TEST_CASE("twilio: status callbacks") {
  const struct {
    const char* name;
    const char* expected;
  } cases[] = {
      {"accepted", "receipt sms queued"},     {"queued", "receipt sms queued"},
      {"sending", "receipt sms sending"},     {"sent", "receipt sms sent"},
      {"delivered", "receipt sms delivered"}, {"read", "receipt sms read"},
      {"failed", "receipt sms failed"},       {"canceled", "receipt sms cancelled"},
  };
  for (const auto& c : cases)
    CHECK(told(status(c.name)) ==
          std::string(c.expected) + " id=SM9 to=+15550100777 event=" + c.name);
  CHECK(told(status("undelivered", {{"ErrorCode", "30003"}})) ==
        "receipt sms failed id=SM9 to=+15550100777 event=undelivered code=30003");
  CHECK(told(status("brand_new")) == "kept status:brand_new");

  const auto codec = codec_of(domain::Provider::twilio, credentials);
  const auto received = receive(*codec, form(status("delivered"), url + "?c=corr%2D1"));
  CHECK(story(received) ==
        "receipt sms delivered id=SM9 to=+15550100777 event=delivered ref=corr-1");
  CHECK(keys(received) == "t/SM9:delivered");
  CHECK(std::get<domain::Receipt>(received->front().what).key == "SM9:delivered");
  CHECK(keys(receive(*codec, form(status("brand_new")))) == "t/SM9:brand_new");
  const std::string long_sid(300, 'S');
  const auto hashed = receive(*codec, form({{"MessageSid", long_sid}, {"MessageStatus", "sent"}}));
  CHECK(hashed->front().dedupe_key.size() <= 200);
  CHECK(hashed->front().dedupe_key.starts_with("t/#"));
}

TEST_CASE("twilio: signed but of no use") {
  Params foreign = sms({{"Body", "hi"}});
  for (auto& [name, value] : foreign)
    if (name == "AccountSid") value = "AC99";
  CHECK(told(foreign) == "unusable foreign account AC99");
  CHECK(told({{"AccountSid", account}, {"Body", "x"}, {"From", "+1"}}) == "unusable no MessageSid");
  CHECK(told({{"AccountSid", account}, {"Body", "x"}, {"MessageSid", "SM1"}}) ==
        "unusable no From");
  CHECK(told({{"AccountSid", account}, {"CallSid", "CA1"}}) == "kept form");
  CHECK(told({{"MessageSid", "SM1"}, {"Body", "x"}, {"From", "sip:a@b"}}) == "kept channel:sip");
  CHECK(told({}) == "kept form");
}

TEST_CASE("twilio: raw bytes decode to the same event") {
  const auto codec = codec_of(domain::Provider::twilio, credentials);
  const Sent sent = form(sms({{"Body", "hi"}}));
  const auto received = receive(*codec, sent);
  REQUIRE(received);
  CHECK(received->front().raw == sent.body);
  CHECK(codec->accepted().content_type == "text/xml");
  CHECK(codec->accepted().body == R"(<?xml version="1.0" encoding="UTF-8"?><Response/>)");
  CHECK(codec->handshake(sent.view()).error().code == Errc::not_found);
}

TEST_CASE("channel: credentials are checked by name") {
  using domain::Provider;
  CHECK(pointers(make_codec(Provider::twilio, {{"account_sid", "AC1"}}, {})) ==
        "/credentials/auth_token");
  CHECK(pointers(make_codec(Provider::twilio, {}, {})) ==
        "/credentials/account_sid /credentials/auth_token");
  CHECK(pointers(make_codec(Provider::twilio,
                            {{"account_sid", "AC1"}, {"auth_token", ""}, {"extra", "x"}}, {})) ==
        "/credentials/auth_token /credentials/extra");
  CHECK(pointers(make_codec(Provider::twilio, {{"account_sid", "AC1\n"}, {"auth_token", "t"}},
                            {})) == "/credentials/account_sid");
  CHECK(pointers(make_codec(Provider::twilio,
                            {{"account_sid", "AC1"}, {"auth_token", std::string(5000, 't')}},
                            {})) == "/credentials/auth_token");
  CHECK(pointers(make_codec(Provider::sendgrid, {{"api_key", "k"}, {"webhook_public_key", "k"}},
                            {})) == "/credentials/webhook_public_key");
  CHECK(pointers(make_codec(Provider::meta, {{"app_secret", "s"}}, {})) ==
        "/credentials/verify_token /credentials/page_access_token");
  CHECK(pointers(make_codec(Provider::sandbox, {}, {})) == "/credentials/secret");
  CHECK(pointers(make_codec(Provider::sandbox, {{"secret", "s"}}, {})) == "ok");
  CHECK(pointers(make_codec(Provider::engarde, {{"api_key", "s"}}, {})) == "/provider");
  // Settings of other parts of the house are none of the codec's business.
  CHECK(pointers(make_codec(Provider::sandbox, {{"secret", "s"}}, {{"latency_ms", "5"}})) == "ok");
}
