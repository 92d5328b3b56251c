// Signed webhooks in: each provider's message becomes a row, a message and a live event, once.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;

namespace {

/// The one conversation and one message of a shop, and what the feed said of it.
void check_arrival(Shop& shop, const std::string& channel, const std::string& body) {
  CAPTURE(channel);
  auto rows = inbox(shop.api, "channel=" + channel);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].channel == channel);
  CHECK(rows[0].status == "open");
  CHECK(rows[0].unread == 1);
  CHECK(rows[0].preview == body);
  auto all = messages(shop.api, rows[0].id);
  REQUIRE(all.size() == 1);
  CHECK(all[0].body == body);
  CHECK(all[0].direction == "inbound");
  CHECK(all[0].status == "received");
  CHECK(all[0].conversation_id == rows[0].id);

  Feed feed(shop.server.port(), shop.tenant.api_key);
  feed.subscribe(0, R"({"channel":")" + channel + "\"}");
  auto event = feed.next();
  REQUIRE(event);
  CHECK(event->type == "message.created");
  auto data = json::parse(event->data);
  auto message = to_message(data->root());
  CHECK(message.id == all[0].id);
  CHECK(message.body == body);
  CHECK(to_row(data->root()["conversation"]).id == rows[0].id);
  CHECK(event->seq == all[0].seq);
}

/// All failures kept for a tenant.
std::vector<std::string> failures(Shop& shop) {
  return list(shop.api, "/api/v1/webhook-failures");
}

std::size_t count_messages(Shop& shop) {
  std::size_t count = 0;
  for (auto& row : inbox(shop.api)) count += messages(shop.api, row.id).size();
  return count;
}

}  // namespace

TEST_CASE("ingest: a text message by Twilio arrives, and the answer is empty TwiML") {
  Shop shop;
  Twilio twilio(shop.api);
  auto answer = shop.api.send(twilio.message("SM1" + unique(), "+15550100777", "Do you ship? 👍"));
  CHECK(answer.status == 200);
  CHECK(answer.header("content-type").starts_with("text/xml"));
  bool empty_response = answer.body.find("<Response/>") != std::string::npos ||
                        answer.body.find("<Response></Response>") != std::string::npos;
  CHECK(empty_response);
  check_arrival(shop, "sms", "Do you ship? 👍");
}

TEST_CASE("ingest: a WhatsApp message by Twilio arrives") {
  Shop shop;
  Twilio twilio(shop.api);
  auto ask = twilio.message(
      "SM1" + unique(), "whatsapp:+15550100777", "Èske nou louvri dimanch?",
      {{"To", "whatsapp:+15550100002"}, {"ProfileName", "Ana"}, {"WaId", "15550100777"}});
  CHECK(shop.api.send(ask).status == 200);
  check_arrival(shop, "whatsapp", "Èske nou louvri dimanch?");
  CHECK(inbox(shop.api)[0].contact_name == "Ana");
}

TEST_CASE("ingest: Messenger, Instagram and WhatsApp Cloud messages arrive by one webhook") {
  Shop shop;
  Meta meta(shop.api);
  CHECK(shop.api.send(meta.messenger("4000123456789", "m_" + unique(), "bonjour")).status == 200);
  check_arrival(shop, "messenger", "bonjour");
  CHECK(shop.api.send(meta.instagram("5000123456789", "aWd" + unique(), "hola")).status == 200);
  check_arrival(shop, "instagram", "hola");
  CHECK(shop.api.send(meta.whatsapp("15550100777", "wamid." + unique(), "hello")).status == 200);
  check_arrival(shop, "whatsapp", "hello");
}

TEST_CASE("ingest: Meta's escapes are verified as bytes and stored as text") {
  Shop shop;
  Meta meta(shop.api);
  auto body = "{\"object\":\"page\",\"entry\":[{\"id\":\"" + meta.page_id +
              R"(","messaging":[{"sender":{"id":"41"},"recipient":{"id":")" + meta.page_id +
              R"("},"timestamp":)" + std::to_string(now_ms()) + R"(,"message":{"mid":"m_)" +
              unique() + R"(","text":"\u00e4\u00f6\u00e5 a\/b"}}]}]})";
  CHECK(shop.api.send(meta.signed_body(body)).status == 200);
  check_arrival(shop, "messenger", "äöå a/b");
}

