// The published tenant snapshots.
#include "messages/tenant.hpp"

#include <doctest/doctest.h>

using namespace sara;
using namespace sara::messages;

namespace {

TenantPtr tenant(std::uint64_t n, const std::vector<std::string>& endpoints) {
  auto snapshot = std::make_shared<domain::TenantSnapshot>();
  snapshot->id = TenantId{Uuid{n, n}};
  for (auto& endpoint : endpoints) {
    domain::Integration i;
    i.endpoint = endpoint;
    snapshot->offers.push_back({i, {}});
  }
  return snapshot;
}

}  // namespace

TEST_CASE("tenant: what is published is found by its id and by each endpoint") {
  TenantRegistry registry;
  registry.publish(tenant(1, {"a", "b"}));
  registry.publish(tenant(2, {"c"}));
  CHECK(registry.size() == 2);
  CHECK(registry.find(TenantId{Uuid{1, 1}})->offers.size() == 2);
  CHECK(registry.find_by_endpoint("b")->id == TenantId{Uuid{1, 1}});
  CHECK(registry.find_by_endpoint("c")->id == TenantId{Uuid{2, 2}});
  CHECK(registry.find_by_endpoint("d") == nullptr);
  CHECK(registry.find(TenantId{Uuid{3, 3}}) == nullptr);
}

TEST_CASE("tenant: a newer snapshot takes the place of the older, endpoints included") {
  TenantRegistry registry;
  registry.publish(tenant(1, {"a", "b"}));
  auto held = registry.find(TenantId{Uuid{1, 1}});
  registry.publish(tenant(1, {"b", "c"}));
  CHECK(registry.find_by_endpoint("a") == nullptr);
  CHECK(registry.find_by_endpoint("c")->id == TenantId{Uuid{1, 1}});
  // Whoever still works with the older one keeps it.
  CHECK(held->offers.at(0).integration.endpoint == "a");
}
