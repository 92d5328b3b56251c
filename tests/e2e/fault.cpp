// What goes wrong around the server while it is under load: Postgres dies, is restarted, freezes,
// runs out of disk, loses connections at COMMIT; the server is told to stop, or is itself stopped
// for a while. In each: what was acknowledged is there once, what was not is refused with 503 and a
// Retry-After, and all comes back by itself. docs/adr/0007 tells how the faults are made.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/support/cluster.hpp"
#include "tests/support/ledger.hpp"
#include "tests/support/proxy.hpp"

using namespace sara;
using namespace sara::test;
using namespace std::chrono_literals;

namespace {

constexpr unsigned seed = 20261125;
/// reliability.md, R9: back in service so long after the database is.
constexpr auto back_within = 5s;
constexpr std::int64_t memory_max = 512 << 20;

int from_environment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoi(value);
}
int cycles(int otherwise) { return from_environment("SARA_CYCLES", otherwise); }

/// Asks for service with messages of its own, beside the load.
struct Probe {
  explicit Probe(Server& server) : shop(server), twilio(shop.api) {}
  bool served() {
    auto answer = shop.api.try_send(twilio.message("SM" + unique(), "+15550100777", "probe"));
    return answer && answer->status == 200;
  }
  Shop shop;
  Twilio twilio;
};

/// A server under load and everything that is known of it.
struct Scene {
  explicit Scene(Server& on, const Server* host = nullptr)
      : server(on),
        ledger(on, host),
        follower(on, ledger.tenant().api_key),
        probe(on),
        cluster((host == nullptr ? on : *host).data_dir()) {}

  /// Load that goes on through every refusal until all of it is acknowledged.
  Load load(std::size_t connections = 8) const {
    return {.port = server.port(),
            .connections = connections,
            .reconnect = true,
            .at_most = 90s,
            .repeats_of_503 = 1'000'000};
  }

  /// True if it serves again in time; says how long that took.
  bool back(const std::string& after) {
    auto began = Clock::now();
    bool served = eventually(back_within, [this] { return probe.served(); });
    MESSAGE(after, ": served again after ",
            std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count(),
            " ms");
    return served;
  }

  void check() {
    auto stored = ledger.account();
    INFO(stored.example);
    CHECK(stored.lost == 0);
    CHECK(stored.doubled == 0);
    CHECK(stored.wrong == 0);
    CHECK(follower.reaches(ledger.last_seq()));
    CHECK(follower.complaints() == "");
  }

  /// The same, when everything has been sent again and has come to rest.
  void close(const std::string& what) {
    CHECK(ledger.settle());
    CHECK(ledger.all_read(60s));
    check();
    auto shown = ledger.seen();
    INFO(shown.example);
    CHECK(shown.lost == 0);
    CHECK(shown.doubled == 0);
    auto sum = ledger.account();
    MESSAGE(what, ": acknowledged ", sum.acknowledged, ", lost ", sum.lost, ", doubled ",
            sum.doubled);
    auto verdict = server.command({"verify"});
    INFO(verdict.output, verdict.errors);
    CHECK(verdict.status == 0);
  }

  Server& server;
  Ledger ledger;
  Follower follower;
  Probe probe;
  Cluster cluster;
};

/// Thaws what a failed test leaves frozen.
struct Frozen {
  explicit Frozen(Cluster& c) : cluster(c) { cluster.freeze(); }
  ~Frozen() { cluster.thaw(); }
  Cluster& cluster;
};

}  // namespace

TEST_CASE("fault: Postgres is restarted in immediate mode under load") {
  Server server;
  Scene scene(server);
  std::mt19937 random(seed);
  auto answers = [&] {
    try {
      return Cluster(server.data_dir()).sql("SELECT 1") == "1\n";
    } catch (const std::exception&) {
      return false;
    }
  };
  for (int cycle = 0; cycle < cycles(2); ++cycle) {
    CAPTURE(cycle);
    scene.ledger.add(400);
    Background load(scene.load(), scene.ledger.open());
    REQUIRE(load.answered(20 + random() % 200));
    // By an operator's hand, or so that the server has to notice and start it again.
    if (cycle % 2 == 0)
      server.kill_postgres(SIGQUIT);
    else
      Cluster(server.data_dir()).restart_immediately();
    CHECK(eventually(30s, answers));
    CHECK(scene.back(cycle % 2 == 0 ? "ended by SIGQUIT" : "pg_ctl restart"));
    scene.ledger.note(load.finish());
    CHECK(load.refusals() > 0);
    CHECK(scene.ledger.settle());
    scene.check();
  }
  scene.close("Postgres restarted");
}

