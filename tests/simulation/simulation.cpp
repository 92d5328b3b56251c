// Whole runs of the engine, each drawn from a seed. SARA_SEED=n repeats one, SARA_SEEDS=n says how
// many; SARA_FIRST_SEED=n where they begin.
#include <caf/all.hpp>
#include <doctest/doctest.h>

#include <cstdlib>

#include "random_seed.hpp"
#include "world.hpp"

using namespace sara;
using namespace sara::simulation;

namespace {

constexpr std::uint64_t enough_seeds = 200;
constexpr const char* troubles[] = {
    "a commit: lost", "a commit: in doubt, confirmed", "a commit: in doubt, open",
    "a commit: conflict", "a commit: disk full", "a read that fails", "a read that is late",
    "an actor held up", "an actor that crashes", "a server killed", "a takeover", "an outage",
    "a clock set back", "a clock set forward", "a feed that resumes", "a lost answer",
    "a message that is known already", "a message handed over again", "a request refused for good",
    "a report that was early", "a webhook refused as unavailable", "an event that overtakes",
    "a message that cannot be stored", "a provider's trouble 0", "a provider's trouble 1",
    "a provider's trouble 2", "a provider's trouble 3", "a conversation unloaded",
    "a conversation loaded afresh after a failure", "a set that meets another's"};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  auto* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("simulation: whatever happens outside, every invariant holds") {
  auto seed = number_from("SARA_SEED", 0);
  auto first = seed ? seed : number_from("SARA_FIRST_SEED", 1);
  auto count = seed ? 1 : number_from("SARA_SEEDS", enough_seeds);
  Stats sum;
  for (auto s = first; s < first + count; ++s) {
    seed_random(s);
    World world(s);
    bool held = world.run();
    if (!held) FAIL_CHECK(world.report());
    auto& one = world.stats();
    sum.steps += one.steps;
    for (auto& [what, times] : one.seen) sum.seen[what] += times;
  }
  std::string seen;
  for (auto& [what, times] : sum.seen) seen += "\n  " + std::to_string(times) + "  " + what;
  MESSAGE(count << " seeds, " << sum.steps << " steps" << seen);
  // It was worth it: every kind of trouble has come, and what the engine does about it.
  if (count < enough_seeds) return;
  for (auto* what : troubles) CHECK_MESSAGE(sum.seen[what] > 0, what);
}

TEST_CASE("simulation: the same seed gives the same run") {
  for (std::uint64_t seed : {3, 11}) {
    std::uint64_t hashes[2];
    for (auto& hash : hashes) {
      seed_random(seed);
      World world(seed);
      (void)world.run();
      hash = world.hash();
    }
    CHECK(hashes[0] == hashes[1]);
  }
}
