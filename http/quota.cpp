#include "http/quota.hpp"

#include <algorithm>

namespace sara::http {

using std::chrono::nanoseconds;
using std::chrono::seconds;

Quota::Quota(std::size_t requests, seconds period, std::size_t names_max)
    : requests_(std::max<std::size_t>(requests, 1)),
      period_(period),
      names_max_(names_max),
      each_(nanoseconds(period) / static_cast<std::int64_t>(requests_)) {}

Quota::Standing Quota::take(std::string_view name, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (full_at_.size() >= names_max_) forget(now);
  auto bucket = full_at_.find(name);
  if (bucket == full_at_.end()) bucket = full_at_.emplace(std::string(name), now).first;
  auto& full_at = bucket->second;
  full_at = std::max(full_at, now);
  const auto whole = each_ * static_cast<std::int64_t>(requests_);
  Standing standing;
  standing.admitted = full_at - now <= whole - each_;
  if (standing.admitted) full_at += each_;
  standing.remaining = static_cast<std::size_t>((whole - (full_at - now)) / each_);
  standing.full_in = std::chrono::ceil<seconds>(full_at - now);
  if (!standing.admitted)
    standing.retry_in = std::chrono::ceil<seconds>(full_at - now - (whole - each_));
  return standing;
}

/// A bucket that is full again is as good as none. If none is, all begin anew: a bounded memory is
/// worth more than a few requests too many.
void Quota::forget(TimePoint now) {
  std::erase_if(full_at_, [now](const auto& bucket) { return bucket.second <= now; });
  if (full_at_.size() >= names_max_) full_at_.clear();
}

void Quota::tell(const Standing& standing, Response& answer) const {
  const auto limit = std::to_string(requests_);
  const auto remaining = std::to_string(standing.remaining);
  const auto reset = std::to_string(standing.full_in.count());
  auto& headers = answer.headers;
  headers.emplace_back("RateLimit-Policy",
                       "\"requests\";q=" + limit + ";w=" + std::to_string(period_.count()));
  headers.emplace_back("RateLimit", "\"requests\";r=" + remaining + ";t=" + reset);
  headers.emplace_back("X-RateLimit-Limit", limit);
  headers.emplace_back("X-RateLimit-Remaining", remaining);
  headers.emplace_back("X-RateLimit-Reset", reset);
  if (standing.admitted) return;
  std::erase_if(headers, [](const auto& header) { return header.first == "Retry-After"; });
  headers.emplace_back("Retry-After",
                       std::to_string(std::max<std::int64_t>(1, standing.retry_in.count())));
}

}  // namespace sara::http
