// Meta: one signature for three products, then each product's items.
#include "providers/channels/meta.hpp"

#include "base/crypto.hpp"
#include "providers/signing.hpp"
#include "tests/providers/support.hpp"

using namespace sara;
using namespace sara::providers;

namespace {

const std::string secret = "test_app_secret_0123456789abcdef";

Fields credentials(const Fields& more = {}) {
  Fields out = {{"app_secret", secret}, {"verify_token", "v3rify"}, {"page_access_token", "EAAx"}};
  out.insert(more.begin(), more.end());
  return out;
}

const ChannelCodec& codec() {
  static const auto made = codec_of(domain::Provider::meta, credentials());
  return *made;
}

Sent sent(const std::string& body, const std::string& key = secret) {
  Sent out;
  out.body = body;
  out.headers["X-Hub-Signature-256"] = sign_meta(key, body);
  return out;
}

std::string told(const std::string& body) {
  return story(receive(codec(), sent(body)));
}

/// Every event's raw bytes are a body that decodes to that event alone.
void check_raws(const Received& received) {
  REQUIRE(received);
  for (const auto& event : *received) {
    CAPTURE(event.raw);
    const auto again = receive(codec(), sent(event.raw));
    CHECK(story(again) == line(event));
    CHECK(event.dedupe_key.size() <= 200);
    if (event.dedupe_key.find('#') == std::string::npos) CHECK(keys(again) == event.dedupe_key);
  }
}

std::string messaging(const std::string& items, const std::string& object = "page") {
  return R"({"object":")" + object +
         R"(","entry":[{"id":"100","time":1700000000000,"messaging":[)" + items + "]}]}";
}

std::string page_item(const std::string& rest) {
  return R"({"sender":{"id":"4000"},"recipient":{"id":"100"},"timestamp":1700000000000,)" + rest +
         "}";
}

std::string whatsapp(
    const std::string& rest,
    const std::string& contacts =
        R"([{"profile":{"name":"Ana"},"wa_id":"15550100777","user_id":"US.1349"}])") {
  return R"({"object":"whatsapp_business_account","entry":[{"id":"200","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550100002","phone_number_id":"300"},"contacts":)" +
         contacts + "," + rest + "}}]}]}";
}

std::string whatsapp_message(const std::string& rest) {
  return whatsapp(R"("messages":[{"from":"15550100777","id":"wamid.A","timestamp":"1700000000",)" +
                  rest + "}]");
}

const std::string from_ana = "inbound whatsapp id=wamid.A from=15550100777 to=300 name=Ana";
const std::string at_end = " at=1700000000000";

}  // namespace

TEST_CASE("meta: the published vector verifies, and nothing close to it does") {
  Sent good;
  good.body =
      R"({"object":"page","entry":[{"id":"1","messaging":[{"message":{"mid":"m_1","text":"\u00e4\u00f6\u00e5 a\/b"}}]}]})";
  REQUIRE(good.body.size() == 111);
  good.headers["X-Hub-Signature-256"] =
      "sha256=89e92c052a18b916fbd3088f4e0c9d7faca73dfa1be3c7b9de8dba1127e7f972";
  CHECK(story(receive(codec(), good)) == "unusable a message without its contact");

  const auto refused = [&](auto change) {
    Sent bad = good;
    change(bad);
    return story(receive(codec(), bad));
  };
  auto& header = "X-Hub-Signature-256";
  CHECK(refused([&](Sent& s) { s.headers.clear(); }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.headers[header] = ""; }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.headers[header].back() = '3'; }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.headers[header].pop_back(); }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.headers[header] += "0"; }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.headers[header].erase(0, 7); }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.headers[header][5] = '1'; }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.headers[header] = sign_meta("another", s.body); }) ==
        "bad_signature");
  // The same values, written anew: other bytes.
  CHECK(refused([&](Sent& s) {
          s.body =
              "{\"object\":\"page\",\"entry\":[{\"id\":\"1\",\"messaging\":[{\"message\":{\"mid\":"
              "\"m_1\",\"text\":\"\u00e4\u00f6\u00e5 a/b\"}}]}]}";
        }) == "bad_signature");
  CHECK(refused([&](Sent& s) { s.body += "\n"; }) == "bad_signature");
  // SHA-1 alone is a downgrade.
  CHECK(refused([&](Sent& s) {
          s.headers.clear();
          s.headers["X-Hub-Signature"] =
              "sha1=" +
              crypto::to_hex(crypto::HmacKey(crypto::HmacKey::Hash::sha1, secret).sign(s.body));
        }) == "bad_signature");
  CHECK(refused([&](Sent& s) {
          s.headers[header] =
              "sha256=" +
              crypto::to_hex(crypto::HmacKey(crypto::HmacKey::Hash::sha1, secret).sign(s.body));
        }) == "bad_signature");
}

