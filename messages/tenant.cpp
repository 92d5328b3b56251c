// The published tenant snapshots.
#include "messages/tenant.hpp"

namespace sara::messages {
namespace {

constexpr std::size_t tenants_max = 100'000;  // ~2 KB each; beyond, the map starts afresh

}  // namespace

TenantPtr TenantRegistry::find(TenantId id) const {
  std::shared_lock lock(mutex_);
  auto there = tenants_.find(id);
  return there == tenants_.end() ? nullptr : there->second;
}

TenantPtr TenantRegistry::find_by_endpoint(const std::string& endpoint) const {
  std::shared_lock lock(mutex_);
  auto tenant = endpoints_.find(endpoint);
  if (tenant == endpoints_.end()) return nullptr;
  auto there = tenants_.find(tenant->second);
  return there == tenants_.end() ? nullptr : there->second;
}

void TenantRegistry::publish(TenantPtr tenant) {
  std::unique_lock lock(mutex_);
  if (tenants_.size() >= tenants_max && !tenants_.contains(tenant->id)) {
    tenants_.clear();
    endpoints_.clear();
  }
  auto& place = tenants_[tenant->id];
  if (place && place->as_of > tenant->as_of) return;
  if (place)
    for (auto& offer : place->offers) endpoints_.erase(offer.integration.endpoint);
  for (auto& offer : tenant->offers) endpoints_[offer.integration.endpoint] = tenant->id;
  place = std::move(tenant);
}

std::size_t TenantRegistry::size() const {
  std::shared_lock lock(mutex_);
  return tenants_.size();
}

}  // namespace sara::messages
