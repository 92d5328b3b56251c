// Replies: queued with their message in one commit, carried by the sandbox through its whole life,
// refused outside the window, and repeated harmlessly under an idempotency key.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t hour_ms = 3'600'000;

std::string problem_type(const Answer& answer) {
  return std::string(answer.json().root()["type"].string_or(""));
}

/// A shop that has nothing but a sandbox, and a conversation with one contact on a channel.
struct Talk : Shop {
  explicit Talk(const std::string& channel = "sms", const std::string& settings = "{}") {
    make_sandbox(api, settings);
    contact_id = make_contact(channel);
    auto opened = api.post("/api/v1/conversations", R"({"contact_id":")" + contact_id + "\"}");
    REQUIRE(opened.status == 201);
    conversation = opened.json().root()["id"].string_or("");
    target = "/api/v1/conversations/" + conversation + "/messages";
  }
  std::string make_contact(const std::string& channel) {
    auto address = channel == "email" ? "ana@example.com" : "+15550100777";
    auto made = api.post("/api/v1/contacts", R"({"name":"Ana","identities":[{"channel":")" +
                                                 channel + R"(","address":")" + address + "\"}]}");
    REQUIRE(made.status == 201);
    return std::string(made.json().root()["id"].string_or(""));
  }
  Answer reply(const std::string& json, Headers more = {}) {
    return api.post(target, json, std::move(more));
  }
  std::vector<Message> outbound() {
    auto all = messages(api, conversation);
    std::erase_if(all, [](auto& message) { return message.direction != "outbound"; });
    return all;
  }
  std::string contact_id;
  std::string conversation;
  std::string target;
};

}  // namespace

TEST_CASE("reply: through the sandbox it is queued, sent, delivered and read, each told once") {
  Talk talk;
  Feed feed(talk.server.port(), talk.tenant.api_key);
  feed.subscribe();
  auto answer = talk.reply(R"({"body":"Yes, to every island."})");
  CHECK(answer.status == 202);
  auto parsed = answer.json();
  auto queued = to_message(parsed.root());
  CHECK(queued.status == "queued");
  CHECK(queued.direction == "outbound");
  CHECK(queued.body == "Yes, to every island.");
  CHECK(queued.provider == "sandbox");
  CHECK(queued.channel == "sms");

  std::vector<std::string> told;
  while (told.empty() || told.back() != "read") {
    auto event = feed.next(30s);
    REQUIRE(event);
    auto data = json::parse(event->data);
    auto message = to_message(data->root());
    if (message.id != queued.id) continue;
    CHECK(event->type == (told.empty() ? "message.created" : "message.status"));
    told.push_back(message.status);
  }
  std::erase(told, "sending");
  CHECK(told == std::vector<std::string>{"queued", "sent", "delivered", "read"});
  auto all = talk.outbound();
  REQUIRE(all.size() == 1);
  CHECK(all[0].status == "read");
  CHECK(all[0].id == queued.id);
  CHECK(!all[0].provider_message_id.empty());
}

TEST_CASE("reply: its way can be followed by asking") {
  Talk talk("email");
  CHECK(talk.reply(R"({"body":"On its way.","subject":"Your order"})").status == 202);
  CHECK(eventually(30s, [&] { return talk.outbound().at(0).status == "read"; }));
  CHECK(talk.outbound()[0].subject == "Your order");
}

TEST_CASE("reply: what the sandbox is told to lose is failed, with its reason") {
  Talk talk("sms", R"({"failure_rate":1})");
  CHECK(talk.reply(R"({"body":"x"})").status == 202);
  CHECK(eventually(30s, [&] { return talk.outbound().at(0).status == "failed"; }));
  auto page = talk.api.get(talk.target + "?limit=200").json();
  auto error = page.root()["data"].at(0)["error"];
  CHECK(error["code"].string_or("") != "");
  CHECK(error["detail"].string_or("") != "");
}

