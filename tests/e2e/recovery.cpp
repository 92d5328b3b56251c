// Coming back: after a killed database, after a killed server, after a clean stop.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;
using namespace std::chrono_literals;

namespace {

/// A sandbox, a contact in its chat, and the conversation with them.
std::string open_chat(Shop& shop) {
  make_sandbox(shop.api);
  auto contact = shop.api.post(
      "/api/v1/contacts", R"({"name":"Ana","identities":[{"channel":"chat","address":"ana"}]})");
  auto id = contact.json().root()["id"].dump();
  auto opened = shop.api.post("/api/v1/conversations", "{\"contact_id\":" + id + "}");
  return std::string(opened.json().root()["id"].string_or(""));
}

}  // namespace

TEST_CASE("recovery: the database is killed under load; nothing acknowledged is lost") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  std::vector<Ask> asks;
  for (int i = 0; i < 4000; ++i)
    asks.push_back(twilio.message("SM" + unique(), "+1555040" + std::to_string(1000 + i % 30),
                                  std::to_string(i)));
  Background load({.port = server.port(), .connections = 8, .reconnect = true}, asks);
  REQUIRE(load.answered(200));
  server.kill_postgres();
  auto statuses = load.finish();
  // It comes back by itself, and says so.
  CHECK(eventually(30s, [&] { return shop.api.get("/ready").status == 200; }));
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    CAPTURE(i);
    bool honest = statuses[i] == 200 || statuses[i] == 503 || statuses[i] == no_answer;
    CHECK(honest);
  }
  CHECK(std::count(statuses.begin(), statuses.end(), 503) > 0);
  // The provider delivers again what was not acknowledged.
  std::vector<Ask> again;
  for (std::size_t i = 0; i < statuses.size(); ++i)
    if (statuses[i] != 200) again.push_back(asks[i]);
  auto second = send_all({.port = server.port(), .connections = 8, .repeats_of_503 = 1000}, again);
  CHECK(std::count(second.begin(), second.end(), 200) == static_cast<long>(again.size()));
  std::vector<int> times(asks.size(), 0);
  for (auto& row : inbox(shop.api))
    for (auto& message : messages(shop.api, row.id)) ++times.at(std::stoul(message.body));
  CHECK(std::all_of(times.begin(), times.end(), [](int n) { return n == 1; }));
  CHECK(server.command({"verify"}).status == 0);
}

TEST_CASE("recovery: a reply that was queued when the server died is sent by the next one, once") {
  Server server;
  Shop shop(server);
  auto target = "/api/v1/conversations/" + open_chat(shop) + "/messages";
  constexpr int replies = 30;
  for (int i = 0; i < replies; ++i)
    REQUIRE(shop.api.post(target, "{\"body\":\"" + std::to_string(i) + "\"}").status == 202);
  server.kill();
  server.start();
  auto all_read = [&] {
    auto rows = list(shop.api, target);
    return std::all_of(rows.begin(), rows.end(), [](auto& row) {
      return json::parse(row)->root()["status"].string_or("") == "read";
    });
  };
  CHECK(eventually(60s, all_read));
  CHECK(list(shop.api, target).size() == replies);
  // Each was told sent once.
  Feed feed(server.port(), shop.tenant.api_key);
  feed.subscribe(0);
  int sent = 0;
  while (auto event = feed.next(5s)) {
    sent += event->type == "message.status" && json::parse(event->data)->root()["id"].exists() &&
            event->data.find("\"status\":\"read\"") != std::string::npos;
    if (event->seq >= feed.hello_seq) break;
  }
  CHECK(sent >= replies);
  CHECK(server.command({"verify"}).status == 0);
}

TEST_CASE("recovery: a clean stop closes live feeds with 1001, and they resume elsewhere") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  shop.api.send(twilio.message("SM" + unique(), "+15550100777", "before"));
  Feed feed(server.port(), shop.tenant.api_key);
  feed.subscribe(0);
  auto first = feed.next();
  REQUIRE(first);
  CHECK(server.stop() == 0);
  CHECK(feed.socket().close_code() == 1001);
  server.start();
  shop.api.send(twilio.message("SM" + unique(), "+15550100777", "after"));
  Feed later(server.port(), shop.tenant.api_key);
  later.subscribe(first->seq);
  auto second = later.next();
  REQUIRE(second);
  CHECK(second->seq == first->seq + 1);
  CHECK(second->data.find("\"after\"") != std::string::npos);
}

TEST_CASE("recovery: what a tenant has is there again after a stop: keys, integrations, messages") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  auto first = twilio.message("SM" + unique(), "+15550100777", "one");
  CHECK(shop.api.send(first).status == 200);
  CHECK(server.stop() == 0);
  server.start();
  CHECK(shop.api.send(first).status == 200);
  CHECK(shop.api.send(twilio.message("SM" + unique(), "+15550100777", "two")).status == 200);
  auto rows = inbox(shop.api);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].unread == 2);
  CHECK(messages(shop.api, rows[0].id).size() == 2);
}
