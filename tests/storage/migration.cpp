// Migrations and statements against the real schema.
#include "storage/migration.hpp"

#include <set>
#include <thread>

#include "support.hpp"

using namespace sara;
using namespace sara::storage;

TEST_CASE("migration: every named statement prepares against the migrated schema") {
  pqxx::connection connection(Postgres::migrated());
  std::set<std::string> names;
  for (auto* query : all_queries()) {
    CAPTURE(std::string(query->name));
    CHECK(names.insert(query->name).second);
    std::string complaint;
    try {
      connection.prepare(query->name, query->sql);
      connection.prepare_now(query->name);
    } catch (const std::exception& e) {
      complaint = e.what();
    }
    CHECK(complaint == "");
  }
  CHECK(names.size() > 40);
}

TEST_CASE("migration: the second time there is nothing to do") {
  auto url = Postgres::empty();
  CHECK(migrate(url).value() == static_cast<int>(migrations().size()));
  CHECK(migrate(url).value() == 0);
}

TEST_CASE("migration: a server that finds its own schema has nothing to migrate") {
  auto url = Postgres::empty();
  Connection connection(url);
  CHECK_FALSE(is_migrated(connection));
  REQUIRE(migrate(url));
  CHECK(is_migrated(connection));
  std::string spoil;
  SUBCASE("but for the last one") {
    spoil = "DELETE FROM migration WHERE number = (SELECT max(number) FROM migration)";
  }
  SUBCASE("but one has other contents") { spoil = "UPDATE migration SET sha256 = 'another'"; }
  SUBCASE("but the wall is down") { spoil = "ALTER TABLE journal NO FORCE ROW LEVEL SECURITY"; }
  pqxx::connection other(url);
  pqxx::nontransaction(other).exec(spoil);
  CHECK_FALSE(is_migrated(connection));
}

TEST_CASE("migration: servers that start at once migrate once") {
  auto url = Postgres::empty();
  std::vector<int> applied(4, -1);
  std::vector<std::thread> threads;
  for (auto& count : applied)
    threads.emplace_back([&count, &url] { count = migrate(url).value_or(-1); });
  for (auto& thread : threads) thread.join();
  int sum = 0;
  for (int count : applied) {
    CHECK(count >= 0);
    sum += count;
  }
  CHECK(sum == static_cast<int>(migrations().size()));
}

TEST_CASE("migration: what was applied with other contents is refused") {
  auto url = Postgres::migrated();
  pqxx::connection connection(url);
  pqxx::nontransaction(connection).exec(
      "UPDATE migration SET sha256 = 'another' WHERE number = 2");
  auto refused = migrate(url);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::conflict);
  CHECK(refused.error().detail.find("0002_integration.sql") != std::string::npos);
}

TEST_CASE("migration: a database that cannot be reached is unavailable") {
  auto refused = migrate("host=/nowhere dbname=madansara connect_timeout=1");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::unavailable);
}
