#include "http/edge.hpp"

#include <algorithm>
#include <cstring>

#include "base/random.hpp"

namespace sara::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t waste_bytes = 64 * 1024;

}  // namespace

Edge::Edge(const Router& routes, Limits all_limits, Authenticate auth,
           std::shared_ptr<Server::Shared> all)
    : router(routes),
      limits(all_limits),
      authenticate(std::move(auth)),
      shared(std::move(all)),
      now(std::chrono::steady_clock::now()),
      waste(waste_bytes),
      next_request_id(random_u64()),
      request_id_prefix(static_cast<std::uint32_t>(random_u64())) {
  const std::lock_guard lock{shared->mutex};
  if (!shared->key_quota && limits.requests_per_minute_max > 0) {
    shared->key_quota =
        std::make_unique<Quota>(limits.requests_per_minute_max, std::chrono::minutes{1});
  }
  if (!shared->stranger_quota && limits.stranger_requests_per_15_min_max > 0) {
    shared->stranger_quota =
        std::make_unique<Quota>(limits.stranger_requests_per_15_min_max, std::chrono::minutes{15});
  }
  if (!shared->webhook_quota && limits.webhooks_per_minute_max > 0) {
    shared->webhook_quota =
        std::make_unique<Quota>(limits.webhooks_per_minute_max, std::chrono::minutes{1});
  }
}

std::optional<Place> Place::take(const std::shared_ptr<Edge>& edge, const asio::ip::address& peer) {
  auto& shared = *edge->shared;
  if (shared.connections.fetch_add(1) >= edge->limits.connections_max) {
    shared.connections.fetch_sub(1);
    return {};
  }
  std::string ip;
  if (!peer.is_loopback()) {
    // One subscriber owns a whole /64 of IPv6.
    if (peer.is_v6()) {
      const auto bytes = peer.to_v6().to_bytes();
      ip.assign(bytes.begin(), bytes.begin() + 8);
    } else {
      const auto bytes = peer.to_v4().to_bytes();
      ip.assign(bytes.begin(), bytes.end());
    }
    const std::lock_guard lock{shared.mutex};
    auto& count = shared.connections_per_ip[ip];
    if (count >= edge->limits.connections_per_ip_max) {
      shared.connections.fetch_sub(1);
      return {};
    }
    ++count;
  }
  edge->open.fetch_add(1);
  return Place{edge, std::move(ip)};
}

Place::~Place() {
  if (!edge_) return;
  auto& shared = *edge_->shared;
  if (!ip_.empty()) {
    const std::lock_guard lock{shared.mutex};
    const auto it = shared.connections_per_ip.find(ip_);
    if (it != shared.connections_per_ip.end() && --it->second == 0) {
      shared.connections_per_ip.erase(it);
    }
  }
  shared.connections.fetch_sub(1);
  edge_->open.fetch_sub(1);
}

void Buffer::consume(std::size_t n) {
  begin_ += n;
  if (begin_ == end_) begin_ = end_ = 0;
}

asio::mutable_buffer Buffer::room(std::size_t n) {
  if (capacity_ - end_ < n && begin_ > 0) {
    std::memmove(data_.get(), data_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (capacity_ - end_ < n) {
    const auto capacity = std::max({bytes_min, capacity_ * 2, end_ + n});
    auto data = std::make_unique_for_overwrite<char[]>(capacity);
    if (end_ > 0) std::memcpy(data.get(), data_.get(), end_);
    data_ = std::move(data);
    capacity_ = capacity;
  }
  return {data_.get() + end_, capacity_ - end_};
}

void Buffer::shrink() {
  if (!empty() || capacity_ <= 2 * bytes_min) return;
  data_.reset();
  capacity_ = 0;
}

}  // namespace sara::http
