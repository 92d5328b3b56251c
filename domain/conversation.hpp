// A conversation: one contact's thread across channels. Decides what an inbound message, a reply
// and a provider's report do to it; stores nothing itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/time.hpp"
#include "domain/channel.hpp"
#include "domain/contact.hpp"
#include "domain/webhook.hpp"

namespace sara::domain {

struct WriteSet;
struct Delivery;
struct JournalEntry;

enum class ConversationStatus : std::uint8_t { open = 0, pending, snoozed, resolved };
std::string_view to_string(ConversationStatus status);

/// What the inbox filters look at.
struct Marks {
  ConversationStatus status = ConversationStatus::open;
  Channel channel = Channel::none;  ///< the channel of the last message
  std::string assigned_to;
  bool flagged = false;
  std::vector<std::string> labels;
  std::string intent;
  std::string urgency;
  TimePoint sla_due_at{};
  bool sla_breached = false;

  bool operator==(const Marks&) const = default;
};

/// How the contact was last heard on a channel: where an answer goes, and until when it may.
struct Reach {
  Channel channel = Channel::none;
  std::string address;
  IntegrationId integration_id;
  TimePoint last_inbound_at{};
  /// Everything sent up to here is delivered or read (Messenger's watermarks): messages that are
  /// recorded later inherit it.
  TimePoint delivered_up_to{};
  TimePoint read_up_to{};

  bool operator==(const Reach&) const = default;
};

struct LastMessage {
  Sequence seq = 0;
  TimePoint at{};
  std::uint8_t direction = 0;  ///< domain::Direction
  Channel channel = Channel::none;
  std::string preview;
};

/// The state of one conversation: its inbox row.
struct Conversation {
  ConversationId id;
  ContactId contact_id;
  Marks marks;
  std::int64_t unread = 0;
  std::int64_t inbound_count = 0;
  std::int64_t outbound_count = 0;
  Sequence read_seq = 0;  ///< unread counts the inbound messages after it
  LastMessage last_message;
  double sentiment = 0;
  bool has_sentiment = false;
  std::string state = "awaiting_response";  ///< CV-8
  std::vector<Reach> reach;
  TimePoint opened_at{};
  TimePoint resolved_at{};
  TimePoint updated_at{};
  Sequence seq = 0;  ///< of the last event that changed it

  const Reach* reach_on(Channel channel) const;
};

/// A reply as a person or a program asks for it.
struct ReplyRequest {
  std::string body;
  Channel channel = Channel::none;  ///< none: the one the contact last used
  std::string subject;
  std::vector<Attachment> attachments;
};

/// One way out for a channel, as the tenant's integrations offer it.
struct Route {
  IntegrationId integration_id;
  Provider provider = Provider::none;
  bool can_send = false;  ///< false: its sender is not there yet, messages wait in the queue
};

/// Chooses the integration for (channel, integration that carried the last inbound or none).
/// A Route with provider none: no integration serves the channel.
class RouteChooser {
 public:
  virtual ~RouteChooser() = default;
  virtual Route choose(Channel channel, IntegrationId carried_last_inbound) const = 0;
};

struct ThreadPolicy {
  /// After resolving; later a new conversation starts.
  Millis reopen_within = std::chrono::days{7};
};

/// Everything that one contact's single writer knows: the contact, the newest conversation, and the
/// outbound messages that may still change. A value: decide on a copy, keep it when the commit
/// succeeded, drop it when not.
class Thread {
 public:
  std::shared_ptr<const Contact> contact;
  bool contact_stored = false;  ///< false: the contact is made with the first message
  bool has_conversation = false;
  Conversation conversation;
  std::vector<Delivery> outstanding;  ///< by message_seq, unsettled
  bool outstanding_complete = true;   ///< false: delivered ones had to make room

  /// Accepts an inbound message or an echo; appends to `out`.
  void receive(const Inbound& in, IntegrationId integration, const std::string& dedupe_key,
               const std::string& raw, TimePoint now, const ThreadPolicy& policy, WriteSet& out);
  /// Queues an outbound message; appends its entry and its delivery to `out`.
  /// errors: invalid_argument - empty or too long; no_channel - no address or integration;
  ///         outside_messaging_window - see messaging_window()
  Result<void> reply(const ReplyRequest& request, const RouteChooser& routes, TimePoint now,
                     WriteSet& out);
  /// Opens a conversation without a message, if none is open. Returns true if it made one.
  bool open(TimePoint now, const ThreadPolicy& policy, WriteSet& out);
  /// Applies a provider's report to one delivery, or to all up to its watermark. `found` is the
  /// delivery as the database has it, for messages that are not outstanding here.
  /// Returns the number of messages it changed; a report that changes none is still stored, so that
  /// its redelivery is known.
  int report(const Receipt& receipt, const Delivery* found, IntegrationId integration,
             const std::string& dedupe_key, const std::string& raw, TimePoint now, WriteSet& out);
  /// Records what our own sender found out. Returns 1 if the message stands so now, 0 if its state
  /// has gone on without the sender.
  int settle(const Delivery& outcome, TimePoint now, WriteSet& out);
  /// The contact withdrew a message: `message_seq` is where it stands.
  void retract(Sequence message_seq, IntegrationId integration, const std::string& dedupe_key,
               const std::string& raw, TimePoint now, WriteSet& out);

  /// The writer numbered the set from `first`: fill in what only it could know.
  void numbered(const WriteSet& set, Sequence first);

 private:
  void ensure_conversation(TimePoint now, const ThreadPolicy& policy);
  void announce_contact(WriteSet& out) const;
  void add_message(JournalEntry&& entry, WriteSet& out);
  /// Room is made by the oldest that is delivered already: what is later said of it is applied to
  /// the database's row. A message that still has to leave must be found here.
  void add_outstanding(const Delivery& delivery);
  void change(Delivery& delivery, const Delivery& to, TimePoint now, WriteSet& out);
  Reach& reach_for(Channel channel, const std::string& address);
};

}  // namespace sara::domain
