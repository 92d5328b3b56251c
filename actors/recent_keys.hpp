// The last few redelivery keys that are known to be committed.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace sara::actors {

/// A ring of keys. Their hashes stand together, so that a key that is not here costs a look at two
/// cache lines: most conversations are cold when a message comes, and each key lies elsewhere.
class RecentKeys {
 public:
  static constexpr std::size_t max = 16;

  bool contains(const std::string& key) const { return find(key, hash_of(key)); }
  /// The oldest makes room.
  void add(const std::string& key) {
    const auto hash = hash_of(key);
    if (key.empty() || find(key, hash)) return;
    if (next_ == keys_.size())
      keys_.push_back(key);
    else
      keys_[next_] = key;
    hashes_[next_] = hash;
    next_ = (next_ + 1) % max;
  }

 private:
  static std::size_t hash_of(const std::string& key) { return std::hash<std::string>{}(key); }
  bool find(const std::string& key, std::size_t hash) const {
    for (std::size_t i = 0; i < keys_.size(); ++i)
      if (hashes_[i] == hash && keys_[i] == key) return true;
    return false;
  }

  std::array<std::size_t, max> hashes_{};
  std::vector<std::string> keys_;
  std::size_t next_ = 0;  ///< where the next one goes: behind the newest
};

}  // namespace sara::actors