TEST_CASE("meta: both secrets hold during a rotation") {
  const auto rotating = codec_of(domain::Provider::meta, {{"app_secret", "new"},
                                                          {"app_secret_previous", secret},
                                                          {"verify_token", "v"},
                                                          {"page_access_token", "t"}});
  CHECK(receive(*rotating, sent("{}", secret)));
  CHECK(receive(*rotating, sent("{}", "new")));
  CHECK_FALSE(receive(*rotating, sent("{}", "old")));
}

TEST_CASE("meta: the handshake gives the challenge back to the right token only") {
  const auto answer = [](const std::string& query) {
    Sent get;
    get.method = "GET";
    get.url = "https://hooks.example.com/webhooks/meta/e?" + query;
    const auto reply = codec().handshake(get.view());
    return reply ? reply->content_type + "|" + reply->body
                 : std::string(to_string(reply.error().code));
  };
  CHECK(answer("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=v3rify") ==
        "text/plain|1158201444");
  CHECK(answer("hub.mode=subscribe&hub.challenge=1&hub.verify_token=other") == "forbidden");
  CHECK(answer("hub.mode=subscribe&hub.challenge=1&hub.verify_token=") == "forbidden");
  CHECK(answer("hub.mode=subscribe&hub.challenge=1") == "forbidden");
  CHECK(answer("hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=v3rify") == "forbidden");
  CHECK(answer("hub_mode=subscribe&hub_challenge=1&hub_verify_token=v3rify") == "forbidden");
  CHECK(answer("hub.mode=subscribe&hub.verify_token=v3rify") == "forbidden");
  CHECK(answer("hub.mode=%zz") == "forbidden");
  CHECK(answer("") == "forbidden");
  CHECK(codec().accepted().body == "EVENT_RECEIVED");
  CHECK(codec().accepted().content_type == "text/plain");
}

TEST_CASE("meta: Messenger's items") {
  const auto received = receive(
      codec(),
      sent(R"({"object":"page","entry":[{"id":"100000000000001","time":1700000000000,"messaging":[
{"sender":{"id":"4000123456789"},"recipient":{"id":"100000000000001"},"timestamp":1700000000000,"message":{"mid":"m_1","text":"hello","quick_reply":{"payload":"RED"}}},
{"sender":{"id":"4000123456789"},"recipient":{"id":"100000000000001"},"timestamp":1700000001000,"postback":{"mid":"m_2","title":"Start","payload":"GET_STARTED"}},
{"sender":{"id":"4000123456789"},"recipient":{"id":"100000000000001"},"delivery":{"mids":["m_0"],"watermark":1700000002000}},
{"sender":{"id":"4000123456789"},"recipient":{"id":"100000000000001"},"timestamp":1700000003000,"read":{"watermark":1700000002500}},
{"sender":{"id":"4000123456789"},"recipient":{"id":"100000000000001"},"timestamp":1700000004000,"reaction":{"mid":"m_0","action":"react","reaction":"love","emoji":"\u2764\ufe0f"}},
{"sender":{"id":"100000000000001"},"recipient":{"id":"4000123456789"},"timestamp":1700000005000,"message":{"mid":"m_3","is_echo":true,"app_id":1517776481860111,"metadata":"corr-1","text":"sent by us"}}]}]})"));
  CHECK(
      story(received) ==
      "inbound messenger id=m_1 from=4000123456789 to=100000000000001 body=hello at=1700000000000\n"
      "inbound messenger id=m_2 from=4000123456789 to=100000000000001 body=Start at=1700000001000\n"
      "receipt messenger delivered id=m_0 to=4000123456789 at=1700000002000 event=delivery\n"
      "receipt messenger read to=4000123456789 watermark=1700000002500 at=1700000003000 "
      "event=read\n"
      "kept reaction\n"
      "echo messenger id=m_3 from=4000123456789 to=100000000000001 body=sent by us "
      "at=1700000005000 ref=corr-1");
  CHECK(keys(received).starts_with("m/m_1 m/m_2 m/m_0:delivery m/#"));
  CHECK(received->back().dedupe_key == "m/m_3");
  check_raws(received);
}

