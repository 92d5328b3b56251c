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

/// A shop with a sandbox and one contact who has written by `channel`.
struct Talk : Shop {
  explicit Talk(const std::string& channel = "sms", std::int64_t at_ms = 0,
                const std::string& settings = "{}")
      : sandbox(api, settings) {
    auto from = channel == "email" ? "ana@example.com" : "+15550100777";
    auto answer = api.send(sandbox.message(unique(), channel, from, "hello", at_ms));
    REQUIRE(answer.status == 200);
    row = inbox(api).at(0);
    target = "/api/v1/conversations/" + row.id + "/messages";
  }
  Answer reply(const std::string& json, Headers more = {}) {
    return api.post(target, json, std::move(more));
  }
  std::vector<Message> outbound() {
    auto all = messages(api, row.id);
    std::erase_if(all, [](auto& message) { return message.direction != "outbound"; });
    return all;
  }
  Sandbox sandbox;
  Row row;
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
  Talk talk("sms", 0, R"({"failure_rate":1})");
  CHECK(talk.reply(R"({"body":"x"})").status == 202);
  CHECK(eventually(30s, [&] { return talk.outbound().at(0).status == "failed"; }));
  auto page = talk.api.get(talk.target + "?limit=200").json();
  auto error = page.root()["data"].at(1)["error"];
  CHECK(error["code"].string_or("") != "");
  CHECK(error["detail"].string_or("") != "");
}

TEST_CASE("reply: outside a channel's window it is 409, and nothing is queued") {
  struct {
    const char* channel;
    std::int64_t age_ms;
    int status;
  } cases[] = {{"whatsapp", 25 * hour_ms, 409}, {"whatsapp", 23 * hour_ms, 202},
               {"messenger", 25 * hour_ms, 409}, {"instagram", 25 * hour_ms, 409},
               {"sms", 500 * hour_ms, 202},      {"email", 500 * hour_ms, 202}};
  for (auto& [channel, age, status] : cases) {
    CAPTURE(channel);
    CAPTURE(age);
    Talk talk(channel, now_ms() - age);
    auto answer = talk.reply(R"({"body":"late"})");
    CHECK(answer.status == status);
    if (status == 409) {
      CHECK(problem_type(answer) == "/problems/outside-messaging-window");
      CHECK(talk.outbound().empty());
    }
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
  Ask ask{"POST", talk.target, R"({"body":"once"})",
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
  Talk talk;
  Twilio twilio(talk.api);
  CHECK(talk.api.send(twilio.message("SM" + unique(), "+15550100999", "hi")).status == 200);
  std::string other;
  for (auto& row : inbox(talk.api))
    if (row.id != talk.row.id) other = row.id;
  auto answer =
      talk.api.post("/api/v1/conversations/" + other + "/messages", R"({"body":"soon"})");
  CHECK(answer.status == 202);
  auto parsed = answer.json();
  CHECK(to_message(parsed.root()).provider == "twilio");
  // The sandbox's whole round passes meanwhile; Twilio's message has not moved.
  CHECK(talk.reply(R"({"body":"now"})").status == 202);
  CHECK(eventually(30s, [&] { return talk.outbound().at(0).status == "read"; }));
  auto all = messages(talk.api, other);
  REQUIRE(all.size() == 2);
  CHECK(all[1].status == "queued");
  auto page = talk.api.get("/api/v1/conversations/" + other + "/messages").json();
  CHECK(page.root()["data"].at(1)["error"]["code"].string_or("") != "");
}

TEST_CASE("reply: it leaves through the integration that carried the contact's last message") {
  Shop shop;
  Sandbox first(shop.api);
  Sandbox second(shop.api);
  Twilio twilio(shop.api);
  shop.api.send(second.message(unique(), "sms", "+15550100777", "hello"));
  auto row = inbox(shop.api).at(0);
  auto answer =
      shop.api.post("/api/v1/conversations/" + row.id + "/messages", R"({"body":"x"})");
  CHECK(answer.status == 202);
  // Not Twilio, although it serves the channel and goes before any sandbox by default.
  CHECK(answer.json().root()["provider"].string_or("") == "sandbox");
  // Told otherwise by the contact's next message, it follows.
  shop.api.send(twilio.message("SM" + unique(), "+15550100777", "by Twilio now"));
  answer = shop.api.post("/api/v1/conversations/" + row.id + "/messages", R"({"body":"y"})");
  CHECK(answer.json().root()["provider"].string_or("") == "twilio");
}

TEST_CASE("reply: opening a conversation that is open gives that one, with its first message") {
  Talk talk;
  auto open = [&](const std::string& more) {
    return talk.api.post("/api/v1/conversations",
                         R"({"contact_id":")" + talk.row.contact_id + "\"" + more + "}");
  };
  auto plain = open("");
  CHECK(plain.status == 200);
  CHECK(plain.json().root()["id"].string_or("") == talk.row.id);
  auto spoken = open(R"(,"message":{"body":"We are here."})");
  CHECK(spoken.status == 200);
  CHECK(talk.outbound().size() == 1);
  auto missing = talk.api.post("/api/v1/conversations",
                               R"({"contact_id":"0190a6f2-3b7c-7def-8123-456789abcdef"})");
  CHECK(missing.status == 404);
  CHECK(inbox(talk.api).size() == 1);
}
