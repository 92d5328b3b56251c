// The published tenant snapshots: what the edge and the actors look up at every step without a
// message. Written when an integration changes, read everywhere.
#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "domain/integration.hpp"
#include "messages/query.hpp"

namespace sara::messages {

class TenantRegistry {
 public:
  /// Null if it has not been published here yet: ask the database, then publish.
  TenantPtr find(TenantId id) const;
  TenantPtr find_by_endpoint(const std::string& endpoint) const;
  /// Puts a snapshot in the place of an older one; one that was read earlier is dropped.
  void publish(TenantPtr tenant);
  std::size_t size() const;

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<TenantId, TenantPtr> tenants_;
  std::unordered_map<std::string, TenantId> endpoints_;
};

}  // namespace sara::messages
