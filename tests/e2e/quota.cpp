// Request quotas: told on every API answer, kept for each key and for strangers; webhooks have a
// wide one of their own.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;

namespace {

std::string problem_type(const Answer& answer) {
  return std::string(answer.json().root()["type"].string_or(""));
}

}  // namespace

TEST_CASE("quota: a key that asks too often is told when to come back; others are not") {
  Server server({{"MADANSARA_LIMITS_REQUESTS_PER_MINUTE_MAX", "20"},
                 {"MADANSARA_LIMITS_STRANGER_REQUESTS_PER_15_MIN_MAX", "5"},
                 {"MADANSARA_LIMITS_WEBHOOKS_PER_MINUTE_MAX", "120"}});
  Shop shop(server);
  Shop other(server);
  Twilio twilio(shop.api);
  Twilio theirs(other.api);

  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    auto answer = shop.api.get("/api/v1/responses/inbox");
    CHECK(answer.header("x-ratelimit-limit") == "20");
    CHECK(answer.header("ratelimit-policy") == "\"requests\";q=20;w=60");
    CHECK(answer.header("ratelimit") != "");
    if (answer.status == 200) continue;
    ++refused;
    CHECK(answer.status == 429);
    CHECK(problem_type(answer) == "/problems/rate-limited");
    CHECK(answer.header("x-ratelimit-remaining") == "0");
    CHECK(std::stoi(answer.header("retry-after")) >= 1);
  }
  CHECK(refused > 10);
  CHECK(other.api.get("/api/v1/responses/inbox").status == 200);
  // Providers have no part in it, but a wide bucket of their own.
  auto statuses = send_all({.port = server.port(), .connections = 4},
                           std::vector<Ask>(100, twilio.message("SM1", "+15550100777", "hi")));
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == 100);
  Answer full;
  for (int i = 0; i < 200 && full.status != 503; ++i)
    full = shop.api.send(twilio.message("SM1", "+15550100777", "hi"));
  CHECK(problem_type(full) == "/problems/overloaded");
  CHECK(full.header("retry-after") != "");
  CHECK(other.api.send(theirs.message("SM1", "+15550100777", "hi")).status == 200);
}

TEST_CASE("quota: guessing keys ends in 429, while a good key and operation go on") {
  Server server(Environment{{"MADANSARA_LIMITS_STRANGER_REQUESTS_PER_15_MIN_MAX", "5"},
                            {"MADANSARA_LIMITS_STRANGER_QUOTA_ON_LOOPBACK", "1"}});
  Shop shop(server);
  HttpClient stranger(server.port(), "sk_0000000000000000000000000000000000000000");
  std::vector<int> statuses;
  for (int i = 0; i < 8; ++i) statuses.push_back(stranger.get("/api/v1/conversations").status);
  CHECK(statuses == std::vector<int>{401, 401, 401, 401, 401, 429, 429, 429});
  CHECK(shop.api.get("/api/v1/conversations").status == 200);
  for (std::string path : {"/health", "/ready", "/metrics", "/docs", "/openapi.json"})
    CHECK(stranger.get(path).status == 200);
}
