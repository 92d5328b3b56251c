// The DELIVERY protocol: the outbox worker. Local to one process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "domain/delivery.hpp"
#include "messages/ids.hpp"
#include "messages/conversation.hpp"
#include "messages/query.hpp"

namespace sara::messages {

/// Event from persistence: these outbound messages are committed and wait to be sent.
using DueItems = std::shared_ptr<const std::vector<DueItem>>;

/// The DELIVERY actor: takes queued messages to their provider, one attempt at a time.
using delivery_actor =
    caf::typed_actor<caf::reacts_to<DueItems>, caf::reacts_to<caf::tick_atom>,
                     caf::reacts_to<Drain>>;

/// A provider's side of the sandbox: accepts a message and reports on it by signed callbacks.
struct SandboxSend {
  TenantId tenant_id;
  IntegrationId integration_id;
  std::string message_id;  ///< ours: the reference in each callback
  domain::Channel channel = domain::Channel::none;
  std::string address;
  std::string body;
  bool accepted_before = false;  ///< recovery: only the callbacks are wanted again
};
struct SandboxAccepted {
  std::string provider_message_id;
  std::string error;  ///< set: refused for good
};
using sandbox_actor = caf::typed_actor<caf::replies_to<SandboxSend>::with<SandboxAccepted>,
                                       caf::reacts_to<caf::tick_atom>>;

/// Command to whoever posts for us: one signed callback to a webhook URL.
struct PostCallback {
  std::string url;
  std::string body;
  std::string signature;
};
struct CallbackPosted {
  int status = 0;  ///< HTTP status; 0: no answer
};
/// The OUTBOUND actor: HTTP requests on their own threads. Detached: libcurl blocks.
using outbound_actor = caf::typed_actor<caf::replies_to<PostCallback>::with<CallbackPosted>>;

}  // namespace sara::messages

CAF_BEGIN_TYPE_ID_BLOCK(sara_delivery, sara::messages::delivery_ids)
  CAF_ADD_TYPE_ID(sara_delivery, (sara::messages::DueItems))
  CAF_ADD_TYPE_ID(sara_delivery, (sara::messages::SandboxSend))
  CAF_ADD_TYPE_ID(sara_delivery, (sara::messages::SandboxAccepted))
  CAF_ADD_TYPE_ID(sara_delivery, (sara::messages::PostCallback))
  CAF_ADD_TYPE_ID(sara_delivery, (sara::messages::CallbackPosted))
CAF_END_TYPE_ID_BLOCK(sara_delivery)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::DueItems)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::SandboxSend)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::SandboxAccepted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::PostCallback)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::CallbackPosted)
