// Request quotas: a token bucket for each name, an API key or the address of a client without one.
// Pure but for its lock: the time comes in.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "http/exchange.hpp"

namespace sara::http {

class Quota {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// `requests` at once; used ones come back evenly over `period`.
  Quota(std::size_t requests, std::chrono::seconds period, std::size_t names_max = 100'000);

  struct Standing {
    bool admitted = true;
    std::size_t remaining = 0;
    std::chrono::seconds full_in{0};   ///< until the whole quota is there again
    std::chrono::seconds retry_in{0};  ///< refused: until one request is there again
  };
  /// Takes one request from the bucket of that name. Safe from several threads.
  Standing take(std::string_view name, TimePoint now);

  /// RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers), X-RateLimit-*; for a
  /// refusal also Retry-After.
  void tell(const Standing& standing, Response& answer) const;

 private:
  void forget(TimePoint now);

  const std::size_t requests_;
  const std::chrono::seconds period_;
  const std::size_t names_max_;
  const std::chrono::nanoseconds each_;  ///< one request comes back in that time
  std::mutex mutex_;
  /// When each bucket will be full again: all that a bucket has to know. Full ones may be
  /// forgotten.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const {
      return std::hash<std::string_view>{}(name);
    }
  };
  std::unordered_map<std::string, TimePoint, Hash, std::equal_to<>> full_at_;
};

}  // namespace sara::http
