// The gate on an io_context that the test itself runs: who gets in, who waits, who is refused.
#include "http/gate.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <deque>
#include <string>

#include "tests/http/loopback.hpp"

using namespace sara;
using namespace sara::http;
using namespace sara::http::test;

namespace {

const TenantId alice{Uuid{1, 1}};
const TenantId bob{Uuid{2, 2}};

/// A gate and the requests that stand before it, by name.
struct Yard {
  explicit Yard(Limits limits) : gate(io, limits, [this] { return now; }) {}
  ~Yard() {
    gate.close();
    passes.clear();
    run();
  }

  asio::awaitable<void> wait(std::string name, TenantId tenant, Traffic traffic) {
    auto entering = gate.enter(tenant, traffic);
    auto pass = co_await std::move(entering);
    log += (log.empty() ? "" : " ") + name + (pass ? "+" : "-");
    if (pass) passes.push_back(std::move(*pass));
  }
  /// In at once, or waits.
  void come(const std::string& name, TenantId tenant, Traffic traffic = Traffic::webhook) {
    if (auto pass = gate.try_enter(tenant, traffic)) {
      log += (log.empty() ? "" : " ") + name + "!";
      passes.push_back(std::move(*pass));
    } else {
      asio::co_spawn(io, wait(name, tenant, traffic), asio::detached);
      run();
    }
  }
  /// The oldest pass is given back.
  void finish() {
    std::optional<Gate::Pass> first{std::move(passes.front())};
    passes.pop_front();
    first->done();
    first.reset();
    run();
  }
  void run() {
    io.restart();
    io.poll();
  }

  std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
  asio::io_context io{1};
  Gate gate;
  std::deque<Gate::Pass> passes;
  std::string log;
};

Limits places(std::size_t per_tenant, std::size_t shared) {
  Limits limits;
  limits.in_flight_per_tenant_max = per_tenant;
  limits.in_flight_shared_max = shared;
  limits.admission_wait = 1h;
  return limits;
}

}  // namespace

TEST_CASE("gate: who finds no place waits, and tenants take turns at the next") {
  Yard yard(places(100, 2));
  yard.come("a1", alice);
  yard.come("a2", alice);
  yard.come("b1", bob);  // Below its share: it never waits for the others.
  yard.come("a3", alice);
  yard.come("a4", alice);
  yard.come("b2", bob);
  yard.come("b3", bob);
  CHECK(yard.log == "a1! a2! b1!");
  for (int i = 0; i < 7; ++i) yard.finish();
  CHECK(yard.log == "a1! a2! b1! a3+ b2+ a4+ b3+");
}

TEST_CASE("gate: a tenant alone has all its places and no more") {
  Yard yard(places(3, 1));
  for (const auto* name : {"1", "2", "3", "4"}) yard.come(name, alice);
  CHECK(yard.log == "1! 2! 3!");
  yard.finish();
  CHECK(yard.log == "1! 2! 3! 4+");
}

TEST_CASE("gate: webhooks and what people do have places of their own") {
  Yard yard(places(4, 4));
  for (const auto* name : {"h1", "h2", "h3", "h4", "h5"}) yard.come(name, alice);
  for (const auto* name : {"w1", "w2", "w3", "w4"}) yard.come(name, alice, Traffic::write);
  yard.come("r1", alice, Traffic::read);
  CHECK(yard.log == "h1! h2! h3! h4! w1! w2! w3! r1!");
}

TEST_CASE("gate: nobody waits longer than the time for it") {
  auto limits = places(1, 1);
  limits.admission_wait = 5s;
  Yard yard(limits);
  yard.come("1", alice);
  yard.come("2", alice);
  yard.now += 5s;
  CHECK(eventually([&] {
    yard.run();
    return yard.log == "1! 2-";
  }));
  // A place that comes free later is for the next who asks.
  yard.finish();
  yard.come("3", alice);
  CHECK(yard.log == "1! 2- 3!");
}

