// Spawns the DELIVERY actor (the outbox worker) and the SANDBOX; see messages/delivery.hpp.
#pragma once

#include "actors/context.hpp"

namespace sara::actors {

struct DeliveryOptions {
  messages::sandbox_actor sandbox;
  std::size_t in_flight_max = 64;
};
messages::delivery_actor::behavior_type delivery(messages::delivery_actor::pointer self,
                                                 Context* context, DeliveryOptions options);

/// The embedded provider: accepts a message, then reports sent, delivered and read by signed
/// webhooks over HTTP, as a real one does.
messages::sandbox_actor::behavior_type sandbox(messages::sandbox_actor::pointer self,
                                               Context* context,
                                               messages::outbound_actor outbound);

}  // namespace sara::actors
