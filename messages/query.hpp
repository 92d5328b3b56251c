// The QUERY protocol: reads that never disturb the actor that owns the state. Local to one process,
// like PERSISTENCE.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "domain/inbox.hpp"
#include "domain/integration.hpp"
#include "domain/journal.hpp"
#include "messages/ids.hpp"

namespace sara::messages {

struct AddressKey {
  TenantId tenant_id;
  domain::Channel channel = domain::Channel::none;
  std::string address;
  bool operator==(const AddressKey&) const = default;
};

/// Query: the threads of these addresses, in order; null where the address is unknown.
struct FindThreads {
  std::vector<AddressKey> keys;
};
using Threads = std::shared_ptr<const std::vector<std::shared_ptr<const domain::Thread>>>;

/// Query: the thread of a contact, or of the contact of a conversation.
struct GetThread {
  TenantId tenant_id;
  ContactId contact_id;
  ConversationId conversation_id;
};
using ThreadPtr = std::shared_ptr<const domain::Thread>;  ///< null: there is none

/// Query: outbound messages by their provider ids or, where positive, by our own sequence.
struct FindDeliveries {
  TenantId tenant_id;
  domain::Provider provider = domain::Provider::none;
  std::vector<std::string> provider_message_ids;
  std::vector<Sequence> message_seqs;
};
using Deliveries = std::shared_ptr<const std::vector<domain::Delivery>>;

/// Query: statuses that wait for this provider message id.
struct FindUnmatched {
  TenantId tenant_id;
  domain::Provider provider = domain::Provider::none;
  std::string provider_message_id;
};
using Entries = std::shared_ptr<const std::vector<domain::JournalEntry>>;

/// Query: where a message with this dedupe key stands; one entry or none.
struct FindEntry {
  TenantId tenant_id;
  std::string dedupe_key;
};

struct ListInbox {
  TenantId tenant_id;
  domain::InboxFilter filter;
  domain::InboxSort sort = domain::InboxSort::newest;
  /// Keyset: rows behind this place in the order; seq 0: from the start.
  std::int64_t after_key = 0;  ///< sla_due: milliseconds; urgency: rank; else 0
  Sequence after_seq = 0;
  int limit = 50;
};
struct InboxPage {
  std::vector<domain::InboxRow> rows;
  bool more = false;
};
using InboxPagePtr = std::shared_ptr<const InboxPage>;

/// Query: one conversation; an empty page if there is none.
struct GetConversation {
  TenantId tenant_id;
  ConversationId conversation_id;
};

/// A message with its delivery, if it is outbound.
struct MessageRow {
  domain::JournalEntry entry;
  domain::Delivery delivery;  ///< message_seq 0: none
};
struct ListMessages {
  TenantId tenant_id;
  ConversationId conversation_id;
  Sequence after = 0;
  int limit = 50;
};
struct MessagePage {
  bool found = false;  ///< false: there is no such conversation
  std::vector<MessageRow> rows;
  bool more = false;
};
using MessagePagePtr = std::shared_ptr<const MessagePage>;

/// Query: one message with its raw bytes (for its attachments).
struct GetMessage {
  TenantId tenant_id;
  Sequence seq = 0;
};

/// Query: committed events after a sequence, oldest first.
struct ReplayJournal {
  TenantId tenant_id;
  Sequence after = 0;
  int limit = 500;
};
struct Replay {
  std::vector<std::shared_ptr<const domain::JournalEvent>> events;
  Sequence last_seq = 0;  ///< the tenant's newest at the time of the read
};
using ReplayPtr = std::shared_ptr<const Replay>;

struct ListFailures {
  TenantId tenant_id;
  Sequence before = 0;
  int limit = 50;
};

struct FindIdempotency {
  TenantId tenant_id;
  std::string key;
};
using IdempotencyPtr = std::shared_ptr<const domain::IdempotencyRecord>;  ///< null: none

struct ApiKey {
  std::string id;
  TenantId tenant_id;
  std::string role;
  std::string secret_sha256;  ///< 32 bytes
};
struct FindApiKey {
  std::string id;
};
using ApiKeyPtr = std::shared_ptr<const ApiKey>;  ///< null: there is none

/// Query: a tenant with its integrations, by its id or by one of their endpoints.
struct GetTenant {
  TenantId tenant_id;
  std::string endpoint;
};
using TenantPtr = std::shared_ptr<const domain::TenantSnapshot>;  ///< null: there is none

struct ListContacts {
  TenantId tenant_id;
  std::string text;
  std::string address;
  std::string external_id;
  Uuid before;
  int limit = 50;
};
struct GetContact {
  TenantId tenant_id;
  ContactId contact_id;
};
struct ContactPage {
  std::vector<domain::Contact> rows;
  bool more = false;
};
using ContactPagePtr = std::shared_ptr<const ContactPage>;

/// Query: outbound messages that wait to be sent or were being sent, of the tenants after `after`,
/// or, where after_seq is set, of this tenant behind that message.
struct ListDue {
  TenantId after;
  int tenants = 1000;
  Sequence after_seq = 0;
  bool reported = false;  ///< also what the sandbox has accepted and was still to report on
};
struct DueItem {
  TenantId tenant_id;
  domain::Delivery delivery;
  std::string subject;
  std::string body;
};
struct DuePage {
  std::vector<DueItem> items;
  TenantId last_tenant;
  Sequence last_seq = 0;  ///< set: the last tenant has more
  bool more = false;
};
using DuePagePtr = std::shared_ptr<const DuePage>;

/// Query: is the database there?
struct Ping {
  int unused = 0;
};
struct Pong {
  bool ok = false;
};

/// The QUERY actor: one of a small pool, each with its own connection. Detached: libpqxx blocks.
using query_actor = caf::typed_actor<
    caf::replies_to<FindThreads>::with<Threads>,
    caf::replies_to<GetThread>::with<ThreadPtr>,
    caf::replies_to<FindDeliveries>::with<Deliveries>,
    caf::replies_to<FindUnmatched>::with<Entries>,
    caf::replies_to<FindEntry>::with<Entries>,
    caf::replies_to<ListInbox>::with<InboxPagePtr>,
    caf::replies_to<GetConversation>::with<InboxPagePtr>,
    caf::replies_to<ListMessages>::with<MessagePagePtr>,
    caf::replies_to<GetMessage>::with<MessagePagePtr>,
    caf::replies_to<ReplayJournal>::with<ReplayPtr>,
    caf::replies_to<ListFailures>::with<Entries>,
    caf::replies_to<FindIdempotency>::with<IdempotencyPtr>,
    caf::replies_to<FindApiKey>::with<ApiKeyPtr>,
    caf::replies_to<GetTenant>::with<TenantPtr>,
    caf::replies_to<ListContacts>::with<ContactPagePtr>,
    caf::replies_to<GetContact>::with<ContactPagePtr>,
    caf::replies_to<ListDue>::with<DuePagePtr>,
    caf::replies_to<Ping>::with<Pong>>;

}  // namespace sara::messages

