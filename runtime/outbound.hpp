// Spawns the OUTBOUND actors: HTTP requests that block, on threads of their own.
#pragma once

#include "messages/delivery.hpp"

namespace sara::runtime {

messages::outbound_actor::behavior_type outbound(messages::outbound_actor::pointer self,
                                                 Millis timeout);

}  // namespace sara::runtime
