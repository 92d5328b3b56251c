// Where the engine's random ids and delays of a simulation come from.
#pragma once

#include <cstdint>

namespace sara::simulation {

/// From here on base/random.hpp repeats itself for the same seed.
void seed_random(std::uint64_t seed);

}  // namespace sara::simulation