#define SARA_LOCAL_TYPES(add)                                                               \
  add(FindThreads) add(Threads) add(GetThread) add(ThreadPtr) add(FindDeliveries)           \
  add(Deliveries) add(FindUnmatched) add(Entries) add(FindEntry) add(ListInbox)             \
  add(InboxPagePtr) add(GetConversation) add(ListMessages) add(MessagePagePtr)              \
  add(GetMessage) add(ReplayJournal) add(ReplayPtr) add(ListFailures) add(FindIdempotency)  \
  add(IdempotencyPtr) add(FindApiKey) add(ApiKeyPtr) add(GetTenant) add(TenantPtr)          \
  add(ListContacts) add(GetContact) add(ContactPagePtr) add(ListDue) add(DuePagePtr)        \
  add(Ping) add(Pong)

CAF_BEGIN_TYPE_ID_BLOCK(sara_query, sara::messages::query_ids)
#define SARA_ADD(Type) CAF_ADD_TYPE_ID(sara_query, (sara::messages::Type))
  SARA_LOCAL_TYPES(SARA_ADD)
#undef SARA_ADD
CAF_END_TYPE_ID_BLOCK(sara_query)

#define SARA_ADD(Type) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::Type)
SARA_LOCAL_TYPES(SARA_ADD)
#undef SARA_ADD