TEST_CASE("reply: outside a channel's window it is 409, and nothing is queued") {
  // Windows run from the event's own time: Meta may deliver days later.
  struct {
    std::string channel;
    std::int64_t age_ms;
    int status;
  } cases[] = {{"whatsapp", 25 * hour_ms, 409},  {"whatsapp", 23 * hour_ms, 202},
               {"messenger", 25 * hour_ms, 409}, {"messenger", 23 * hour_ms, 202},
               {"instagram", 25 * hour_ms, 409}, {"instagram", 23 * hour_ms, 202}};
  for (auto& [channel, age, status] : cases) {
    CAPTURE(channel);
    CAPTURE(age);
    Shop shop;
    Meta meta(shop.api);
    meta.clock_ms = now_ms() - age;
    auto ask = channel == "whatsapp"    ? meta.whatsapp("15550100777", "wamid." + unique(), "hi")
               : channel == "messenger" ? meta.messenger("4000", "m_" + unique(), "hi")
                                        : meta.instagram("5000", "ig_" + unique(), "hi");
    REQUIRE(shop.api.send(ask).status == 200);
    auto row = inbox(shop.api).at(0);
    auto answer =
        shop.api.post("/api/v1/conversations/" + row.id + "/messages", R"({"body":"late"})");
    CHECK(answer.status == status);
    if (status == 409) CHECK(problem_type(answer) == "/problems/outside-messaging-window");
    CHECK(messages(shop.api, row.id).size() == (status == 409 ? 1 : 2));
  }
}

TEST_CASE("reply: who never wrote on WhatsApp has no window there; SMS and e-mail need none") {
  for (auto& [channel, status] : {std::pair<std::string, int>{"whatsapp", 409},
                                  {"sms", 202},
                                  {"email", 202},
                                  {"chat", 202}}) {
    CAPTURE(channel);
    Talk talk(channel);
    CHECK(talk.reply(R"({"body":"hello"})").status == status);
    CHECK(talk.outbound().size() == (status == 202 ? 1 : 0));
  }
}

TEST_CASE("reply: on a channel where the contact is not known it is refused") {
  Talk talk("email");
  auto answer = talk.reply(R"({"body":"x","channel":"messenger"})");
  CHECK(answer.status == 409);
  CHECK(problem_type(answer) == "/problems/no-channel");
  CHECK(talk.outbound().empty());
}

TEST_CASE("reply: an idempotency key gives the same answer and no second message") {
  Talk talk;
  Headers key{{"Idempotency-Key", unique()}};
  auto first = talk.reply(R"({"body":"once"})", key);
  auto second = talk.reply(R"({"body":"once"})", key);
  CHECK(first.status == 202);
  CHECK(first.header("idempotent-replayed") == "");
  CHECK(second.status == 202);
  CHECK(second.header("idempotent-replayed") == "true");
  CHECK(second.body == first.body);
  auto other = talk.reply(R"({"body":"twice"})", key);
  CHECK(other.status == 422);
  CHECK(problem_type(other) == "/problems/idempotency-reused");
  CHECK(talk.outbound().size() == 1);
  // Without a key the same words may be said again.
  CHECK(talk.reply(R"({"body":"once"})").status == 202);
  CHECK(talk.outbound().size() == 2);
}

TEST_CASE("reply: a malformed idempotency key is 400") {
  Talk talk;
  for (std::string key : {std::string(256, 'k'), std::string("two words"), std::string("k\xC3\xA9"),
                          std::string("tab\there")}) {
    CAPTURE(key);
    auto answer = talk.reply(R"({"body":"x"})", {{"Idempotency-Key", key}});
    CHECK(answer.status == 400);
    CHECK(problem_type(answer) == "/problems/idempotency-bad-key");
  }
  CHECK(talk.outbound().empty());
  CHECK(talk.reply(R"({"body":"x"})", {{"Idempotency-Key", std::string(255, 'k')}}).status == 202);
}

TEST_CASE("reply: one key sent 40 times at once makes one message") {
  Talk talk;
  Ask ask{"POST",
          talk.target,
          R"({"body":"once"})",
          {{"Content-Type", "application/json"},
           {"Authorization", "Bearer " + talk.tenant.api_key},
           {"Idempotency-Key", unique()}}};
  auto statuses =
      send_all({.port = talk.server.port(), .connections = 40}, std::vector<Ask>(40, ask));
  auto accepted = std::count(statuses.begin(), statuses.end(), 202);
  auto running = std::count(statuses.begin(), statuses.end(), 409);
  CHECK(accepted >= 1);
  CHECK(accepted + running == 40);
  CHECK(talk.outbound().size() == 1);
}