TEST_CASE("ingest: a mail by inbound parse arrives with its subject") {
  Shop shop;
  SendGrid sendgrid(shop.api);
  auto parts = SendGrid::mail_parts("ana@example.com", "My order", "Where is it?",
                                    unique() + "@mail.example.com");
  auto answer = shop.api.send(sendgrid.mail(parts));
  CHECK(answer.status / 100 == 2);
  check_arrival(shop, "email", "Where is it?");
  CHECK(messages(shop.api, inbox(shop.api)[0].id)[0].subject == "My order");
  // The same mail again changes nothing.
  CHECK(shop.api.send(sendgrid.mail(parts)).status / 100 == 2);
  CHECK(count_messages(shop) == 1);
}

TEST_CASE("ingest: a Latin-1 mail arrives as UTF-8, wherever its charsets stand") {
  Shop shop;
  SendGrid sendgrid(shop.api);
  auto parts = SendGrid::mail_parts("ana@example.com", "Café", "caf\xE9 d\xE9j\xE0 pay\xE9",
                                    unique() + "@mail.example.com");
  for (auto& part : parts)
    if (part.name == "charsets")
      part.value = R"({"subject":"UTF-8","from":"UTF-8","text":"iso-8859-1"})";
  CHECK(shop.api.send(sendgrid.mail(parts)).status / 100 == 2);
  check_arrival(shop, "email", "café déjà payé");
}

TEST_CASE("ingest: a mail's file can be downloaded, by its own tenant alone") {
  Shop shop;
  SendGrid sendgrid(shop.api);
  auto parts = SendGrid::mail_parts("ana@example.com", "Photo", "see file", unique() + "@m");
  const std::string bytes("\x89PNG\r\n--x\0y", 12);
  parts.push_back({"attachment1", bytes});
  REQUIRE(shop.api.send(sendgrid.mail(parts)).status == 200);
  auto page = shop.api.get("/api/v1/conversations/" + inbox(shop.api).at(0).id + "/messages");
  auto document = page.json();
  auto file = document.root()["data"].at(0)["attachments"].at(0);
  CHECK(file["size"].integer() == 12);
  std::string url(file["url"].string_or(""));
  auto answer = shop.api.get(url);
  CHECK(answer.status == 200);
  CHECK(answer.body == bytes);
  CHECK(answer.header("content-disposition").rfind("attachment;", 0) == 0);
  CHECK(shop.api.get(url.substr(0, url.size() - 1) + "1").status == 404);
  Shop other;
  CHECK(other.api.get(url).status == 404);
}

TEST_CASE("ingest: inbound parse with a token takes only mails that know it") {
  Shop shop;
  SendGrid sendgrid(shop.api, "inbound-token-0123456789");
  auto good = sendgrid.mail(SendGrid::mail_parts("ana@example.com", "s", "t", unique() + "@m"));
  auto bad = good;
  bad.target = sendgrid.integration.path + "?token=wrong";
  CHECK(shop.api.send(bad).status == 401);
  bad.target = sendgrid.integration.path;
  CHECK(shop.api.send(bad).status == 401);
  CHECK(inbox(shop.api).empty());
  CHECK(shop.api.send(good).status / 100 == 2);
  CHECK(inbox(shop.api).size() == 1);
}