TEST_CASE("fault: Postgres is frozen under load") {
  auto length = std::chrono::seconds(from_environment("SARA_FREEZE_S", 2));
  Server server(Environment{{"MADANSARA_DATABASE_READ_DEADLINE_MS", "1500"}});
  Scene scene(server);
  scene.ledger.add(1500);
  Background load(scene.load(32), scene.ledger.open());
  REQUIRE(load.answered(100));
  auto until = Clock::now() + length;
  {
    Frozen frozen(scene.cluster);
    // Nobody hangs: webhooks are refused, reads too, and the server says that it lives.
    CHECK(load.refused(load.refusals() + 32, 10s));
    auto alive = send_all({.port = server.port(), .connections = 1, .at_most = 5s},
                          {{"GET", "/healthz"}, {"GET", "/metrics"}});
    CHECK(alive == std::vector<int>{200, 200});
    auto read = scene.ledger.api().get("/api/v1/responses/inbox");
    CHECK(read.status == 503);
    CHECK(read.header("retry-after") != "");
    CHECK(HttpClient(server.port()).get("/ready").status == 503);
    while (Clock::now() < until) CHECK(load.refused(load.refusals() + 1, 10s));
    if (memory_is_ours) CHECK(resident_bytes(server.pid()) < memory_max);
  }
  CHECK(scene.back("frozen"));
  scene.ledger.note(load.finish());
  MESSAGE("frozen for ", length.count(), " s: ", load.refusals(), " refusals");
  scene.close("Postgres frozen");
}

TEST_CASE("fault: a frozen Postgres fills no queue, however many ask") {
  constexpr std::size_t asked = 2000;
  constexpr std::size_t connections = 256;
  // The directory and two readers: none is asked more once 256 of its answers are late, but what
  // was under way to it by then, on every connection at most, may still become late.
  constexpr long late_max = 3 * (255 + connections);
  Server server({{"MADANSARA_DATABASE_READERS", "2"},
                 {"MADANSARA_DATABASE_READ_DEADLINE_MS", "300"},
                 {"MADANSARA_DATABASE_COMMIT_DEADLINE_MS", "300"}});
  Shop shop(server);
  Twilio twilio(shop.api);
  Ask read{"GET", "/api/v1/responses/inbox", "",
           {{"Authorization", "Bearer " + shop.tenant.api_key}}};
  REQUIRE(shop.api.send(read).status == 200);
  auto late = [&] {
    constexpr std::string_view name = "\nmadansara_bridge_late ";
    auto all = HttpClient(server.port()).get("/metrics").body;
    auto at = all.find(name);
    return at == all.npos ? -1 : std::atol(all.c_str() + at + name.size());
  };
  std::vector<Ask> asks(asked, read);
  for (std::size_t i = 0; i < asked; i += 2)
    asks[i] = twilio.message("SM" + unique(), "+1555" + std::to_string(1'000'000 + i % 50), "x");
  Cluster cluster(server.data_dir());
  {
    Frozen frozen(cluster);
    auto statuses =
        send_all({.port = server.port(), .connections = connections, .at_most = 30s}, asks);
    CHECK(static_cast<std::size_t>(std::count(statuses.begin(), statuses.end(), 503)) == asked);
    CHECK(late() > 0);
    CHECK(late() <= late_max);
  }
  CHECK(eventually(back_within, [&] { return late() == 0; }));
  CHECK(eventually(back_within, [&] { return shop.api.send(read).status == 200; }));
}

TEST_CASE("fault: the disk is full, and has room again") {
  Server server;
  Scene scene(server);
  TempDir place;
  auto full = place.path() + "/full";
  // Postgres may run as somebody who cannot enter the build folder.
  auto library = place.path() + "/no_space.so";
  std::filesystem::copy_file(SARA_NO_SPACE, library);
  server.kill();
  scene.cluster.end(SIGINT);
  auto postgres =
      scene.cluster.start({{"LD_PRELOAD", library}, {"NO_SPACE_WHILE", full}});
  server.start();
  for (int cycle = 0; cycle < cycles(1); ++cycle) {
    scene.ledger.add(600);
    Background load(scene.load(), scene.ledger.open());
    REQUIRE(load.answered(100));
    std::ofstream(full) << "full\n";
    CHECK(load.refused(load.refusals() + 50, 20s));
    // What there is can be read.
    CHECK(scene.ledger.api().get("/api/v1/responses/inbox").status == 200);
    CHECK(HttpClient(server.port()).get("/ready").status == 200);
    std::filesystem::remove(full);
    CHECK(scene.back("disk full"));
    scene.ledger.note(load.finish());
    CHECK(scene.ledger.settle());
    scene.check();
  }
  scene.close("disk full");
}

