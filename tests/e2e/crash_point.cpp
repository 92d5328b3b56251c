// Crash points: wherever the server dies, what was acknowledged is there once, what was not may be
// sent again and is there once, and a live feed misses and repeats nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/support/cluster.hpp"
#include "tests/support/ledger.hpp"

using namespace sara;
using namespace sara::test;
using namespace std::chrono_literals;

namespace {

/// A place where the server dies, and up to which time that it comes there.
struct CrashPoint {
  const char* label;
  int most = 5;
};

/// On the way of a request; tests/tidy.cpp compares the labels with those in the code.
constexpr CrashPoint under_load[] = {
    // between BEGIN and COMMIT of a group
    {"journal.begun"},
    {"journal.entries"},
    {"journal.contacts"},
    {"journal.conversations"},
    {"journal.deliveries"},
    {"journal.failures", 2},
    {"journal.erased", 1},
    {"journal.idempotency"},
    // around COMMIT
    {"transaction.before_commit", 9},
    {"transaction.committed", 9},
    // committed: before the feed hears of it, before its owners do, before the client does
    {"persistence.committed"},
    {"persistence.told"},
    {"persistence.answered"},
    {"conversation.answered"},
    {"webhook.applied"},
    {"service.done"},
    // the registry
    {"registry.integration", 1},
    {"conversation.contact", 2},
    // out of memory and back
    {"conversation.unload"},
    {"directory.reload", 2},
    // on a reply's way to its provider
    {"delivery.intended"},
    {"sandbox.accepted"},
    {"delivery.accepted"},
    {"conversation.settling"},
    {"delivery.settled"},
    {"sandbox.reported"},
};
/// While it starts.
constexpr CrashPoint at_start[] = {
    {"boot.migrated", 1},
    {"journal.lease", 1},
    {"boot.recovering", 1},
    {"boot.recovered", 1},
};
/// On a database without tables.
constexpr CrashPoint in_migration[] = {
    {"migration.written", 3},
    {"migration.committed", 3},
    {"migration.unlocking", 1},
};

int cycles(int otherwise) {
  const char* value = std::getenv("SARA_CYCLES");
  return value == nullptr ? otherwise : std::atoi(value);
}

/// SARA_CRASH_POINTS=journal: those alone whose label begins so, to chase one.
bool wanted(const CrashPoint& point) {
  const char* prefix = std::getenv("SARA_CRASH_POINTS");
  return prefix == nullptr || std::string_view(point.label).starts_with(prefix);
}

/// Which time it dies in that cycle: each once, as far as there are cycles.
std::string armed(const CrashPoint& point, int cycle) {
  return std::string(point.label) + ":" + std::to_string(1 + (cycle * 2) % point.most);
}

/// Idle conversations leave memory at once, so that passivation takes part.
const Environment restless{{"MADANSARA_ACTORS_CONVERSATION_IDLE_MS", "30"}};

bool died_at(const Server& server, const std::string& label) {
  auto log = server.log();
  auto last = log.rfind("fault: died at ");
  return last != log.npos && log.compare(last + 15, label.size() + 1, label + "\n") == 0;
}

/// Sends traffic until the server dies of its crash point.
bool dies_under_load(Server& server, Ledger& ledger) {
  for (int batch = 0; batch < 20; ++batch) {
    ledger.add(40);
    ledger.note(send_all({.port = server.port(), .connections = 8, .at_most = 10s},
                         ledger.open()));
    if (server.ended(batch == 0 ? 200ms : 500ms) >= 0) return true;
  }
  return false;
}

void check(const Ledger& ledger, Follower& follower) {
  auto stored = ledger.account();
  INFO(stored.example);
  CHECK(stored.lost == 0);
  CHECK(stored.doubled == 0);
  CHECK(stored.wrong == 0);
  CHECK(follower.reaches(ledger.last_seq()));
  CHECK(follower.complaints() == "");
}

}  // namespace