TEST_CASE("gate: one that closes refuses who waits and whoever comes") {
  Yard yard(places(1, 1));
  yard.come("1", alice);
  yard.come("2", alice);
  yard.gate.close();
  yard.run();
  yard.come("3", alice);
  CHECK(yard.log == "1! 2- 3-");
  CHECK(yard.gate.sheds(Traffic::webhook) == Refused::closed);
  CHECK(!yard.gate.sheds(Traffic::operation));
}

TEST_CASE("gate: when nothing is answered any more, nothing more is begun, and webhooks wait") {
  auto limits = places(100, 100);
  limits.commit_deadline = 100ms;
  Yard yard(limits);
  CHECK(!yard.gate.sheds(Traffic::write));
  yard.come("1", alice);
  yard.come("2", alice);
  yard.now += 100ms;
  CHECK(yard.gate.sheds(Traffic::write) == Refused::wait);
  CHECK(yard.gate.sheds(Traffic::bulk) == Refused::wait);
  CHECK(!yard.gate.sheds(Traffic::webhook));
  yard.come("3", alice);
  CHECK(yard.log == "1! 2!");
  // Both have been answered after all; nobody is under way: the next may find out.
  yard.finish();
  yard.finish();
  CHECK(yard.log == "1! 2! 3+");
}

TEST_CASE("gate: while nothing is answered, one webhook at a time finds out whether that is over") {
  auto limits = places(100, 100);
  limits.commit_deadline = 100ms;
  Yard yard(limits);
  yard.come("1", alice);
  yard.now += 249ms;
  yard.come("2", alice);
  CHECK(yard.log == "1!");
  yard.now += 1ms;
  yard.come("3", bob);
  CHECK(yard.log == "1! 3!");
  yard.come("4", bob);
  CHECK(yard.log == "1! 3!");
}

TEST_CASE("gate: memory refuses work by its rank, and is asked back") {
  auto limits = places(100, 100);
  limits.memory_bytes_max = 1;
  int asked_back = 0;
  limits.give_memory_back = [&] { ++asked_back; };
  Yard yard(limits);
  CHECK(!yard.gate.sheds(Traffic::bulk));  // Not measured yet.
  yard.gate.measure(yard.now, 0ms);
  for (auto traffic : {Traffic::webhook, Traffic::read, Traffic::write, Traffic::bulk})
    CHECK(yard.gate.sheds(traffic) == Refused::memory);
  CHECK(!yard.gate.sheds(Traffic::operation));
  CHECK(!yard.gate.accepts_connections());
  CHECK(asked_back == 1);
}

TEST_CASE("gate: the loop's lag counts once it lasts") {
  Limits limits;
  limits.loop_lag_max = 100ms;
  Yard yard(limits);
  const auto now = yard.now;
  yard.gate.measure(now, 110ms);
  CHECK(!yard.gate.sheds(Traffic::bulk));
  for (int i = 0; i < 5; ++i) yard.gate.measure(now, 110ms);
  CHECK(yard.gate.sheds(Traffic::webhook) == Refused::lag);
  for (int i = 0; i < 3; ++i) yard.gate.measure(now, 0ms);
  CHECK(!yard.gate.sheds(Traffic::bulk));
}

TEST_CASE("gate: a session over its share waits its turn and is then told to come back") {
  auto limits = quick();
  limits.in_flight_per_tenant_max = 1;
  limits.admission_wait = 20ms;
  Loopback server{limits};
  Client first{server};
  Client second{server};
  first.send(post("/slow-hook", "1"));
  REQUIRE(eventually([&] { return server.handled().size() == 1; }));
  // Two in a row: the second stood behind the first and has waited already.
  second.send(post("/slow-hook", "2") + post("/slow-hook", "3"));
  for (int i = 0; i < 2; ++i) {
    const auto refused = second.answer();
    CHECK(kind(refused) == "503 overloaded");
    CHECK(std::stoi("0" + refused.header("retry-after")) >= 1);
    CHECK(refused.header("connection") == "");
  }
  // Health is never asked to wait.
  CHECK(second.send(get("/hello")).answer().status == 200);
  server.open_gate();
  CHECK(first.answer().status == 200);
  second.send(post("/slow-hook", "4"));
  CHECK(eventually([&] { return server.handled().back() == "POST /slow-hook 4"; }));
  server.open_gate();
}