TEST_CASE("ingest: a signature that is missing, wrong or stale is 401 and stores nothing") {
  Shop shop;
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  SendGrid sendgrid(shop.api);
  auto sms = twilio.message("SM" + unique(), "+15550100777", "hi");
  auto other_body = sms;
  other_body.body += "&Extra=1";
  auto page = meta.messenger("4000123456789", "m_" + unique(), "hi");
  auto page_other = page;
  page_other.body += " ";
  auto sha1 = with_header(page, "X-Hub-Signature-256", "");
  sha1.headers.emplace_back("X-Hub-Signature", "sha1=0000000000000000000000000000000000000000");
  std::string batch = R"([{"email":"a@example.com","event":"open","timestamp":1700000000,)"
                      R"("sg_event_id":"ev1","sg_message_id":"m.1"}])";
  auto events = sendgrid.events(batch);
  const std::string stamp = "X-Twilio-Email-Event-Webhook-Timestamp";
  const std::string sign = "X-Twilio-Email-Event-Webhook-Signature";
  struct {
    std::string what;
    Ask ask;
  } cases[] = {
      {"twilio missing", with_header(sms, "X-Twilio-Signature", "")},
      {"twilio wrong", with_header(sms, "X-Twilio-Signature", twilio.signature("x", {}))},
      {"twilio short", with_header(sms, "X-Twilio-Signature", "AAAA")},
      {"twilio not base64", with_header(sms, "X-Twilio-Signature", "***")},
      {"twilio changed body", other_body},
      {"twilio json without hash",
       {"POST",
        twilio.integration.path,
        "{}",
        {{"Content-Type", "application/json"},
         {"X-Twilio-Signature", twilio.signature(twilio.integration.url, {})}}}},
      {"twilio json with another body",
       [&] {
         auto ask = twilio.signed_json(R"({"MessageSid":"SM1"})");
         ask.body = R"({"MessageSid":"SM2"})";
         return ask;
       }()},
      {"meta missing", with_header(page, "X-Hub-Signature-256", "")},
      {"meta wrong", with_header(page, "X-Hub-Signature-256", meta.signature("x"))},
      {"meta without prefix",
       with_header(page, "X-Hub-Signature-256", meta.signature(page.body).substr(7))},
      {"meta upper case scheme",
       with_header(page, "X-Hub-Signature-256", "SHA1=" + meta.signature(page.body).substr(7))},
      {"meta sha1 only", sha1},
      {"meta changed body", page_other},
      {"sendgrid missing", with_header(events, sign, "")},
      {"sendgrid without time", with_header(events, stamp, "")},
      {"sendgrid other time", with_header(events, stamp, std::to_string(now_ms() / 1000 - 7))},
      {"sendgrid not base64", with_header(events, sign, "***")},
      {"sendgrid older than 48 h", sendgrid.events(batch, 49 * 3600)},
      {"sendgrid from the future", sendgrid.events(batch, -3600)},
  };
  for (auto& [what, ask] : cases) {
    CAPTURE(what);
    auto answer = shop.api.send(ask);
    CHECK(answer.status == 401);
    CHECK(answer.header("content-type") == "application/problem+json");
    CHECK(answer.json().root()["type"].string_or("") == "/problems/bad-signature");
  }
  CHECK(inbox(shop.api).empty());
  CHECK(failures(shop).empty());
  // And the right ones pass, so that it was the signature that was refused.
  CHECK(shop.api.send(sms).status == 200);
  CHECK(shop.api.send(page).status == 200);
  CHECK(shop.api.send(events).status / 100 == 2);
  CHECK(shop.api.send(sendgrid.events(batch, 47 * 3600)).status / 100 == 2);
}

TEST_CASE("ingest: unknown endpoints are 404, whatever the provider") {
  Shop shop;
  Twilio twilio(shop.api);
  for (std::string path : {"/webhooks/twilio/nobody", "/webhooks/meta/nobody",
                           "/webhooks/sendgrid/nobody", "/webhooks/nobody/nobody"}) {
    CAPTURE(path);
    CHECK(shop.api
              .send({"POST", path, "a=b", {{"Content-Type", "application/x-www-form-urlencoded"}}})
              .status == 404);
  }
  // An endpoint of Twilio's is none of Meta's.
  auto foreign = twilio.message("SM" + unique(), "+15550100777", "hi");
  foreign.target.replace(foreign.target.find("twilio"), 6, "meta");
  CHECK(shop.api.send(foreign).status == 404);
}

TEST_CASE("ingest: 200 concurrent redeliveries of one message make one row, all acknowledged") {
  Shop shop;
  Twilio twilio(shop.api);
  auto ask = twilio.message("SM" + unique(), "+15550100777", "only once");
  auto statuses = send_all({.port = shop.server.port(), .connections = 200, .repeats_of_503 = 100},
                           std::vector<Ask>(200, ask));
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == 200);
  auto rows = inbox(shop.api);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].unread == 1);
  CHECK(messages(shop.api, rows[0].id).size() == 1);
  // The journal has it once, too.
  Feed feed(shop.server.port(), shop.tenant.api_key);
  feed.subscribe(0);
  std::size_t created = 0;
  while (auto event = feed.next()) {
    created += event->type == "message.created";
    if (event->seq >= feed.hello_seq) break;
  }
  CHECK(created == 1);
}

