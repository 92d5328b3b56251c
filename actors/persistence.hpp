// Spawns the PERSISTENCE actors; their interface stands in messages/persistence.hpp.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "actors/context.hpp"
#include "storage/journal.hpp"
#include "storage/registry.hpp"

namespace sara::actors {

struct PersistenceOptions {
  std::string url;
  storage::Lease lease;
  std::shared_ptr<const storage::Vault> vault;
  std::size_t group_max = 256;
  messages::inbox_actor inbox;
  const Clock* clock = &system_clock();
  std::function<void()> fenced;  ///< another process took the lease: stop serving
};

messages::persistence_actor::behavior_type persistence(messages::persistence_actor::pointer self,
                                                       PersistenceOptions options);

}  // namespace sara::actors
