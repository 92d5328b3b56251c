// The last few redelivery keys that are known to be committed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sara::actors {

/// A ring of keys. Their hashes stand together, so that a key that is not here costs a look at two
/// cache lines: most conversations are cold when a message comes, and each key lies elsewhere.
class RecentKeys {
 public:
  static constexpr std::size_t max = 16;

  bool contains(const std::string& key) const {
    const auto hash = std::hash<std::string>{}(key);
    for (std::size_t i = 0; i < keys_.size(); ++i)
      if (hashes_[i] == hash && keys_[i] == key) return true;
    return false;
  }
  /// The oldest makes room.
  void add(const std::string& key) {
    if (key.empty() || contains(key)) return;
    if (keys_.size() < max) {
      keys_.push_back(key);
      hashes_[keys_.size() - 1] = std::hash<std::string>{}(key);
      return;
    }
    keys_[next_] = key;
    hashes_[next_] = std::hash<std::string>{}(key);
    next_ = (next_ + 1) % max;
  }

 private:
  std::array<std::uint64_t, max> hashes_{};
  std::vector<std::string> keys_;
  std::size_t next_ = 0;  ///< the oldest, once all places are taken
};

}  // namespace sara::actors