TEST_CASE("reply: an integration made twice under one key is one integration") {
  Shop shop;
  Headers key{{"Idempotency-Key", unique()}};
  std::string body = R"({"provider":"sandbox","name":"S","credentials":{},"settings":{}})";
  auto first = shop.api.post("/api/v1/integrations", body, key);
  auto second = shop.api.post("/api/v1/integrations", body, key);
  CHECK(first.status == 201);
  CHECK(second.status == 201);
  CHECK(second.header("idempotent-replayed") == "true");
  CHECK(first.body == second.body);
  CHECK(list(shop.api, "/api/v1/integrations").size() == 1);
}

TEST_CASE("reply: with no sender yet for its provider it waits in the queue and says so") {
  Talk talk("chat");
  Twilio twilio(talk.api);
  CHECK(talk.api.send(twilio.message("SM" + unique(), "+15550100999", "hi")).status == 200);
  auto rows = inbox(talk.api, "channel=sms");
  REQUIRE(rows.size() == 1);
  auto target = "/api/v1/conversations/" + rows[0].id + "/messages";
  auto answer = talk.api.post(target, R"({"body":"soon"})");
  CHECK(answer.status == 202);
  CHECK(answer.json().root()["provider"].string_or("") == "twilio");
  // The sandbox's whole round passes meanwhile; Twilio's message has not moved.
  CHECK(talk.reply(R"({"body":"now"})").status == 202);
  CHECK(eventually(30s, [&] { return talk.outbound().at(0).status == "read"; }));
  auto page = talk.api.get(target).json();
  auto waiting = page.root()["data"].at(1);
  CHECK(waiting["status"].string_or("") == "queued");
  CHECK(waiting["error"]["code"].string_or("") != "");
  CHECK(waiting["error"]["detail"].string_or("") != "");
}

TEST_CASE("reply: it leaves through the integration that carried the contact's last message") {
  Shop shop;
  make_sandbox(shop.api);
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  auto reply = [&] {
    auto row = inbox(shop.api).at(0);
    auto answer = shop.api.post("/api/v1/conversations/" + row.id + "/messages", R"({"body":"x"})");
    CHECK(answer.status == 202);
    return std::string(answer.json().root()["provider"].string_or(""));
  };
  shop.api.send(meta.whatsapp("15550100777", "wamid." + unique(), "by Meta"));
  CHECK(reply() == "meta");
  // Twilio serves WhatsApp too and is older; it carries nobody who came by Meta.
  Shop other;
  Twilio older(other.api);
  Meta younger(other.api);
  other.api.send(younger.whatsapp("15550100777", "wamid." + unique(), "by Meta"));
  auto row = inbox(other.api).at(0);
  auto answer = other.api.post("/api/v1/conversations/" + row.id + "/messages", R"({"body":"x"})");
  CHECK(answer.json().root()["provider"].string_or("") == "meta");
}

TEST_CASE("reply: opening a conversation that is open gives that one, with its first message") {
  Talk talk;
  auto open = [&](const std::string& more) {
    return talk.api.post("/api/v1/conversations",
                         R"({"contact_id":")" + talk.contact_id + "\"" + more + "}");
  };
  auto plain = open("");
  CHECK(plain.status == 200);
  CHECK(plain.json().root()["id"].string_or("") == talk.conversation);
  auto spoken = open(R"(,"message":{"body":"We are here."})");
  CHECK(spoken.status == 200);
  CHECK(talk.outbound().size() == 1);
  auto missing = talk.api.post("/api/v1/conversations",
                               R"({"contact_id":"0190a6f2-3b7c-7def-8123-456789abcdef"})");
  CHECK(missing.status == 404);
  CHECK(inbox(talk.api).size() == 1);
}

TEST_CASE("reply: a contact's message on a second channel stays in its one conversation") {
  Talk talk("email");
  auto refused = talk.api.post(
      "/api/v1/contacts",
      R"({"name":"Other","identities":[{"channel":"email","address":"ana@EXAMPLE.com"}]})");
  CHECK(refused.status == 409);
  CHECK(refused.body.find(talk.contact_id) != std::string::npos);
  SendGrid sendgrid(talk.api);
  auto parts = SendGrid::mail_parts("ana@example.com", "s", "hello", unique() + "@m");
  CHECK(talk.api.send(sendgrid.mail(parts)).status == 200);
  auto rows = inbox(talk.api);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].id == talk.conversation);
  CHECK(rows[0].contact_id == talk.contact_id);
}
