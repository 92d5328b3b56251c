// The engine's randomness, drawn from the seed: this stands in the place of base/random.cpp, which
// the linker does not take from its library because everything of it is here.
#include "base/random.hpp"

#include <random>

#include "random_seed.hpp"

namespace sara {
namespace {

std::mt19937_64& source() {
  static std::mt19937_64 engine;
  return engine;
}

}  // namespace

namespace simulation {
void seed_random(std::uint64_t seed) { source().seed(seed); }
}  // namespace simulation

void random_bytes(std::span<unsigned char> out) {
  for (auto& byte : out) byte = static_cast<unsigned char>(source()());
}

std::uint64_t random_u64() { return source()(); }

std::string random_base62(std::size_t length) {
  constexpr std::string_view alphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out;
  while (out.size() < length) out += alphabet[source()() % alphabet.size()];
  return out;
}

double random_fraction() { return static_cast<double>(source()() >> 11) * 0x1.0p-53; }

}  // namespace sara
