// One tenant asks for ten times its share: what its neighbours feel, held against what they feel
// without it in the same run. All arrive at fixed rates: the neighbours at half of their share of
// the peak each, the greedy one at ten times its share, which is the whole peak.
#include <cstdio>
#include <memory>

#include "bench/support/database.hpp"
#include "bench/support/load.hpp"
#include "bench/support/measure.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara::bench;
using namespace sara::test;

constexpr std::size_t peak_connections = 256;
constexpr std::size_t tenants = 10;
constexpr std::size_t connections_each = 32;
constexpr std::size_t greedy_connections = 512;
constexpr double neighbours_share = 0.5;
constexpr double settle_s = 1;

struct Shop {
  explicit Shop(Server& server, const std::string& name)
      : tenant(server.make_tenant(name)),
        api(server.port(), tenant.api_key),
        twilio(api),
        port(server.port()) {}
  Tenant tenant;
  HttpClient api;
  Twilio twilio;
  std::uint16_t port;
  std::string run = unique();
  std::size_t serial = 0;
  std::vector<std::string> messages(std::size_t count) {
    std::vector<std::string> requests;
    requests.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
      requests.push_back(wire(twilio.message("SM" + run + std::to_string(serial++),
                                             "+1555" + std::to_string(1'000'000 + i % 500),
                                             "Is the blue one still there?"),
                              port));
    return requests;
  }
};

struct Round {
  double p50_ms = 0, p99_ms = 0, errors = 0;  ///< of the neighbours
  double neighbours_per_second = 0, greedy_per_second = 0, greedy_refused = 0;
  std::size_t other = 0;
};

Round measure(std::vector<std::unique_ptr<Shop>>& shops, double peak, double seconds,
              bool with_greedy) {
  const double share = peak / tenants;
  std::vector<std::vector<std::string>> requests;
  for (std::size_t i = 0; i < tenants; ++i) {
    double rate = i == 0 ? 1.2 * peak : neighbours_share * share;
    bool idle = i == 0 && !with_greedy;
    requests.push_back(shops[i]->messages(idle ? 0 : static_cast<std::size_t>(rate * seconds) + 1));
  }
  std::vector<Stream> streams;
  if (with_greedy) streams.push_back({tenants * share, greedy_connections, &requests[0]});
  for (std::size_t i = 1; i < tenants; ++i)
    streams.push_back({neighbours_share * share, connections_each, &requests[i]});
  auto flows = send_at_rate(shops[0]->port, streams, seconds, settle_s);

  Round r;
  const double counted = seconds - settle_s;
  std::vector<double> latencies;
  std::size_t due = 0, good = 0;
  for (std::size_t i = with_greedy ? 1 : 0; i < flows.size(); ++i) {
    auto& flow = flows[i];
    due += flow.sent;
    good += flow.good;
    r.other += flow.other_5xx + flow.failed + flow.refused_without_retry_after;
    latencies.insert(latencies.end(), flow.seconds.begin(), flow.seconds.end());
  }
  r.p50_ms = percentile(latencies, 0.5) * 1e3;
  r.p99_ms = percentile(latencies, 0.99) * 1e3;
  r.errors = static_cast<double>(due - good) / static_cast<double>(due);
  r.neighbours_per_second = static_cast<double>(good) / counted;
  if (with_greedy) {
    r.greedy_per_second = static_cast<double>(flows[0].good) / counted;
    r.greedy_refused = static_cast<double>(flows[0].refused) / counted;
    r.other += flows[0].other_5xx + flows[0].failed + flows[0].refused_without_retry_after;
  }
  return r;
}

}  // namespace

int main() {
  const auto rounds = from_environment("SARA_BENCH_ROUNDS", 5);
  const auto seconds = static_cast<double>(from_environment("SARA_BENCH_SECONDS", 4));
  const auto count = from_environment("SARA_BENCH_MESSAGES", 15'000);
  Server server;
  std::vector<std::unique_ptr<Shop>> shops;
  for (std::size_t i = 0; i < tenants; ++i)
    shops.push_back(std::make_unique<Shop>(server, "shop " + std::to_string(i)));
  // Everybody is known before the first round; then the peak that is shared.
  for (auto& shop : shops) send_all(server.port(), peak_connections, shop->messages(count / 30));
  auto all = send_all(server.port(), peak_connections, shops[0]->messages(count));
  const double peak = static_cast<double>(count) / all.elapsed;

  std::vector<Round> alone, beside;
  for (std::size_t i = 0; i < rounds; ++i)
    for (bool greedy : {i % 2 == 0, i % 2 == 1})
      (greedy ? beside : alone).push_back(measure(shops, peak, seconds, greedy));
  auto of = [](const std::vector<Round>& all_rounds, double Round::*field) {
    std::vector<double> values;
    for (auto& r : all_rounds) values.push_back(r.*field);
    return median(values);
  };
  std::vector<double> p99, p50;
  std::size_t other = 0;
  for (std::size_t i = 0; i < rounds; ++i) {
    p99.push_back(beside[i].p99_ms / alone[i].p99_ms);
    p50.push_back(beside[i].p50_ms / alone[i].p50_ms);
    other += beside[i].other + alone[i].other;
  }
  Line("fairness")
      .add("case", "one of ten tenants at ten times its share")
      .add("rounds", static_cast<double>(rounds), 0)
      .add("peak_per_second", peak, 0)
      .add("neighbours_per_second", of(beside, &Round::neighbours_per_second), 0)
      .add("greedy_per_second", of(beside, &Round::greedy_per_second), 0)
      .add("greedy_refused_per_second", of(beside, &Round::greedy_refused), 0)
      .add("reference_p50_ms", of(alone, &Round::p50_ms))
      .add("reference_p99_ms", of(alone, &Round::p99_ms))
      .add("p50_ms", of(beside, &Round::p50_ms))
      .add("p99_ms", of(beside, &Round::p99_ms))
      .add("p50_ratio", median(p50))
      .add("p99_ratio", median(p99))
      .add("reference_error_rate", of(alone, &Round::errors), 5)
      .add("error_rate", of(beside, &Round::errors), 5)
      .add("other_answers", static_cast<double>(other), 0)
      .print();
  return other == 0 ? 0 : 1;
}