TEST_CASE("ingest: 64 parallel first messages of a new contact make one conversation") {
  Shop shop;
  Twilio twilio(shop.api);
  std::vector<Ask> asks;
  for (int i = 0; i < 64; ++i)
    asks.push_back(twilio.message("SM" + unique(), "+15550100888", "first " + std::to_string(i)));
  auto statuses =
      send_all({.port = shop.server.port(), .connections = 64, .repeats_of_503 = 100}, asks);
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == 64);
  auto rows = inbox(shop.api);
  REQUIRE(rows.size() == 1);
  std::set<std::string> bodies;
  for (auto& message : messages(shop.api, rows[0].id)) bodies.insert(message.body);
  CHECK(bodies.size() == 64);
  CHECK(rows[0].unread == 64);
}

TEST_CASE("ingest: one number on two channels of one provider is two addresses") {
  Shop shop;
  Twilio twilio(shop.api);
  shop.api.send(twilio.message("SM" + unique(), "+15550100777", "by sms"));
  shop.api.send(twilio.message("SM" + unique(), "whatsapp:+15550100777", "by whatsapp",
                               {{"To", "whatsapp:+15550100002"}}));
  CHECK(inbox(shop.api, "channel=sms").size() == 1);
  CHECK(inbox(shop.api, "channel=whatsapp").size() == 1);
}

TEST_CASE("ingest: Meta's handshake echoes the challenge and nothing else") {
  Shop shop;
  Meta meta(shop.api);
  auto ask = [&](const std::string& mode, const std::string& token) {
    return shop.api.get(meta.integration.path + "?hub.mode=" + mode +
                        "&hub.challenge=1158201444&hub.verify_token=" + token);
  };
  auto good = ask("subscribe", meta.verify_token);
  CHECK(good.status == 200);
  CHECK(good.body == "1158201444");
  CHECK(good.header("content-type").starts_with("text/plain"));
  CHECK(ask("subscribe", "wrong").status == 403);
  CHECK(ask("subscribe", "").status == 403);
  CHECK(ask("unsubscribe", meta.verify_token).status == 403);
  CHECK(shop.api.get(meta.integration.path).status == 403);
}

TEST_CASE("ingest: a SendGrid batch with unusable elements is accepted, and each of them is kept") {
  Shop shop;
  SendGrid sendgrid(shop.api);
  auto answer = shop.api.send(
      sendgrid.events(R"([{"email":"ana@example.com","event":"delivered","timestamp":1700000009,)"
                      R"("sg_event_id":"cC","sg_message_id":"X.1"},)"
                      "\r\n"
                      R"(17,{"event":4,"timestamp":"soon"},)"
                      R"({"email":"ana@example.com","event":"open","timestamp":1700000100,)"
                      R"("sg_event_id":"cD","sg_message_id":"X.1"}])"
                      "\r\n"));
  CHECK(answer.status / 100 == 2);
  auto kept = failures(shop);
  CHECK(kept.size() == 2);
  for (auto& failure : kept) {
    auto document = json::parse(failure);
    CHECK(document->root()["provider"].string_or("") == "sendgrid");
    CHECK(document->root()["reason"].string_or("") != "");
  }
}

TEST_CASE("ingest: signed but unreadable is kept and answered 200, once however often it comes") {
  Shop shop;
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  SendGrid sendgrid(shop.api);
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "[";
  for (int i = 0; i < 40; ++i) deep += "]";
  struct {
    std::string what;
    Ask ask;
  } cases[] = {
      {"meta not JSON", meta.signed_body("hello")},
      {"meta empty", meta.signed_body("")},
      {"meta not UTF-8", meta.signed_body("{\"object\":\"p\xE9\"}")},
      {"meta wrong top level", meta.signed_body("[1]")},
      {"meta too deep", meta.signed_body(deep)},
      {"meta foreign page",
       [&] {
         auto other = meta.messenger("41", "m_" + unique(), "hi").body;
         other.replace(other.find(meta.page_id), meta.page_id.size(), "999");
         return meta.signed_body(other);
       }()},
      {"twilio foreign account",
       twilio.message("SM" + unique(), "+15550100777", "hi", {{"AccountSid", "AC9"}})},
      {"twilio without a sid", twilio.signed_form({{"From", "+15550100777"}, {"Body", "x"}})},
      {"sendgrid not an array", sendgrid.events("{}")},
      {"sendgrid broken", sendgrid.events("[{")},
  };
  std::size_t expected = 0;
  for (auto& [what, ask] : cases) {
    CAPTURE(what);
    CHECK(shop.api.send(ask).status == 200);
    CHECK(failures(shop).size() == ++expected);
    CHECK(shop.api.send(ask).status == 200);
    CHECK(failures(shop).size() == expected);
  }
  CHECK(inbox(shop.api).empty());
}