TEST_CASE("meta: less common items") {
  CHECK(told(messaging(page_item(R"("delivery":{"watermark":1700000002000})"))) ==
        "receipt messenger delivered to=4000 watermark=1700000002000 at=1700000000000 "
        "event=delivery");
  const auto several = receive(
      codec(),
      sent(messaging(page_item(R"("delivery":{"mids":["a","b"],"watermark":1700000002000})"))));
  CHECK(story(several) ==
        "receipt messenger delivered id=a to=4000 at=1700000000000 event=delivery\n"
        "receipt messenger delivered id=b to=4000 at=1700000000000 event=delivery");
  check_raws(several);
  CHECK(told(messaging(page_item(R"("postback":{"payload":"GO"})"))) ==
        "inbound messenger id=" +
            std::get<domain::Inbound>(
                receive(codec(), sent(messaging(page_item(R"("postback":{"payload":"GO"})"))))
                    ->front()
                    .what)
                .provider_message_id +
            " from=4000 to=100 body=GO at=1700000000000");
  CHECK(
      told(messaging(page_item(
          R"("message":{"mid":"m","attachments":[{"type":"image","payload":{"url":"https://c.example/i"}},{"type":"fallback","title":"T"},{"type":"sticker","payload":{"url":"u","sticker_id":3}},{"type":"location","payload":{"coordinates":{"lat":1.5,"long":-2}}},{"type":"template"},7]})"))) ==
      "inbound messenger id=m from=4000 to=100 file=image|https://c.example/i||0 "
      "file=fallback||T|0 "
      "file=sticker|u||0 file=location||1.5,-2|0 file=template|||0 file=fallback|||0 "
      "at=1700000000000");
  for (const char* kind : {"referral", "optin", "message_edit", "account_linking",
                           "policy_enforcement", "pass_thread_control"})
    CHECK(told(messaging(page_item("\"" + std::string(kind) + "\":{\"x\":1}"))) ==
          "kept " + std::string(kind));
  CHECK(told(messaging(page_item(R"("message":{"text":"no id"})"))) ==
        "unusable a message without mid");
  CHECK(told(messaging(page_item(R"("read":{})"))) == "unusable read without mid and watermark");
  CHECK(told(messaging("7")) == "unusable an item that is no object");
  CHECK(told(messaging("{}")) == "kept empty");
  CHECK(told(messaging(page_item("\"message\":{\"mid\":\"m\",\"text\":\"a\\u0000b\"}"))) ==
        "inbound messenger id=m from=4000 to=100 body=ab at=1700000000000");
  // Another app owns the thread: the items stand in `standby`.
  const auto standby =
      receive(codec(), sent(R"({"object":"page","entry":[{"id":"100","standby":[)" +
                            page_item(R"("message":{"mid":"m","text":"x"})") + "," +
                            page_item(R"("message":{"mid":"n","text":"y"})") + "]}]}"));
  CHECK(keys(standby) == "m/m m/n");
  check_raws(standby);
  CHECK((*standby)[0].raw.find("standby") != std::string::npos);
}

TEST_CASE("meta: Instagram's items") {
  CHECK(
      told(
          R"({"object":"instagram","entry":[{"id":"17840000000000001","time":1700000000000,"messaging":[{"sender":{"id":"5000123456789"},"recipient":{"id":"17840000000000001"},"timestamp":1700000000000,"message":{"mid":"aWdf1","text":"hola","reply_to":{"story":{"id":"178","url":"https://cdn.example.com/s"}}}}]}]})") ==
      "inbound instagram id=aWdf1 from=5000123456789 to=17840000000000001 body=hola "
      "at=1700000000000");
  const auto gone = receive(
      codec(),
      sent(messaging(page_item(R"("message":{"mid":"aWdf1","is_deleted":true})"), "instagram")));
  CHECK(story(gone) == "retraction instagram id=aWdf1 from=4000");
  CHECK(keys(gone) == "m/aWdf1:deleted");
  const auto seen =
      receive(codec(), sent(messaging(page_item(R"("read":{"mid":"aWdf0"})"), "instagram")));
  CHECK(story(seen) == "receipt instagram read id=aWdf0 to=4000 at=1700000000000 event=read");
  CHECK(keys(seen) == "m/aWdf0:read");
  CHECK(told(messaging(page_item(R"("message":{"mid":"u","is_unsupported":true})"), "instagram")) ==
        "inbound instagram id=u from=4000 to=100 file=unsupported|||0 at=1700000000000");
  // The dashboard's test button: a change, string times and the id "0".
  const auto test = receive(
      codec(),
      sent(
          R"({"object":"instagram","entry":[{"id":"0","time":"1700000000","changes":[{"field":"messages","value":{"sender":{"id":"12334"},"recipient":{"id":"23245"},"timestamp":"1527459824","message":{"mid":"random_mid","text":"random_text"}}},{"field":"comments","value":{}}]}]})"));
  CHECK(story(test) ==
        "inbound instagram id=random_mid from=12334 to=23245 body=random_text at=1527459824000\n"
        "kept field:comments");
  check_raws(test);
}

TEST_CASE("meta: WhatsApp message and status") {
  const auto received = receive(
      codec(),
      sent(R"({"object":"whatsapp_business_account","entry":[{"id":"200000000000001","changes":[
{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550100002","phone_number_id":"300000000000001"},"contacts":[{"profile":{"name":"Ana"},"wa_id":"15550100777","user_id":"US.13491208655302741918"}],"messages":[{"from":"15550100777","id":"wamid.A","timestamp":"1700000000","type":"interactive","context":{"from":"15550100002","id":"wamid.0"},"interactive":{"type":"button_reply","button_reply":{"id":"b1","title":"Yes"}}}]}},
{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550100002","phone_number_id":"300000000000001"},"statuses":[{"id":"wamid.B","status":"failed","timestamp":"1700000001","recipient_id":"15550100777","biz_opaque_callback_data":"corr-2","errors":[{"code":131047,"title":"Re-engagement message","error_data":{"details":"More than 24 hours since last reply"}}]}]}}]}]})"));
  CHECK(
      story(received) ==
      "inbound whatsapp id=wamid.A from=15550100777 to=300000000000001 name=Ana body=Yes "
      "at=1700000000000\n"
      "receipt whatsapp failed id=wamid.B to=15550100777 at=1700000001000 event=failed code=131047 "
      "detail=More than 24 hours since last reply ref=corr-2");
  CHECK(keys(received) == "m/wamid.A m/wamid.B:failed");
  check_raws(received);
}

TEST_CASE("meta: every WhatsApp type") {
  const struct {
    const char* json;
    std::string expected;
  } cases[] = {
      {R"("type":"text","text":{"body":"hi"})", from_ana + " body=hi" + at_end},
      {R"("type":"image","image":{"id":"1","mime_type":"image/jpeg","caption":"look"})",
       from_ana + " body=look file=image|||0" + at_end},
      {R"("type":"document","document":{"id":"1","filename":"a.pdf","mime_type":"application/pdf"})",
       from_ana + " file=file||a.pdf|0" + at_end},
      {R"("type":"audio","audio":{"id":"1","voice":true})", from_ana + " file=audio|||0" + at_end},
      {R"("type":"video","video":{"id":"1"})", from_ana + " file=video|||0" + at_end},
      {R"("type":"sticker","sticker":{"id":"1","animated":false})",
       from_ana + " file=sticker|||0" + at_end},
      {R"("type":"button","button":{"text":"Stop","payload":"P"})",
       from_ana + " body=Stop" + at_end},
      {R"("type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"l","title":"Blue","description":"d"}})",
       from_ana + " body=Blue" + at_end},
      {R"("type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"body":"Sent","response_json":"{\"a\":1}"}})",
       from_ana + " body=Sent\n{\"a\":1}" + at_end},
      {R"("type":"location","location":{"latitude":1.5,"longitude":2,"name":"Shop","address":"Road 1"})",
       from_ana + " body=Road 1 file=location||1.5,2 Shop|0" + at_end},
      {R"("type":"contacts","contacts":[{"name":{"formatted_name":"Bob"}}])",
       from_ana + " file=contact||Bob|0" + at_end},
      {R"("type":"order","order":{"catalog_id":"c1","text":"two please"})",
       from_ana + " body=two please file=order||c1|0" + at_end},
      {R"("type":"unsupported","errors":[{"code":131051}])",
       from_ana + " file=unsupported|||0" + at_end},
      {R"("type":"reaction","reaction":{"message_id":"wamid.0","emoji":"x"})", "kept reaction"},
      {R"("type":"system","system":{"body":"number changed"})", "kept system"},
      {R"("type":"request_welcome")", "kept type:request_welcome"},
      {R"("text":{"body":"no type"})", "unusable a message without a type"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.json);
    CHECK(told(whatsapp_message(c.json)) == c.expected);
  }
}

