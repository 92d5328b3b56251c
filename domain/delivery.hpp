// An outbound message on its way: its states, and which report may change them.
#pragma once

#include <string>

#include "base/id.hpp"
#include "base/time.hpp"
#include "domain/webhook.hpp"

namespace sara::domain {

/// The outbox row of one outbound message; its key is the message's place in the journal.
struct Delivery {
  Sequence message_seq = 0;
  ConversationId conversation_id;
  ContactId contact_id;
  Channel channel = Channel::none;
  Provider provider = Provider::none;
  IntegrationId integration_id;
  std::string address;
  MessageStatus status = MessageStatus::queued;
  std::string provider_message_id;
  std::string error_code;     ///< ours, such as "sender_not_available"
  std::string error_detail;
  std::string provider_code;  ///< the provider's own
  int attempt = 0;
  TimePoint created_at{};  ///< the message's own time; with message_seq it makes the message's id
  TimePoint sent_at{};     ///< when the provider accepted it; the epoch: not yet
  TimePoint next_at{};     ///< queued: not before
  TimePoint not_after{};   ///< queued: too late after; the epoch: no limit

  bool operator==(const Delivery&) const = default;
};

/// True if a message in state `from` moves on `to` (api.md, Message): forward only; failed comes
/// only before delivered, bounced only before read, complained from any; these three stay;
/// unknown gives way to what a signed status says.
bool advances(MessageStatus from, MessageStatus to);

/// True if no report but a complaint can change it any more.
bool settled(MessageStatus status);

}  // namespace sara::domain
