// Five times as much as the server can take: what it still gets done for its processor time, held
// against its own peak in the same run; what the refused are told; how soon all is well again.
// Requests arrive at a fixed rate, five times the peak just measured, however slowly the server
// answers: over five times the peak's connections, and over as many as a flood has.
#include <algorithm>
#include <cstdio>

#include "bench/support/database.hpp"
#include "bench/support/load.hpp"
#include "bench/support/measure.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara::bench;
using namespace sara::test;

constexpr std::size_t peak_connections = 256;
constexpr double times_peak = 5;
constexpr double overload_s = 4;
constexpr double settle_s = 1;  ///< until the wait for a place is over for the first of them
constexpr double after_s = 3;
constexpr double calm = 0.2;  ///< of the peak's rate: an ordinary hour

struct Bench {
  Server server;
  Tenant tenant = server.make_tenant("bench");
  HttpClient api{server.port(), tenant.api_key};
  Twilio twilio{api};
  Database database{server, "madansara"};
  std::string run = unique();
  std::size_t serial = 0;
  bool sound = true;

  std::vector<std::string> messages(std::size_t count) {
    std::vector<std::string> requests;
    requests.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
      requests.push_back(wire(twilio.message("SM" + run + std::to_string(serial++),
                                             "+1555" + std::to_string(1'000'000 + i % 2'000),
                                             "Is the blue one still there?"),
                              server.port()));
    return requests;
  }
};

struct Round {
  double peak_per_second = 0, peak_per_cpu = 0;
  double good_per_second = 0, good_per_cpu = 0;
  double sent_over_peak = 0, refused_per_good = 0, p99_ms = 0, back_s = 0, resident_mb = 0;
  std::size_t refused = 0, without_retry_after = 0, other_5xx = 0, failed = 0;
};

/// Seconds after the overload until every tenth of a second was good again: all answered 200, and
/// as fast as a calm server answers, twice its p99 allowed.
double seconds_to_normal(const Flow& flow, double calm_p99) {
  double back = flow.last_not_good_at;
  for (std::size_t i = 0; i < flow.seconds.size(); ++i)
    if (flow.seconds[i] > 2 * calm_p99) back = std::max(back, flow.answered_at[i]);
  return back;
}

Round measure(Bench& b, std::size_t count, std::size_t connections) {
  Round r;
  auto cpu = cpu_seconds(b.server.pid());
  auto peak = send_all(b.server.port(), peak_connections, b.messages(count));
  r.peak_per_second = static_cast<double>(count) / peak.elapsed;
  r.peak_per_cpu = static_cast<double>(count) / (cpu_seconds(b.server.pid()) - cpu);
  b.sound = b.sound && peak.count(200) == count;

  auto calm_requests = b.messages(static_cast<std::size_t>(r.peak_per_second * calm * after_s) + 1);
  auto before = send_at_rate(b.server.port(),
                             {{r.peak_per_second * calm, peak_connections, &calm_requests}},
                             after_s / 2)[0];

  auto flood = b.messages(
      static_cast<std::size_t>(r.peak_per_second * (settle_s + overload_s) * 1.5) +
      2 * connections);
  const std::vector<Stream> streams{{times_peak * r.peak_per_second, connections, &flood}};
  auto flow = send_at_rate(b.server.port(), streams, settle_s + overload_s, settle_s,
                           [&] { cpu = cpu_seconds(b.server.pid()); })[0];
  auto spent = cpu_seconds(b.server.pid()) - cpu;
  r.resident_mb = static_cast<double>(resident_bytes(b.server.pid())) / (1 << 20);
  auto again = b.messages(calm_requests.size());
  auto after = send_at_rate(b.server.port(),
                            {{r.peak_per_second * calm, peak_connections, &again}}, after_s)[0];

  auto good = static_cast<double>(flow.good);
  r.good_per_second = good / overload_s;
  r.good_per_cpu = good / spent;
  r.sent_over_peak = static_cast<double>(flow.sent) / overload_s / r.peak_per_second;
  r.refused = flow.refused;
  r.refused_per_good = static_cast<double>(flow.refused) / good;
  r.without_retry_after = flow.refused_without_retry_after;
  r.other_5xx = flow.other_5xx + after.other_5xx + before.other_5xx;
  r.failed = flow.failed + after.failed + before.failed;
  r.p99_ms = percentile(flow.seconds, 0.99) * 1e3;
  r.back_s = seconds_to_normal(after, percentile(before.seconds, 0.99));
  return r;
}

void tell(const std::string& name, const std::vector<Round>& rounds) {
  auto of = [&](auto value) {
    std::vector<double> values;
    for (auto& r : rounds) values.push_back(value(r));
    return median(values);
  };
  auto sum = [&](std::size_t Round::*field) {
    std::size_t all = 0;
    for (auto& r : rounds) all += r.*field;
    return static_cast<double>(all);
  };
  Line("overload")
      .add("case", name)
      .add("rounds", static_cast<double>(rounds.size()), 0)
      .add("reference_per_second", of([](auto& r) { return r.peak_per_second; }), 0)
      .add("offered_over_peak", times_peak)
      .add("sent_over_peak", of([](auto& r) { return r.sent_over_peak; }))
      .add("good_per_second", of([](auto& r) { return r.good_per_second; }), 0)
      .add("reference_us", of([](auto& r) { return 1e6 / r.peak_per_cpu; }), 1)
      .add("server_us", of([](auto& r) { return 1e6 / r.good_per_cpu; }), 1)
      .add("refused_per_good", of([](auto& r) { return r.refused_per_good; }))
      .add("goodput_per_cpu_ratio", of([](auto& r) { return r.good_per_cpu / r.peak_per_cpu; }))
      .add("refused", sum(&Round::refused), 0)
      .add("refused_without_retry_after", sum(&Round::without_retry_after), 0)
      .add("other_5xx", sum(&Round::other_5xx), 0)
      .add("failed", sum(&Round::failed), 0)
      .add("back_to_normal_s", of([](auto& r) { return r.back_s; }))
      .add("resident_mb", of([](auto& r) { return r.resident_mb; }), 0)
      .print();
}

}  // namespace

int main() {
  const auto rounds = from_environment("SARA_BENCH_ROUNDS", 2);
  const auto count = from_environment("SARA_BENCH_MESSAGES", 15'000);
  const auto flood = from_environment("SARA_BENCH_CONNECTIONS", 6'000);
  Bench b;
  send_all(b.server.port(), peak_connections, b.messages(count / 3));
  std::vector<Round> crowd, many;
  for (std::size_t i = 0; i < rounds; ++i) {
    crowd.push_back(
        measure(b, count, static_cast<std::size_t>(times_peak) * peak_connections));
    many.push_back(measure(b, count, flood));
  }
  tell("five times the clients", crowd);
  tell("a flood of clients", many);
  for (auto* all : {&crowd, &many})
    for (auto& r : *all)
      b.sound = b.sound && r.without_retry_after == 0 && r.other_5xx == 0 && r.failed == 0;
  return b.sound ? 0 : 1;
}