TEST_CASE("meta: WhatsApp people without a phone number") {
  const std::string text =
      R"("id":"wamid.A","timestamp":1700000000,"type":"text","text":{"body":"hi"})";
  CHECK(told(whatsapp(R"("messages":[{"from_user_id":"US.1349",)" + text + "}]",
                      R"([{"profile":{"username":"ana.p"},"user_id":"US.1349"}])")) ==
        "inbound whatsapp id=wamid.A from=US.1349 to=300 name=ana.p body=hi at=1700000000000");
  CHECK(told(whatsapp(R"("messages":[{)" + text + "}]",
                      R"([{"profile":{"name":"Ana"},"user_id":"US.1349"}])")) ==
        "inbound whatsapp id=wamid.A from=US.1349 to=300 name=Ana body=hi at=1700000000000");
  CHECK(told(whatsapp(R"("messages":[{)" + text + "}]", "[]")) ==
        "unusable a message without id or contact");
  CHECK(
      told(whatsapp(
          R"("statuses":[{"id":"w","status":"read","timestamp":1700000000000,"recipient_user_id":"US.1"}])")) ==
      "receipt whatsapp read id=w to=US.1 at=1700000000000 event=read");
}

TEST_CASE("meta: other WhatsApp changes") {
  CHECK(
      told(whatsapp(
          R"("statuses":[{"id":"w","status":"sent"},{"id":"w","status":"delivered"},{"id":"w","status":"played"},{"id":"w","status":"deleted"},{"status":"sent"},3])")) ==
      "receipt whatsapp sent id=w event=sent\n"
      "receipt whatsapp delivered id=w event=delivered\n"
      "receipt whatsapp read id=w event=played\n"
      "kept status:deleted\n"
      "unusable a status without id or status\n"
      "unusable a status without id or status");
  CHECK(told(whatsapp(R"("errors":[{"code":1}])")) == "kept field:messages");
  const auto change = [](const std::string& rest) {
    return R"({"object":"whatsapp_business_account","entry":[{"id":"2","changes":[)" + rest +
           "]}]}";
  };
  CHECK(told(change(R"({"field":"account_update","value":{}})")) == "kept field:account_update");
  CHECK(told(change(R"({"field":"user_preferences","value":{}})")) ==
        "kept field:user_preferences");
  CHECK(told(change(R"({"value":{}})")) == "unusable a change without a field");
  CHECK(told(change("7")) == "unusable a change without a field");
  const auto echo = receive(
      codec(),
      sent(change(
          R"({"field":"smb_message_echoes","value":{"metadata":{"phone_number_id":"300"},"message_echoes":[{"from":"15550100002","to":"15550100777","id":"wamid.E","timestamp":"1700000000","type":"text","text":{"body":"from the phone"}}]}},{"field":"x"})")));
  CHECK(story(echo) ==
        "echo whatsapp id=wamid.E from=15550100777 to=300 body=from the phone at=1700000000000\n"
        "kept field:x");
  check_raws(echo);
}

