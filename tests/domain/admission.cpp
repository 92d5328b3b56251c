#include "domain/admission.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace sara::domain;

namespace {

/// What is let in: "operation webhook read write bulk", as far as it is.
std::string admitted(const Pressure& pressure) {
  std::string out;
  for (auto traffic :
       {Traffic::operation, Traffic::webhook, Traffic::read, Traffic::write, Traffic::bulk})
    if (is_admitted(traffic, pressure))
      out += (out.empty() ? "" : " ") + std::string(to_string(traffic));
  return out;
}

Pressure all(double x) { return {x, x, x}; }

}  // namespace

TEST_CASE("admission: what can wait is refused first, webhooks last, operation never") {
  struct Row {
    double pressure;
    std::string admitted;
    bool connections;
  };
  const Row rows[] = {
      {0.0, "operation webhook read write bulk", true},
      {0.79, "operation webhook read write bulk", true},
      {0.80, "operation webhook read write", true},
      {0.89, "operation webhook read write", true},
      {0.90, "operation webhook read", true},
      {0.94, "operation webhook read", true},
      {0.95, "operation webhook", false},
      {0.99, "operation webhook", false},
      {1.00, "operation", false},
      {50.0, "operation", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.pressure);
    CHECK(admitted(all(row.pressure)) == row.admitted);
    CHECK(accepts_connections(all(row.pressure)) == row.connections);
    // The worst of the three decides.
    CHECK(admitted({row.pressure, 0, 0}) == row.admitted);
    CHECK(admitted({0, row.pressure, 0}) == row.admitted);
    CHECK(admitted({0, 0, row.pressure}) == row.admitted);
  }
}

TEST_CASE("admission: a refusal names the worst pressure") {
  CHECK(worst({0.9, 0.1, 0.1}) == Refused::memory);
  CHECK(worst({0.1, 0.9, 0.1}) == Refused::wait);
  CHECK(worst({0.1, 0.1, 0.9}) == Refused::lag);
}

TEST_CASE("admission: the wait grows with what is under way, as it was seen to") {
  WaitEstimate estimate;
  CHECK(estimate.of(100) == 0);
  // A commit costs 2 ms and each write in it 0.1 ms.
  for (int round = 0; round < 20; ++round)
    for (std::size_t depth : {0u, 10u, 50u, 100u})
      estimate.observe(depth, 0.002 + 0.0001 * static_cast<double>(depth));
  CHECK(estimate.of(0) == doctest::Approx(0.002));
  CHECK(estimate.of(50) == doctest::Approx(0.007));
  CHECK(estimate.of(500) == doctest::Approx(0.052));
}

TEST_CASE("admission: one depth says nothing of others, and more work is never faster") {
  WaitEstimate same;
  for (int i = 0; i < 50; ++i) same.observe(200, 0.02);
  CHECK(same.of(200) == doctest::Approx(0.02));
  CHECK(same.of(400) == doctest::Approx(0.02));
  WaitEstimate odd;
  for (int i = 0; i < 50; ++i) {
    odd.observe(0, 0.05);
    odd.observe(100, 0.01);
  }
  CHECK(odd.of(1000) <= 0.05);
  CHECK(odd.of(1000) >= 0.01);
  WaitEstimate steep;
  for (int i = 0; i < 50; ++i) {
    steep.observe(100, 1);
    steep.observe(200, 3);
  }
  CHECK(steep.of(0) == 0);
}

TEST_CASE("admission: a slow spell is forgotten once things go well") {
  WaitEstimate estimate;
  for (std::size_t i = 0; i < 500; ++i) estimate.observe(i, 0.9);
  CHECK(estimate.of(300) > 0.8);
  for (std::size_t i = 0; i < 500; ++i) estimate.observe(i % 50, 0.003);
  CHECK(estimate.of(50) < 0.1);
}

TEST_CASE("admission: alone a tenant has all its places, among others what they leave") {
  const Places places{1000, 512, 64};
  struct Row {
    std::size_t all, mine, active;
    bool place;
  };
  const Row rows[] = {
      {0, 0, 1, true},
      {511, 511, 1, true},
      {512, 512, 1, false},   // Its own credits are used up.
      {1000, 0, 1, false},    // Nobody gets in any more.
      {1000, 0, 10, false},
      {63, 63, 2, true},      // The other uses nothing: work-conserving.
      {64, 64, 2, false},     // Above its share, and the shared places are taken.
      {64, 31, 2, true},      // Below its share: always.
      {64, 32, 2, false},
      {300, 0, 8, true},      // One was alone until now; who comes need not wait for that.
      {300, 7, 8, true},
      {300, 8, 8, false},
      {300, 0, 500, true},    // However many there are, each has one.
      {300, 1, 500, false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.all);
    CAPTURE(row.mine);
    CAPTURE(row.active);
    CHECK(has_place(places, {row.all, row.mine, row.active}) == row.place);
  }
}
