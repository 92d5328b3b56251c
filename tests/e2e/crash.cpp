// kill -9 under load: what was acknowledged is there exactly once, what was not at most once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "tests/support/inbox.hpp"
#include "tests/support/ledger.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;

namespace {

int from_environment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoi(value);
}

/// How often each body stands in the database, as the API tells.
std::map<std::string, int> counted(HttpClient& api) {
  std::map<std::string, int> bodies;
  for (auto& row : inbox(api))
    for (auto& message : messages(api, row.id)) ++bodies[message.body];
  return bodies;
}

struct Account {
  int acknowledged = 0;
  int unanswered = 0;
  int lost = 0;
  int doubled = 0;
  int invented = 0;
};

Account account(const std::vector<int>& statuses, const std::map<std::string, int>& bodies) {
  Account sum;
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    auto found = bodies.find(std::to_string(i));
    int times = found == bodies.end() ? 0 : found->second;
    sum.doubled += times > 1;
    if (statuses[i] == 200) {
      ++sum.acknowledged;
      sum.lost += times == 0;
    } else if (statuses[i] == not_sent) {
      sum.invented += times > 0;
    } else {
      ++sum.unanswered;
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("crash: killed again and again under load, the server loses and doubles nothing") {
  auto seed = static_cast<unsigned>(from_environment("SARA_SEED", 20261121));
  int cycles = from_environment("SARA_CYCLES", 5);
  std::mt19937 random(seed);
  Server server;
  Ledger ledger(server);
  Follower follower(server, ledger.tenant().api_key);
  for (int cycle = 0; cycle < cycles; ++cycle) {
    CAPTURE(cycle);
    // New requests, and, as a provider would, once more what had no answer in the cycle before.
    ledger.add(300);
    Background load({.port = server.port(), .connections = 16}, ledger.open());
    REQUIRE(load.answered(20 + random() % 250));
    server.kill();
    ledger.note(load.finish());
    server.start();
    auto sum = ledger.account();
    INFO(sum.example);
    CHECK(sum.clean());
  }
  CHECK(ledger.settle());
  CHECK(ledger.all_read());
  auto sum = ledger.account();
  MESSAGE("seed ", seed, ", cycles ", cycles, ", acknowledged ", sum.acknowledged, ", lost ",
          sum.lost, ", doubled ", sum.doubled);
  CHECK(sum.clean());
  auto shown = ledger.seen();
  INFO(shown.example);
  CHECK(shown.clean());
  CHECK(follower.reaches(ledger.last_seq()));
  CHECK(follower.complaints() == "");
  auto verdict = server.command({"verify"});
  INFO(verdict.output, verdict.errors);
  CHECK(verdict.status == 0);
}

TEST_CASE("crash: what was unanswered may be sent again and is still there once") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  std::vector<Ask> asks;
  for (int i = 0; i < 1500; ++i)
    asks.push_back(twilio.message("SM" + unique(), "+1555030" + std::to_string(1000 + i % 20),
                                  std::to_string(i)));
  Background load({.port = server.port(), .connections = 16}, asks);
  load.answered(300);
  server.kill();
  load.finish();
  server.start();
  auto statuses =
      send_all({.port = server.port(), .connections = 16, .repeats_of_503 = 1000}, asks);
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == 1500);
  auto bodies = counted(shop.api);
  CHECK(bodies.size() == 1500);
  CHECK(std::all_of(bodies.begin(), bodies.end(), [](auto& entry) { return entry.second == 1; }));
  CHECK(server.command({"verify"}).status == 0);
}

TEST_CASE("crash: SIGTERM answers what it has taken and exits 0") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  std::vector<Ask> asks;
  for (int i = 0; i < 3000; ++i)
    asks.push_back(twilio.message("SM" + unique(), "+1555030" + std::to_string(1000 + i % 20),
                                  std::to_string(i)));
  Background load({.port = server.port(), .connections = 16}, asks);
  load.answered(200);
  CHECK(server.stop() == 0);
  auto statuses = load.finish();
  // A request whose connection the server closed unread may be unanswered; none is half done.
  server.start();
  auto sum = account(statuses, counted(shop.api));
  CHECK(sum.acknowledged >= 200);
  CHECK(sum.lost == 0);
  CHECK(sum.doubled == 0);
  CHECK(sum.invented == 0);
}