TEST_CASE("meta: another page's, account's or number's events are set aside") {
  const auto bound = codec_of(domain::Provider::meta, credentials({{"page_id", "100"},
                                                                   {"instagram_account_id", "178"},
                                                                   {"phone_number_id", "300"}}));
  const auto says = [&](const std::string& body) { return story(receive(*bound, sent(body))); };
  CHECK(says(messaging(page_item(R"("message":{"mid":"m","text":"x"})"))) ==
        "inbound messenger id=m from=4000 to=100 body=x at=1700000000000");
  CHECK(says(R"({"object":"page","entry":[{"id":"101","messaging":[)" +
             page_item(R"("message":{"mid":"m"})") + "," +
             page_item(R"("delivery":{"mids":["a","b"]})") +
             R"(],"changes":[{"field":"feed","value":{}}]}]})") ==
        "unusable foreign account 101\nunusable foreign account 101\nunusable foreign account 101");
  CHECK(says(messaging(page_item(R"("message":{"mid":"m"})"), "instagram")) ==
        "unusable foreign account 100");
  CHECK(says(whatsapp_message(R"("type":"text","text":{"body":"hi"})")) ==
        from_ana + " body=hi" + at_end);
  std::string other = whatsapp_message(R"("type":"text","text":{"body":"hi"})");
  other.replace(other.find("\"300\""), 5, "\"301\"");
  CHECK(says(other) == "unusable foreign account 301");
}

