// Spawns the QUERY actors; their interface stands in messages/query.hpp.
#pragma once

#include <memory>
#include <string>

#include "actors/context.hpp"
#include "storage/registry.hpp"

namespace sara::actors {

messages::query_actor::behavior_type query(messages::query_actor::pointer self, std::string url,
                                           std::shared_ptr<const storage::Vault> vault,
                                           const Clock* clock);

}  // namespace sara::actors