TEST_CASE("ingest: unknown kinds are taken and change nothing") {
  Shop shop;
  Meta meta(shop.api);
  auto id = [&](const char* key) { return std::string("{\"id\":\"") + key + "\"}"; };
  auto base = "{\"sender\":" + id("41") + ",\"recipient\":" + id(meta.page_id.c_str()) +
              ",\"timestamp\":" + std::to_string(now_ms());
  for (std::string kind :
       {R"("reaction":{"mid":"m_0","action":"react","reaction":"love","emoji":"\u2764"})",
        R"("referral":{"ref":"x"})", R"("something_new":{"a":1})"}) {
    CAPTURE(kind);
    CHECK(shop.api.send(meta.page_event(base + "," + kind + "}")).status == 200);
  }
  CHECK(shop.api.send(meta.signed_body(R"({"object":"threads","entry":[]})")).status == 200);
  for (auto& row : inbox(shop.api)) CHECK(messages(shop.api, row.id).empty());
}

TEST_CASE("ingest: statuses that come out of order never lower a message") {
  Shop shop;
  Meta meta(shop.api);
  auto sent_at = now_ms();
  auto people = [&](const std::string& from, const std::string& to) {
    return "{\"sender\":{\"id\":\"" + from + "\"},\"recipient\":{\"id\":\"" + to + "\"}";
  };
  REQUIRE(shop.api.send(meta.messenger("4000123456789", "m_" + unique(), "hello")).status == 200);
  auto echo = people(meta.page_id, "4000123456789") + ",\"timestamp\":" + std::to_string(sent_at) +
              R"(,"message":{"mid":"m_)" + unique() +
              R"(","is_echo":true,"app_id":1517776481860111,"text":"we do"}})";
  auto watermark = [&](const std::string& kind) {
    return people("4000123456789", meta.page_id) + ",\"timestamp\":" + std::to_string(now_ms()) +
           ",\"" + kind + "\":{\"watermark\":" + std::to_string(now_ms()) + "}}";
  };
  auto outbound_status = [&] {
    auto rows = inbox(shop.api);
    REQUIRE(rows.size() == 1);
    for (auto& message : messages(shop.api, rows[0].id))
      if (message.direction == "outbound") return message.status;
    return std::string("none");
  };
  CHECK(shop.api.send(meta.page_event(echo)).status == 200);
  CHECK(outbound_status() == "sent");
  CHECK(shop.api.send(meta.page_event(watermark("read"))).status == 200);
  CHECK(eventually(std::chrono::seconds(10), [&] { return outbound_status() == "read"; }));
  CHECK(shop.api.send(meta.page_event(watermark("delivery"))).status == 200);
  CHECK(outbound_status() == "read");
  // An echo is what we wrote: it is no new mail of the customer's.
  CHECK(inbox(shop.api)[0].unread <= 1);
}

TEST_CASE("ingest: a watermark that overtakes an echo counts for it when it comes") {
  Shop shop;
  Meta meta(shop.api);
  REQUIRE(shop.api.send(meta.messenger("4000", "m_" + unique(), "hello")).status == 200);
  auto written_at = now_ms();
  auto event = [&](const std::string& from, const std::string& to, std::int64_t at,
                   const std::string& members) {
    return meta.page_event("{\"sender\":{\"id\":\"" + from + "\"},\"recipient\":{\"id\":\"" + to +
                           "\"},\"timestamp\":" + std::to_string(at) + "," + members + "}");
  };
  CHECK(shop.api
            .send(event("4000", meta.page_id, written_at + 2000,
                        "\"read\":{\"watermark\":" + std::to_string(written_at + 1000) + "}"))
            .status == 200);
  CHECK(shop.api
            .send(event(meta.page_id, "4000", written_at,
                        "\"message\":{\"mid\":\"m_" + unique() +
                            R"(","is_echo":true,"app_id":1,"text":"we do"})"))
            .status == 200);
  auto all = messages(shop.api, inbox(shop.api).at(0).id);
  REQUIRE(all.size() == 2);
  CHECK(all[1].direction == "outbound");
  CHECK(all[1].status == "read");
}

