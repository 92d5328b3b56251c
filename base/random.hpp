// Randomness: RAND_bytes for anything that must not be guessed.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sara {

void random_bytes(std::span<unsigned char> out);
std::uint64_t random_u64();
/// `length` characters of base62; 5.95 bits of entropy each.
std::string random_base62(std::size_t length);
/// Uniform in [0, 1): for jitter.
double random_fraction();

}  // namespace sara