TEST_CASE("crash point: the released server has none") {
  Server server(Environment{{"FAULT_POINT", "webhook.applied"}});
  Shop shop(server);
  Twilio twilio(shop.api);
  CHECK(shop.api.send(twilio.message("SM" + unique(), "+15550100777", "hi")).status == 200);
  CHECK(server.running());
  CHECK(read_file(server_binary()).find("FAULT_POINT") == std::string::npos);
  CHECK(read_file(SARA_FAULTS_BINARY).find("FAULT_POINT") != std::string::npos);
}

TEST_CASE("crash point: wherever it dies under load, nothing is lost or doubled") {
  Server server(restless, Program{SARA_FAULTS_BINARY});
  Ledger ledger(server);
  Follower follower(server, ledger.tenant().api_key);
  std::size_t deaths = 0;
  for (int cycle = 0; cycle < cycles(1); ++cycle)
    for (auto& point : under_load) {
      if (!wanted(point)) continue;
      CAPTURE(point.label);
      CAPTURE(cycle);
      server.kill();
      server.launch({{"FAULT_POINT", armed(point, cycle)}});
      // It may die of a commit that belongs to its start, or of the recovery that follows.
      bool died = !server.await_ready() || dies_under_load(server, ledger);
      REQUIRE(died);
      CHECK(server.ended(10s) == 137);
      CHECK(died_at(server, point.label));
      ++deaths;
      server.start();
      CHECK(ledger.settle());
      check(ledger, follower);
    }
  CHECK(ledger.all_read());
  check(ledger, follower);
  auto shown = ledger.seen();
  INFO(shown.example);
  CHECK(shown.lost == 0);
  CHECK(shown.doubled == 0);
  auto sum = ledger.account();
  MESSAGE("deaths ", deaths, ", acknowledged ", sum.acknowledged, ", lost ", sum.lost,
          ", doubled ", sum.doubled);
  auto verdict = server.command({"verify"});
  INFO(verdict.output, verdict.errors);
  CHECK(verdict.status == 0);
}

TEST_CASE("crash point: a server that dies while it starts is no harm to the next") {
  Server server(restless, Program{SARA_FAULTS_BINARY});
  Ledger ledger(server);
  Follower follower(server, ledger.tenant().api_key);
  for (int cycle = 0; cycle < cycles(1); ++cycle)
    for (auto& point : at_start) {
      if (!wanted(point)) continue;
      CAPTURE(point.label);
      // Replies are under way when it is killed, so that there is something to recover.
      ledger.add(40);
      ledger.note(send_all({.port = server.port(), .connections = 8}, ledger.open()));
      server.kill();
      server.launch({{"FAULT_POINT", armed(point, cycle)}});
      CHECK(server.ended(30s) == 137);
      CHECK(died_at(server, point.label));
      server.start();
      CHECK(ledger.settle());
      check(ledger, follower);
    }
  CHECK(ledger.all_read());
  check(ledger, follower);
  CHECK(server.command({"verify"}).status == 0);
}

TEST_CASE("crash point: a migration that was cut is made whole by the next start") {
  Server host({}, Program{SARA_FAULTS_BINARY});
  Cluster cluster(host.data_dir());
  int databases = 0;
  for (auto& point : in_migration)
    for (int nth = 1; nth <= point.most; ++nth) {
      CAPTURE(point.label);
      CAPTURE(nth);
      auto name = "cut" + std::to_string(++databases);
      cluster.sql("CREATE DATABASE " + name + " OWNER madansara");
      auto migrate = [&](const std::string& fault) {
        return run({SARA_FAULTS_BINARY, "migrate", "--data-dir", host.data_dir()},
                   {{"DATABASE_URL", cluster.url(name)}, {"FAULT_POINT", fault}});
      };
      auto cut = migrate(point.label + (":" + std::to_string(nth)));
      CHECK(cut.status == 137);
      CHECK(cut.errors.find(std::string("fault: died at ") + point.label) != std::string::npos);
      auto again = migrate("");
      INFO(again.errors);
      CHECK(again.status == 0);
      CHECK(cluster.sql("SELECT count(*), max(number) FROM migration", name) ==
            cluster.sql("SELECT count(*), max(number) FROM migration"));
      CHECK(migrate("").output == "0 migrations applied\n");
    }
}
