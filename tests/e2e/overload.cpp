// More than the server can or may take: what is refused has no effect and is told when to come
// back; neighbours and the more important work go on.
#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;
using namespace std::chrono_literals;

namespace {

std::size_t count(const std::vector<int>& statuses, int wanted) {
  return static_cast<std::size_t>(std::count(statuses.begin(), statuses.end(), wanted));
}

/// All messages of a tenant that has but one contact.
std::size_t stored(Shop& shop) {
  auto rows = inbox(shop.api);
  return rows.empty() ? 0 : messages(shop.api, rows[0].id).size();
}

std::vector<Ask> texts(const Twilio& twilio, std::size_t n) {
  std::vector<Ask> asks;
  for (std::size_t i = 0; i < n; ++i)
    asks.push_back(twilio.message("SM" + unique(), "+15550100777", "hello"));
  return asks;
}

double metric(std::uint16_t port, const std::string& name) {
  auto text = HttpClient(port).get("/metrics").body;
  auto at = text.find("\n" + name + " ");
  return at == text.npos ? -1 : std::atof(text.c_str() + at + name.size() + 2);
}

}  // namespace

TEST_CASE("overload: what a tenant asks beyond its places is refused without effect, its neighbour "
          "is served") {
  Server server({{"MADANSARA_LIMITS_IN_FLIGHT_PER_TENANT_MAX", "1"},
                 {"MADANSARA_LIMITS_IN_FLIGHT_SHARED_MAX", "1"},
                 {"MADANSARA_LIMITS_ADMISSION_WAIT_MS", "1"}});
  Shop greedy(server);
  Shop neighbour(server);
  Twilio theirs(greedy.api);
  Twilio ours(neighbour.api);
  Background flood({.port = server.port(), .connections = 64}, texts(theirs, 3000));
  REQUIRE(flood.answered(64));
  std::vector<int> statuses;
  for (auto& ask : texts(ours, 30)) statuses.push_back(neighbour.api.send(ask).status);
  CHECK(count(statuses, 200) == 30);
  CHECK(neighbour.api.get("/api/v1/responses/inbox").status == 200);
  const auto& flooded = flood.finish();
  const auto taken = count(flooded, 200);
  const auto refused = count(flooded, 503);
  CHECK(taken > 0);
  CHECK(refused > 0);
  CHECK(taken + refused == flooded.size());
  CHECK(stored(greedy) == taken);
  CHECK(stored(neighbour) == 30);
  CHECK(metric(server.port(),
               "madansara_admission_refused_total{class=\"webhook\",reason=\"share\"}") ==
        static_cast<double>(refused));
  // Nothing of it is left.
  CHECK(greedy.api.send(texts(theirs, 1)[0]).status == 200);
}

TEST_CASE("overload: with its memory full the server refuses with Retry-After, and comes back by "
          "itself" *
          doctest::skip(!memory_is_ours)) {
  Server server({{"MADANSARA_LIMITS_MEMORY_BYTES_MAX", std::to_string(100 << 20)}});
  Shop shop(server);
  Twilio twilio(shop.api);
  CHECK(shop.api.send(texts(twilio, 1)[0]).status == 200);
  REQUIRE(resident_bytes(server.pid()) < 90 << 20);
  HttpClient operation(server.port());
  CHECK(operation.get("/health").status == 200);

  // Bodies that are nearly there: each occupies almost a megabyte.
  std::vector<std::unique_ptr<RawClient>> holders;
  const std::string head = "POST /api/v1/contacts HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
                           shop.tenant.api_key +
                           "\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n";
  const std::string most(1'000'000, 'x');
  for (int i = 0; i < 100 && resident_bytes(server.pid()) < 105 << 20; ++i) {
    holders.push_back(std::make_unique<RawClient>(server.port()));
    holders.back()->write(head);
    if (!holders.back()->write(most)) break;
  }
  Answer refused;
  CHECK(eventually(10s, [&] {
    refused = shop.api.send(texts(twilio, 1)[0]);
    return refused.status == 503;
  }));
  CHECK(refused.header("retry-after") != "");
  CHECK(refused.json().root()["type"].string_or("") == "/problems/overloaded");
  auto read = shop.api.get("/api/v1/responses/inbox");
  CHECK(read.status == 503);
  CHECK(read.header("retry-after") != "");
  CHECK(operation.get("/health").status == 200);

  holders.clear();
  CHECK(eventually(10s, [&] { return shop.api.send(texts(twilio, 1)[0]).status == 200; }));
  CHECK(shop.api.get("/api/v1/responses/inbox").status == 200);
  CHECK(HttpClient(server.port()).get("/health").status == 200);  // Newcomers are let in, too.
}
