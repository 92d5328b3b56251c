// Passivation under fire: conversations are unloaded after 5 ms, or rest then and are unloaded a
// little later, and the next message wakes them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;

namespace {

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<std::size_t>(std::atoll(value));
}

void hurry(const Environment& environment, std::size_t count) {
  auto conversations = from_environment("SARA_PASSIVATION_CONVERSATIONS", 500);
  constexpr std::size_t connections = 20;
  REQUIRE(conversations % connections == 0);  // So one conversation stays on one connection.

  Server server(environment);
  Shop shop(server);
  Twilio twilio(shop.api);
  auto contact = [&](std::size_t i) {
    return "+1555" + std::to_string(1'000'000 + i % conversations);
  };
  auto statuses = send_all({.port = server.port(),
                            .connections = connections,
                            .at_most = std::chrono::minutes(20),
                            .repeats_of_503 = 1000,
                            .lanes = true},
                           count, [&](std::size_t i) {
                             return twilio.message("SM" + unique(), contact(i),
                                                   std::to_string(i / conversations));
                           });
  CHECK(static_cast<std::size_t>(std::count(statuses.begin(), statuses.end(), 200)) == count);

  auto rows = inbox(shop.api);
  CHECK(rows.size() == conversations);
  std::size_t stored = 0;
  std::size_t wrong = 0;
  for (auto& row : rows) {
    auto all = messages(shop.api, row.id);
    stored += all.size();
    for (std::size_t i = 0; i < all.size(); ++i) wrong += all[i].body != std::to_string(i);
  }
  MESSAGE(count, " messages, ", conversations, " conversations, stored ", stored);
  CHECK(stored == count);
  CHECK(wrong == 0);
  CHECK(server.command({"verify"}).status == 0);
}

}  // namespace

TEST_CASE("passivation: no message is lost, doubled or out of order in its conversation") {
  hurry({{"MADANSARA_ACTORS_CONVERSATION_IDLE_MS", "5"}},
        from_environment("SARA_PASSIVATION_MESSAGES", 20'000));
}

TEST_CASE("passivation: nor is one where conversations rest before they are unloaded") {
  hurry({{"MADANSARA_ACTORS_CONVERSATION_REST_MS", "5"},
         {"MADANSARA_ACTORS_CONVERSATION_IDLE_MS", "80"}},
        from_environment("SARA_PASSIVATION_MESSAGES", 20'000) / 4);
}
