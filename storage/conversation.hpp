// Contacts and conversations: their rows, their lists, and the threads that actors are made from.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "domain/inbox.hpp"
#include "domain/journal.hpp"
#include "storage/array.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

/// The conversations that one group saves: new ones are inserted, known ones updated.
class ConversationColumns {
 public:
  /// first, last: the sequences of the set that carries it. c.seq: as it was before the set.
  void add(TenantId tenant_id, const domain::Conversation& c, Sequence first, Sequence last);
  /// A row that is not as its only writer left it is a conflict: nothing is saved.
  void save(Connection& db);
  const std::vector<std::pair<TenantId, ConversationId>>& updated() const { return updated_; }

 private:
  struct Columns {
    Array tenant, id, contact, seq, seq_before, unread, inbound_count, outbound_count, read_seq,
        opened_at, resolved_at, updated_at, last_seq, last_at, sla_due_at, sentiment,
        last_direction, last_channel, status, channel, urgency_rank, flagged, sla_breached,
        assigned_to, intent, urgency, state, labels, reach, last_preview;
  };
  Columns fresh_, known_;
  std::vector<std::pair<TenantId, ConversationId>> updated_;
};

/// Rows of the contact upsert and the identity insert of one group.
struct ContactColumns {
  Array tenant, id, created_at, updated_at, external_id, name;
  Array i_tenant, i_contact, i_channel, i_verified, i_address;
  void add(TenantId tenant_id, const domain::Contact& contact,
           const std::vector<domain::Identity>& new_identities);
  void save(Connection& db);
};

/// The conversation as it was right after `entry`, given a later state of it.
domain::Conversation as_of(const domain::Conversation& later, const domain::JournalEntry& entry,
                           Sequence first);

using ContactAndConversation = std::pair<std::shared_ptr<const domain::Contact>,
                                         std::shared_ptr<const domain::Conversation>>;
/// Inside a transaction: these conversations with their contacts.
std::map<ConversationId, ContactAndConversation> load_rows(
    Connection& db, TenantId tenant, const std::vector<ConversationId>& ids);

struct Address {
  TenantId tenant_id;
  domain::Channel channel = domain::Channel::none;
  std::string address;
};
/// The threads of these addresses, in order; null where the address is unknown.
Result<std::vector<std::shared_ptr<const domain::Thread>>> find_threads(
    Connection& db, const std::vector<Address>& addresses);
/// By contact, or by conversation where contact is none. Null if there is none.
Result<std::shared_ptr<const domain::Thread>> get_thread(Connection& db, TenantId tenant,
                                                         ContactId contact,
                                                         ConversationId conversation);

struct InboxQuery {
  domain::InboxFilter filter;
  domain::InboxSort sort = domain::InboxSort::newest;
  std::int64_t after_key = 0;
  Sequence after_seq = 0;
  int limit = 50;
};
Result<std::vector<domain::InboxRow>> list_inbox(Connection& db, TenantId tenant,
                                                 const InboxQuery& query);
/// One row or none.
Result<std::vector<domain::InboxRow>> get_conversation(Connection& db, TenantId tenant,
                                                       ConversationId id);

struct Message {
  domain::JournalEntry entry;
  domain::Delivery delivery;  ///< message_seq 0: none
};
/// A conversation's messages after a sequence, oldest first; found: there is such a conversation.
Result<std::vector<Message>> list_messages(Connection& db, TenantId tenant, ConversationId id,
                                           Sequence after, int limit, bool& found);
/// One message with its raw bytes, or none.
Result<std::vector<Message>> get_message(Connection& db, TenantId tenant, Sequence seq);

struct ContactQuery {
  std::string text, address, external_id;
  Uuid before;
  int limit = 50;
};
Result<std::vector<domain::Contact>> list_contacts(Connection& db, TenantId tenant,
                                                   const ContactQuery& query);
Result<std::vector<domain::Contact>> get_contact(Connection& db, TenantId tenant, ContactId id);
/// Makes a contact, with an idempotency record in the same transaction.
/// Returns the contact that holds one of its identities (or its external id) already, or none.
Result<ContactId> create_contact(Connection& db, TenantId tenant, const domain::Contact& contact,
                                 const domain::IdempotencyRecord& idempotency, TimePoint now);

}  // namespace sara::storage
