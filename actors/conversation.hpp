// Spawns the CONVERSATION actor; its interface stands in messages/conversation.hpp.
#pragma once

#include <memory>

#include "actors/context.hpp"

namespace sara::actors {

/// thread: as the database has it, or a new contact's that is not stored yet.
messages::conversation_actor::behavior_type conversation(
    messages::conversation_actor::pointer self, Context* context, TenantId tenant,
    std::shared_ptr<const domain::Thread> thread);

}  // namespace sara::actors
