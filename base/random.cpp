// Randomness from OpenSSL's generator. Small draws come from a pool per thread, because each call
// of RAND_bytes costs about as much as hashing a message.
#include "base/random.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string_view>

#include "base/result.hpp"

namespace sara {
namespace {

/// Counts forks: a child must not hand out what its parent will hand out too.
std::atomic<std::uint32_t> forks{0};
const int watching = pthread_atfork(nullptr, nullptr, [] { ++forks; });

/// Bytes are handed out once and wiped at once, so a later leak of the pool tells nothing.
struct Pool {
  std::array<unsigned char, 512> bytes;
  std::size_t used = bytes.size();
  std::uint32_t filled_after = 0;  ///< so many forks

  std::uint64_t take() {
    if (used == bytes.size() || filled_after != forks) {
      ensure(watching == 0, "forks cannot be watched");
      random_bytes(bytes);
      used = 0;
      filled_after = forks;
    }
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + used, sizeof value);
    OPENSSL_cleanse(bytes.data() + used, sizeof value);
    used += sizeof value;
    return value;
  }
};

}  // namespace

void random_bytes(std::span<unsigned char> out) {
  while (!out.empty()) {
    const std::size_t step = std::min<std::size_t>(out.size(), 1 << 20);
    ensure(RAND_bytes(out.data(), static_cast<int>(step)) == 1, "no randomness");
    out = out.subspan(step);
  }
}

std::uint64_t random_u64() {
  thread_local Pool pool;
  return pool.take();
}

std::string random_base62(std::size_t length) {
  constexpr std::string_view alphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out;
  out.reserve(length);
  while (out.size() < length) {
    // Six bits at a time; 62 and 63 are thrown away, so that every character is equally likely.
    std::uint64_t bits = random_u64();
    for (int i = 0; i < 10 && out.size() < length; ++i, bits >>= 6) {
      const auto index = static_cast<std::size_t>(bits & 63);
      if (index < alphabet.size()) out += alphabet[index];
    }
  }
  return out;
}

double random_fraction() {
  return static_cast<double>(random_u64() >> 11) * 0x1.0p-53;
}

}  // namespace sara