TEST_CASE("meta: signed but unreadable is kept whole") {
  const struct {
    std::string body;
    const char* expected;
  } cases[] = {
      {"", "unusable empty"},
      {"nope", "unusable not JSON"},
      {"{\"object\":\"page\",\"entry\":[{\"id\":\"\xff\"}]}", "unusable not UTF-8"},
      {std::string(33, '[') + std::string(33, ']'), "unusable nested too deep"},
      {"[]", "unusable no object or no entry"},
      {"{}", "unusable no object or no entry"},
      {"{\"object\":\"page\",\"entry\":{}}", "unusable no object or no entry"},
      {"{\"object\":7,\"entry\":[]}", "unusable no object or no entry"},
      {"{\"object\":\"threads\",\"entry\":[{\"id\":\"1\"}]}", "kept object:threads"},
      {"{\"object\":\"page\",\"entry\":[7]}", "unusable an entry that is no object"},
      {"{\"object\":\"page\",\"entry\":[{\"id\":\"1\",\"news\":1}]}", "kept entry"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.body);
    const auto received = receive(codec(), sent(c.body));
    CHECK(story(received).starts_with(c.expected));
    REQUIRE(received);
    CHECK(received->size() == 1);
    CHECK(received->front().raw == c.body);
    CHECK(received->front().dedupe_key.starts_with("m/#"));
  }
  CHECK(told("{\"object\":\"page\",\"entry\":[]}").empty());
  Sent text = sent("{}");
  text.content_type = "text/plain";
  CHECK(story(receive(codec(), text)) == "unsupported_media");
}