TEST_CASE("ingest: pictures arrive as attachments, and are not fetched") {
  Shop shop;
  Twilio twilio(shop.api);
  const std::string url = "https://api.twilio.com/2010-04-01/Accounts/AC0/Messages/MM0/Media/ME0";
  CHECK(shop.api
            .send(twilio.message(
                "MM" + unique(), "+15550100777", "",
                {{"NumMedia", "1"}, {"MediaUrl0", url}, {"MediaContentType0", "image/jpeg"}}))
            .status == 200);
  auto row = inbox(shop.api).at(0);
  auto page = shop.api.get("/api/v1/conversations/" + row.id + "/messages").json();
  auto attachments = page.root()["data"].at(0)["attachments"];
  REQUIRE(attachments.size() == 1);
  CHECK(attachments.at(0)["type"].string_or("") == "image");
  CHECK(attachments.at(0)["url"].string_or("") == url);
}

TEST_CASE("ingest: what a contact unsends on Instagram is erased") {
  Shop shop;
  Meta meta(shop.api);
  auto mid = "ig_" + unique();
  auto words = "I regret this " + unique();
  REQUIRE(shop.api.send(meta.instagram("5000", mid, words)).status == 200);
  auto row = inbox(shop.api).at(0);
  auto unsend =
      meta.signed_body(R"({"object":"instagram","entry":[{"id":")" + meta.instagram_id +
                       R"(","messaging":[{"sender":{"id":"5000"},"recipient":{"id":")" +
                       meta.instagram_id + "\"},\"timestamp\":" + std::to_string(now_ms()) +
                       ",\"message\":{\"mid\":\"" + mid + "\",\"is_deleted\":true}}]}]}");
  CHECK(shop.api.send(unsend).status == 200);
  CHECK(shop.api.send(unsend).status == 200);
  auto all = messages(shop.api, row.id);
  REQUIRE(all.size() == 1);
  CHECK(all[0].body == "");
  CHECK(shop.api.get("/api/v1/responses/inbox").body.find(words) == std::string::npos);
  Feed feed(shop.server.port(), shop.tenant.api_key);
  feed.subscribe(0);
  while (auto frame = feed.next_frame()) {
    CHECK(frame->find(words) == std::string::npos);
    if (json::parse(*frame)->root()["seq"].integer() == feed.hello_seq) break;
  }
  CHECK(shop.server.command({"verify"}).status == 0);
}

TEST_CASE("ingest: a status of a message we never sent is taken") {
  Shop shop;
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  CHECK(shop.api.send(twilio.status("SM" + unique(), "delivered")).status / 100 == 2);
  CHECK(shop.api.send(twilio.status("SM" + unique(), "teleported")).status / 100 == 2);
  CHECK(shop.api.send(meta.whatsapp_status("15550100777", "wamid." + unique(), "read")).status ==
        200);
  CHECK(inbox(shop.api).empty());
}

TEST_CASE("ingest: wrong content types, broken forms and oversized bodies are refused") {
  Shop shop;
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  SendGrid sendgrid(shop.api);
  auto sms = twilio.message("SM" + unique(), "+15550100777", "hi");
  CHECK(shop.api.send(with_header(sms, "Content-Type", "text/plain")).status == 415);
  CHECK(shop.api.send(with_header(sms, "Content-Type", "")).status == 415);
  auto page = meta.messenger("41", "m_" + unique(), "hi");
  CHECK(shop.api.send(with_header(page, "Content-Type", "text/xml")).status == 415);
  auto packed = page;
  packed.headers.emplace_back("Content-Encoding", "gzip");
  CHECK(shop.api.send(packed).status == 415);
  auto latin = sms;
  latin.body = "Body=%E9";
  CHECK(shop.api.send(latin).status == 400);
  latin.body = "Body=%zz";
  CHECK(shop.api.send(latin).status == 400);
  auto mail = sendgrid.mail(SendGrid::mail_parts("ana@example.com", "s", "t", unique() + "@m"));
  CHECK(shop.api.send(with_header(mail, "Content-Type", "multipart/form-data")).status == 400);
  CHECK(shop.api.send(meta.signed_body(std::string((4u << 20) + 1, ' '))).status == 413);
  CHECK(inbox(shop.api).empty());
}
