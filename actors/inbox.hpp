// Spawns the INBOX actor; its interface stands in messages/inbox.hpp.
#pragma once

#include "actors/context.hpp"

namespace sara::actors {

messages::inbox_actor::behavior_type inbox(messages::inbox_actor::pointer self, Context* context);

}  // namespace sara::actors
