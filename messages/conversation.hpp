// The CONVERSATION protocol: what can be asked of a contact's thread, and of the directory and the
// tenant that stand before it.
#pragma once

#include "messages/ids.hpp"
#include "messages/inspect.hpp"

namespace sara::messages {

/// Command: a provider delivered one message (or an echo of one written elsewhere).
struct ReceiveInbound {
  TenantId tenant_id;
  IntegrationId integration_id;
  domain::Inbound inbound;
  std::string dedupe_key;  ///< the redelivery key, at most 200 bytes
  std::string raw;         ///< the provider's bytes
};
/// Answer: the message is committed, now or earlier.
struct InboundReceived {
  bool duplicate = false;
};

/// Command: a provider's report on outbound messages, as its webhook brought it.
struct ReportedStatus {
  domain::Receipt receipt;
  std::string dedupe_key;
  std::string raw;
};
/// Command to the tenant: a request's reports; each finds its message or waits unmatched.
struct ReportStatuses {
  TenantId tenant_id;
  IntegrationId integration_id;
  std::vector<ReportedStatus> reports;
};
/// Command to the conversation: one report whose message (or contact) is known.
struct ApplyReport {
  TenantId tenant_id;
  ContactId contact_id;  ///< none: a watermark, addressed by receipt.channel and receipt.address
  IntegrationId integration_id;
  ReportedStatus report;
  domain::Delivery found;           ///< message_seq 0: none, it is a watermark
  Sequence unmatched_seq = 0;       ///< the row that kept it until now; 0: it is fresh
};
/// Command to the tenant: signed events without a conversation, kept raw.
struct KeptEvent {
  std::string kind_or_reason;
  bool failed = false;  ///< true: it goes to the dead-letter list
  std::string dedupe_key;
  std::string raw;
};
struct KeepEvents {
  TenantId tenant_id;
  IntegrationId integration_id;
  domain::Provider provider = domain::Provider::none;
  std::vector<KeptEvent> events;
};
/// Command: the contact withdrew a message. Its stored content is erased.
struct RetractMessage {
  TenantId tenant_id;
  IntegrationId integration_id;
  domain::Retraction retraction;
  std::string dedupe_key;
  std::string raw;
  Sequence message_seq = 0;  ///< where the message stands; 0: not looked up yet
};
/// Answer: committed.
struct Applied {
  std::uint32_t count = 0;  ///< events that had an effect
};

/// The key of a request that may be repeated, and the hash of what it asked.
struct Idempotency {
  std::string key;  ///< empty: none
  std::string request_hash;
};
/// Command: send a message in this conversation.
struct SendReply {
  TenantId tenant_id;
  ConversationId conversation_id;
  domain::ReplyRequest reply;
  Idempotency idempotency;
};
/// Command: open the contact's conversation, with a first message or without.
struct OpenConversation {
  TenantId tenant_id;
  ContactId contact_id;
  bool with_message = false;
  domain::ReplyRequest message;
  Idempotency idempotency;
};
/// Answer: an API answer, rendered.
struct Answered {
  int status = 200;
  std::string body;  ///< JSON
};

/// Command: what our own sender found out about an outbound message.
struct SettleDelivery {
  TenantId tenant_id;
  domain::Delivery outcome;
};

/// Event to the directory: a conversation or tenant has been idle and may be unloaded.
struct WantUnload {
  TenantId tenant_id;
  ContactId contact_id;  ///< none: the tenant itself
};
/// Command from the directory: answer what you have, then quit. Nothing more will come.
struct Drain {
  bool stop = false;  ///< true: the whole server stops
};
/// Query: how many actors there are, for /debug/actors and tests.
struct GetPopulation {
  bool detail = false;
};
struct Population {
  std::uint64_t tenants = 0;
  std::uint64_t conversations = 0;  ///< in memory, those at rest included
  std::uint64_t parked = 0;
  std::uint64_t activations = 0;
  std::uint64_t passivations = 0;
  std::uint64_t restarts = 0;
  std::uint64_t resting = 0;
};

#define SARA_INSPECT(Type, ...)                                                 \
  template <class Inspector>                                                    \
  typename Inspector::result_type inspect(Inspector& f, Type& x) {              \
    return f(caf::meta::type_name(#Type), __VA_ARGS__);                         \
  }

SARA_INSPECT(ReceiveInbound, x.tenant_id, x.integration_id, x.inbound, x.dedupe_key, x.raw)
SARA_INSPECT(InboundReceived, x.duplicate)
SARA_INSPECT(ReportedStatus, x.receipt, x.dedupe_key, x.raw)
SARA_INSPECT(ReportStatuses, x.tenant_id, x.integration_id, x.reports)
SARA_INSPECT(ApplyReport, x.tenant_id, x.contact_id, x.integration_id, x.report, x.found,
             x.unmatched_seq)
SARA_INSPECT(KeptEvent, x.kind_or_reason, x.failed, x.dedupe_key, x.raw)
SARA_INSPECT(KeepEvents, x.tenant_id, x.integration_id, x.provider, x.events)
SARA_INSPECT(RetractMessage, x.tenant_id, x.integration_id, x.retraction, x.dedupe_key, x.raw,
             x.message_seq)
SARA_INSPECT(Applied, x.count)
SARA_INSPECT(Idempotency, x.key, x.request_hash)
SARA_INSPECT(SendReply, x.tenant_id, x.conversation_id, x.reply, x.idempotency)
SARA_INSPECT(OpenConversation, x.tenant_id, x.contact_id, x.with_message, x.message, x.idempotency)
SARA_INSPECT(Answered, x.status, x.body)
SARA_INSPECT(SettleDelivery, x.tenant_id, x.outcome)
SARA_INSPECT(WantUnload, x.tenant_id, x.contact_id)
SARA_INSPECT(Drain, x.stop)
SARA_INSPECT(GetPopulation, x.detail)
SARA_INSPECT(Population, x.tenants, x.conversations, x.parked, x.activations, x.passivations,
             x.restarts, x.resting)

/// The CONVERSATION actor: one contact's thread across channels, its single writer.
using conversation_actor = caf::typed_actor<
    caf::replies_to<ReceiveInbound>::with<InboundReceived>,
    caf::replies_to<ApplyReport>::with<Applied>,
    caf::replies_to<RetractMessage>::with<Applied>,
    caf::replies_to<SendReply>::with<Answered>,
    caf::replies_to<OpenConversation>::with<Answered>,
    caf::replies_to<SettleDelivery>::with<Applied>,
    caf::reacts_to<Drain>,
    caf::reacts_to<caf::tick_atom, std::uint64_t>>;

/// The TENANT actor: what arrives for a tenant and belongs to no conversation yet.
using tenant_actor = caf::typed_actor<
    caf::replies_to<ReportStatuses>::with<Applied>,
    caf::replies_to<KeepEvents>::with<Applied>,
    caf::reacts_to<Drain>,
    caf::reacts_to<caf::tick_atom, std::uint64_t>>;

/// The DIRECTORY: finds or activates the actor meant, forwards, passivates the idle.
using directory_actor = caf::typed_actor<
    caf::replies_to<ReceiveInbound>::with<InboundReceived>,
    caf::replies_to<ApplyReport>::with<Applied>,
    caf::replies_to<RetractMessage>::with<Applied>,
    caf::replies_to<SendReply>::with<Answered>,
    caf::replies_to<OpenConversation>::with<Answered>,
    caf::replies_to<SettleDelivery>::with<Applied>,
    caf::replies_to<ReportStatuses>::with<Applied>,
    caf::replies_to<KeepEvents>::with<Applied>,
    caf::reacts_to<WantUnload>,
    caf::replies_to<GetPopulation>::with<Population>,
    caf::reacts_to<Drain>>;

}  // namespace sara::messages

CAF_BEGIN_TYPE_ID_BLOCK(sara_conversation, sara::messages::conversation_ids)
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::ReceiveInbound))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::InboundReceived))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::ReportStatuses))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::ApplyReport))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::KeepEvents))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::RetractMessage))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::Applied))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::SendReply))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::OpenConversation))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::Answered))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::SettleDelivery))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::WantUnload))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::Drain))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::GetPopulation))
  CAF_ADD_TYPE_ID(sara_conversation, (sara::messages::Population))
CAF_END_TYPE_ID_BLOCK(sara_conversation)
