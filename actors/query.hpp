// Spawns the QUERY actors; their interface stands in messages/query.hpp.
#pragma once

#include <memory>

#include "actors/context.hpp"
#include "storage/registry.hpp"

namespace sara::actors {

/// db: its own from now on. At a process's first look for due messages (ListDue with `reported`)
/// it publishes their tenants, a page of them with three statements.
messages::query_actor::behavior_type query(messages::query_actor::pointer self,
                                           std::shared_ptr<storage::Connection> db,
                                           std::shared_ptr<const storage::Vault> vault,
                                           const Context* context);

}  // namespace sara::actors
