// Two servers on one database by mistake: the younger one writes, the older one is refused.
#include <doctest/doctest.h>

#include "tests/support/inbox.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;

TEST_CASE("fence: of two servers on one database only the younger one can write") {
  // 32 bytes in base64: both must open the same seals.
  const std::string key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
  Server older({{"MADANSARA_SECRET_KEY", key}});
  Shop shop(older);
  Twilio twilio(shop.api);
  auto message = [&](const std::string& body) {
    return twilio.message("SM" + unique(), "+15550100777", body);
  };
  REQUIRE(shop.api.send(message("to the only one")).status == 200);
  auto url = older.database_url();
  REQUIRE(!url.empty());

  Server younger(
      {{"MADANSARA_SECRET_KEY", key}, {"DATABASE_URL", url}, {"PUBLIC_BASE_URL", older.url()}});
  HttpClient second(younger.port(), shop.tenant.api_key);
  // The older one is fenced off from its next write on, and says so honestly.
  auto refused = shop.api.send(message("to the older one"));
  CHECK(refused.status == 503);
  CHECK(refused.header("retry-after") != "");
  CHECK(second.send(message("to the younger one")).status == 200);
  CHECK(shop.api.send(message("to the older one again")).status == 503);
  auto reply = shop.api.post("/api/v1/conversations/" + inbox(second).at(0).id + "/messages",
                             R"({"body":"by the older one"})");
  CHECK(reply.status == 503);

  auto rows = inbox(second);
  REQUIRE(rows.size() == 1);
  auto all = messages(second, rows[0].id);
  REQUIRE(all.size() == 2);
  CHECK(all[0].body == "to the only one");
  CHECK(all[1].body == "to the younger one");
  CHECK(younger.command({"verify"}).status == 0);
  CHECK(younger.stop() == 0);
}
