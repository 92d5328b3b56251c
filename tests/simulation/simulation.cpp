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

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  auto* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("simulation: whatever happens outside, every invariant holds") {
  auto seed = number_from("SARA_SEED", 0);
  auto first = seed ? seed : number_from("SARA_FIRST_SEED", 1);
  auto count = seed ? 1 : number_from("SARA_SEEDS", 20);
  Stats sum;
  for (auto s = first; s < first + count; ++s) {
    seed_random(s);
    World world(s);
    bool held = world.run();
    if (!held) FAIL_CHECK(world.report());
    auto& one = world.stats();
    sum.steps += one.steps;
    sum.events += one.events;
    sum.faults += one.faults;
  }
  MESSAGE(count << " seeds, " << sum.steps << " steps, " << sum.events << " events, "
                << sum.faults << " faults");
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