TEST_CASE("meta: times come as text, seconds or milliseconds") {
  const struct {
    const char* time;
    const char* expected;
  } cases[] = {
      {"1700000000", " at=1700000000000"},
      {"1700000000123", " at=1700000000123"},
      {"\"1700000000\"", " at=1700000000000"},
      {"\"1700000000123\"", " at=1700000000123"},
      {"1700000000.5", " at=1700000000500"},
      {"\"soon\"", ""},
      {"null", ""},
      {"-5", ""},
      {"1e300", ""},
      {"\"99999999999999999999\"", ""},
      {"0", ""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.time);
    CHECK(told(messaging(R"({"sender":{"id":"4"},"recipient":{"id":"1"},"timestamp":)" +
                         std::string(c.time) + R"(,"message":{"mid":"m","text":"x"}})")) ==
          "inbound messenger id=m from=4 to=1 body=x" + std::string(c.expected));
  }
}

TEST_CASE("meta: more events than can be are set aside whole") {
  std::string items;
  for (int i = 0; i < 10'001; ++i) items += i ? ",{}" : "{}";
  CHECK(told(messaging(items)) == "unusable too many events");
  CHECK(receive(codec(), sent(messaging(items.substr(3))))->size() == 10'000);
  CHECK(told(messaging(items + "," + page_item(R"("delivery":{"mids":[1,2,3]})"))) ==
        "unusable too many events");
}

TEST_CASE("meta: what is too long to be shared is not told either") {
  // A text that is short only once its escapes are read is long where it is kept.
  std::string escaped;
  for (int i = 0; i < 50; ++i) escaped += R"(\u0031)";
  const std::string two_texts = R"("messages":[{"from":"1","id":"a","type":"text","text":{"body":"x"}},
      {"id":"b","type":"text","text":{"body":"y"}}])";
  std::string long_number = whatsapp(two_texts);
  long_number.replace(long_number.find("\"300\""), 5, "\"" + escaped + "\"");
  std::string long_entry = messaging(page_item(R"("message":{"mid":"a"})") + "," +
                                     R"({"sender":{"id":"1"},"message":{"mid":"b"}})");
  long_entry.replace(long_entry.find("\"100\""), 5, "\"" + escaped + "\"");
  const std::string long_contact = R"([{"profile":{"name":"Ana"},"wa_id":"1","more":")" +
                                   std::string(1024, 'x') + R"("}])";
  for (const auto& body :
       {whatsapp(two_texts, long_contact), long_number, long_entry,
        messaging(R"({"sender":{"id":")" + escaped + R"("},"timestamp":5,)"
                  R"("delivery":{"mids":["a","b"],"watermark":6}})")}) {
    CAPTURE(body);
    const auto received = receive(codec(), sent(body));
    check_raws(received);
    CHECK(received->size() == 2);
  }
}

TEST_CASE("meta: a small body cannot unfold into a large one") {
  // What every item shares is short, or it is left out.
  const std::string long_id(100'000, '9');
  std::string mids;
  for (int i = 0; i < 500; ++i) mids += (i ? ",\"" : "\"") + std::to_string(i) + "\"";
  const auto deliveries = receive(
      codec(), sent(R"({"object":"page","entry":[{"id":")" + long_id +
                    R"(","messaging":[{"sender":{"id":")" + long_id +
                    R"("},"recipient":{"id":"1"},"delivery":{"mids":[)" + mids + "]}}]}]}"));
  REQUIRE(deliveries);
  CHECK(deliveries->size() == 500);
  std::string messages;
  for (int i = 0; i < 500; ++i)
    messages += (i ? "," : "") + std::string(R"({"from":"1","id":"w)") + std::to_string(i) +
                R"(","type":"text","text":{"body":"x"}})";
  const auto whats = receive(
      codec(), sent(whatsapp("\"messages\":[" + messages + "]",
                             R"([{"profile":{"name":")" + long_id + R"("},"wa_id":"1"}])")));
  REQUIRE(whats);
  std::size_t bytes = 0;
  for (const auto* list : {&*deliveries, &*whats})
    for (const auto& event : *list) bytes += event.raw.size();
  CHECK(bytes < 1'000'000);
}
