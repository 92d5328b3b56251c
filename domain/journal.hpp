// The journal: one ordered log of events per tenant, and what one decision wants written to it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/time.hpp"
#include "domain/contact.hpp"
#include "domain/conversation.hpp"
#include "domain/delivery.hpp"
#include "domain/webhook.hpp"

namespace sara::domain {

/// Kinds of journal events. Stored as numbers: append, never reorder.
enum class EventKind : std::uint8_t {
  message_created = 1,
  message_status = 2,
  conversation_updated = 3,
  message_retracted = 4,
  webhook_kept = 5,       ///< signed, understood, without effect
  webhook_unmatched = 6,  ///< a status whose message is not known yet; applied when it is
  webhook_failed = 7,     ///< signed but not usable: the dead-letter list
};

/// The feed's name of an event: "message.created", ...
std::string_view to_string(EventKind kind);

enum class Direction : std::uint8_t { none = 0, inbound, outbound, note };
std::string_view to_string(Direction direction);

/// One row of the journal. Which members mean something depends on the kind.
struct JournalEntry {
  EventKind kind = EventKind::message_created;
  TimePoint at{};
  ConversationId conversation_id;  ///< none for webhook_*
  Direction direction = Direction::none;
  Channel channel = Channel::none;
  Provider provider = Provider::none;
  IntegrationId integration_id;
  MessageStatus status = MessageStatus::received;  ///< message_created, message_status
  Sequence subject_seq = 0;   ///< message_status, message_retracted: the message meant
  std::string dedupe_key;     ///< WebhookEvent::dedupe_key; empty: not from a provider
  std::string subject;
  std::string body;           ///< webhook_kept: its kind; webhook_failed: the reason
  std::vector<Attachment> attachments;
  std::string error_code;
  std::string error_detail;
  std::string provider_code;
  Marks before;  ///< of the conversation, for the feed's filters
  Marks after;
  std::int64_t unread = 0;  ///< of the conversation after it
  std::string raw;          ///< the provider's bytes
  Sequence seq = 0;         ///< given by the writer
};

/// The provider's id inside a message's dedupe key.
std::string_view provider_message_id(std::string_view dedupe_key);
/// "t/" and so on: which provider a dedupe key belongs to.
std::string_view dedupe_prefix(Provider provider);

/// A finished request to remember for its idempotency key.
struct IdempotencyRecord {
  std::string key;           ///< empty: none
  std::string request_hash;  ///< SHA-256 over method, path and body
  int status = 0;
  std::string body;
};

/// What one decision wants stored: all of it or nothing, in one transaction.
struct WriteSet {
  TenantId tenant_id;
  std::vector<JournalEntry> entries;      ///< numbered in this order, without gaps between
  std::shared_ptr<const Contact> contact;  ///< whose conversation it is; for the feed
  bool contact_is_new = false;
  bool contact_changed = false;
  std::vector<Identity> new_identities;
  std::vector<Conversation> conversations;  ///< as they are afterwards; at most two
  std::vector<Delivery> deliveries;         ///< as they are afterwards; see resolve()
  std::vector<Sequence> applied_unmatched;  ///< webhook_unmatched rows that have been applied now
  IdempotencyRecord idempotency;
  /// Renders idempotency.body once the first sequence is known.
  std::function<std::string(Sequence first)> render_answer;

  /// Keeps the newest state of a conversation or delivery: one row is written once per set.
  void put(const Conversation& conversation);
  void put(const Delivery& delivery);
  /// A sequence as decisions write it before the writer has numbered the set: -1 - index of the
  /// entry meant; numbers above zero stand for themselves.
  static Sequence resolve(Sequence s, Sequence first) { return s < 0 ? first - 1 - s : s; }
};
using WriteSetPtr = std::shared_ptr<WriteSet>;

/// One committed event as the live feed and the replay show it.
struct JournalEvent {
  TenantId tenant_id;
  JournalEntry entry;
  std::shared_ptr<const Contact> contact;            ///< null for webhook_*
  std::shared_ptr<const Conversation> conversation;  ///< after the event; null for webhook_*
  /// The message meant by message_status and message_retracted, as it is after the event.
  std::shared_ptr<const JournalEntry> message;
  std::shared_ptr<const Delivery> delivery;
};

}  // namespace sara::domain