TEST_CASE("fault: connections are cut at COMMIT again and again") {
  Server host;
  host.kill();
  Proxy proxy(host.database_url());
  Server server({{"DATABASE_URL", proxy.url()}});
  Scene scene(server, &host);
  proxy.cut_every(5);
  for (int cycle = 0; cycle < cycles(1); ++cycle) {
    scene.ledger.add(300);
    Background load(scene.load(), scene.ledger.open());
    scene.ledger.note(load.finish());
    scene.check();
  }
  proxy.cut_every(0);
  CHECK(proxy.cuts() >= 5);
  CHECK(scene.back("cut at COMMIT"));
  MESSAGE(proxy.cuts(), " cuts");
  scene.close("cut at COMMIT");
}

TEST_CASE("fault: SIGTERM cuts no request that is in flight") {
  Server server;
  Scene scene(server);
  for (int cycle = 0; cycle < cycles(1); ++cycle) {
    scene.ledger.add(24);
    Load load{.port = server.port(), .connections = 64, .at_most = 30s};
    auto asks = scene.ledger.open();
    {
      // While Postgres stands still, all of them are.
      Frozen frozen(scene.cluster);
      Background flight(load, asks);
      CHECK(eventually(10s, [&] {
        auto population = scene.probe.shop.api.get("/debug/actors").json();
        return population.root()["bridge_pending"].integer().value_or(0) >= 16;
      }));
      server.terminate();
      CHECK(eventually(10s, [&] {
        return !HttpClient(server.port()).try_send({"GET", "/healthz"});
      }));
      scene.cluster.thaw();
      scene.ledger.note(flight.finish());
      auto unanswered = std::count(flight.finish().begin(), flight.finish().end(), no_answer);
      CHECK(unanswered == 0);
    }
    CHECK(server.ended(15s) == 0);
    server.start();
    scene.cluster = Cluster(server.data_dir());
    CHECK(scene.ledger.settle());
    scene.check();
  }
  scene.close("SIGTERM");
}

TEST_CASE("fault: a Postgres that stays frozen cannot keep the server from stopping") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  REQUIRE(shop.api.send(twilio.message("SM" + unique(), "+15550100777", "kept")).status == 200);
  Cluster cluster(server.data_dir());
  {
    Frozen frozen(cluster);
    auto refused = shop.api.send(twilio.message("SM" + unique(), "+15550100777", "not kept"));
    CHECK(refused.status == 503);
    server.terminate();
    // Not a clean stop, and it says so; but an end within the time that R14 gives.
    CHECK(server.ended(15s) == 1);
  }
  server.start();
  CHECK(messages(shop.api, inbox(shop.api).at(0).id).at(0).body == "kept");
  CHECK(server.command({"verify"}).status == 0);
}

TEST_CASE("fault: a server that is paused in mid-commit blocks no other, and is fenced") {
  const std::string key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
  Server older({{"MADANSARA_SECRET_KEY", key}}, Program{SARA_FAULTS_BINARY});
  Shop shop(older);
  Twilio twilio(shop.api);
  REQUIRE(shop.api.send(twilio.message("SM" + unique(), "+15550100777", "1")).status == 200);
  older.kill();
  older.launch({{"FAULT_PAUSE", "journal.deliveries"}});
  REQUIRE(older.await_ready());
  auto second = twilio.message("SM" + unique(), "+15550100777", "2");
  Background flight({.port = older.port(), .connections = 1, .at_most = 60s}, {second});
  REQUIRE(eventually(10s, [&] {
    return older.log().find("fault: paused at journal.deliveries") != std::string::npos;
  }));
  // It holds locks of a transaction that it cannot go on with. The younger one gets past them.
  Server younger({{"MADANSARA_SECRET_KEY", key},
                  {"DATABASE_URL", older.database_url()},
                  {"PUBLIC_BASE_URL", older.url()}});
  HttpClient api(younger.port(), shop.tenant.api_key);
  CHECK(api.send(second).status == 200);
  older.signal(SIGCONT);
  // Whatever it thought of its commit: it says 503, and writes nothing any more.
  CHECK(flight.finish().at(0) == 503);
  CHECK(shop.api.send(twilio.message("SM" + unique(), "+15550100777", "3")).status == 503);
  auto rows = inbox(api);
  REQUIRE(rows.size() == 1);
  auto all = messages(api, rows[0].id);
  REQUIRE(all.size() == 2);
  CHECK(all[0].body == "1");
  CHECK(all[1].body == "2");
  CHECK(younger.command({"verify"}).status == 0);
}
