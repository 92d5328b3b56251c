// What a conversation costs in memory: the growth of the server's RSS for each one that signed
// webhooks have activated, at rest (its thread and its places in the directory) and awake (its
// actor besides), and what is left of it after it was passivated, in two cycles over the same
// contacts. Held against idle actors of CAF without any state in a process of their own.
#include <cstdio>

#include "base/json.hpp"
#include "bench/support/load.hpp"
#include "bench/support/measure.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara;
using namespace sara::bench;
using namespace sara::test;

constexpr std::size_t connections = 64;

struct Bench {
  /// rest_ms: of quiet, then a conversation has no actor any more
  Bench(std::size_t idle, std::size_t rest_ms)
      : idle_ms(idle),
        server(Environment{{"MADANSARA_ACTORS_CONVERSATION_IDLE_MS", std::to_string(idle)},
                           {"MADANSARA_ACTORS_CONVERSATION_REST_MS", std::to_string(rest_ms)}}) {}

  std::size_t count = from_environment("SARA_BENCH_CONVERSATIONS", 30'000);
  std::size_t idle_ms;
  Server server;
  Tenant tenant = server.make_tenant("memory");
  HttpClient api{server.port(), tenant.api_key};
  Twilio twilio{api};
  std::string run = unique();
  std::size_t serial = 0;
  bool sound = true;

  void complain(const std::string& what) {
    std::fprintf(stderr, "conversation_memory: %s\n", what.c_str());
    sound = false;
  }

  /// How many there are: "conversations", all of them, or "resting".
  std::size_t number_of(const char* name) {
    auto answer = api.get("/debug/actors").json();
    return static_cast<std::size_t>(answer.root()[name].integer().value_or(-1));
  }

  /// A message from each of so many contacts.
  void hear_of(std::size_t first, std::size_t contacts) {
    constexpr std::size_t at_once = 5'000;  // Prepared requests would be most of our memory.
    for (std::size_t at = 0; at < contacts; at += at_once) {
      std::vector<std::string> requests;
      for (std::size_t i = at; i < std::min(at + at_once, contacts); ++i)
        requests.push_back(wire(twilio.message("SM" + run + std::to_string(serial++),
                                               "+1555" + std::to_string(1'000'000 + first + i),
                                               "Good morning, is the blue one still there?"),
                                server.port()));
      auto answers = send_all(server.port(), connections, requests);
      if (answers.count(200) != requests.size()) complain("a message was not acknowledged");
    }
  }

  /// The RSS once it has stopped to fall: memory is given back some time after it is free, and the
  /// allocator takes two seconds for it (runtime/memory.cpp).
  double settled() {
    constexpr std::int64_t noise = 64 << 10;
    constexpr double still_s = 3;
    auto last = resident_bytes(server.pid());
    auto fell = std::chrono::steady_clock::now();
    bool still = eventually(std::chrono::seconds(30), [&] {
      auto now = resident_bytes(server.pid());
      if (now < last - noise) fell = std::chrono::steady_clock::now();
      last = now;
      return seconds_since(fell) > still_s;
    });
    if (!still) complain("memory has not come to rest");
    return static_cast<double>(last);
  }

  bool until(const char* name, std::size_t wanted) {
    return eventually(std::chrono::milliseconds(idle_ms * 3 + 60'000),
                      [&] { return number_of(name) == wanted; });
  }
};

/// Bytes for each idle actor, as the reference measures them in itself.
double reference(std::size_t count) {
  auto outcome = run({SARA_REFERENCE_DIR "reference_idle_actor", std::to_string(count)});
  if (outcome.status != 0) throw std::runtime_error("the reference: " + outcome.errors);
  return std::atof(outcome.output.c_str());
}

/// While each has its actor.
double awake() {
  constexpr std::size_t long_ms = 3'600'000;
  Bench b(long_ms, long_ms);
  b.hear_of(b.count, 2'000);
  auto before = b.settled();
  b.hear_of(0, b.count);
  auto grown = b.settled() - before;
  if (!b.sound) throw std::runtime_error("the awake were not all heard of");
  return grown / static_cast<double>(b.count);
}

}  // namespace

int main() {
  constexpr std::size_t rest_ms = 1'000;
  Bench b(from_environment("SARA_BENCH_IDLE_MS", 40'000), rest_ms);
  auto count = static_cast<double>(b.count);
  // Every path has been taken and every cache is there before the first is counted.
  b.hear_of(b.count, 2'000);
  if (!b.until("conversations", 0)) b.complain("the first did not fall asleep");
  double before = b.settled(), peak[2] = {}, trough[2] = {};
  for (int cycle = 0; cycle < 2; ++cycle) {
    b.hear_of(0, b.count);
    if (!b.until("resting", b.count)) b.complain("not all are at rest");
    peak[cycle] = b.settled();
    if (auto there = b.number_of("conversations"); there != b.count)
      b.complain(std::to_string(there) + " conversations are resident");
    if (!b.until("conversations", 0)) b.complain("not all were passivated");
    trough[cycle] = b.settled();
  }
  auto actor = reference(b.count);
  auto resident = (peak[1] - trough[0]) / count;
  Line("conversation_memory")
      .add("case", "resident")
      .add("conversations", count, 0)
      .add("bytes_per_conversation", resident, 0)
      .add("first_cycle_bytes", (peak[0] - before) / count, 0)
      .add("awake_bytes", awake(), 0)
      .add("reference_idle_actor_bytes", actor, 0)
      .add("ratio", resident / actor)
      .add("promised_bytes", 2560, 0)
      .print();
  Line("conversation_memory")
      .add("case", "passivated")
      .add("bytes_per_conversation", (trough[1] - trough[0]) / count, 0)
      .add("first_cycle_bytes", (trough[0] - before) / count, 0)
      .add("rss_before_mb", before / 1e6, 1)
      .add("rss_peak_mb", peak[1] / 1e6, 1)
      .add("rss_after_mb", trough[1] / 1e6, 1)
      .add("reference_bytes", 0, 0)
      .print();
  return b.sound ? 0 : 1;
}
