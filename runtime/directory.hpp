// Spawns the DIRECTORY; its interface stands in messages/conversation.hpp.
#pragma once

#include "actors/context.hpp"

namespace sara::runtime {

messages::directory_actor::behavior_type directory(messages::directory_actor::pointer self,
                                                   actors::Context* context);

}  // namespace sara::runtime
