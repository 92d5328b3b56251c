// Spawns the TENANT actor; its interface stands in messages/conversation.hpp.
#pragma once

#include "actors/context.hpp"

namespace sara::actors {

messages::tenant_actor::behavior_type tenant(messages::tenant_actor::pointer self,
                                             Context* context, TenantId tenant_id);

}  // namespace sara::actors
