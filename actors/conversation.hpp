// Spawns the CONVERSATION actor; its interface stands in messages/conversation.hpp.
#pragma once

#include <memory>

#include "actors/context.hpp"

namespace sara::actors {

/// What a conversation leaves behind when it has drained with everything committed: the next
/// incarnation starts from it without asking the database. Read only when the actor is down.
struct RestingPlace {
  std::shared_ptr<const domain::Thread> thread;
  bool woken = false;  ///< this incarnation itself was started so
};
using RestingPlacePtr = std::shared_ptr<RestingPlace>;

/// thread: as the database has it, or a new contact's that is not stored yet.
/// rest: where to leave it at the end; none: nowhere.
messages::conversation_actor::behavior_type conversation(
    messages::conversation_actor::pointer self, Context* context, TenantId tenant,
    std::shared_ptr<const domain::Thread> thread, RestingPlacePtr rest);

}  // namespace sara::actors
