// The fold, and its judgements.
#include "ledger.hpp"

#include "base/text.hpp"

namespace sara::simulation {

using namespace domain;

namespace {

using enum MessageStatus;

/// queued 1, sending 2, sent 3, delivered 4, read 5; an end 6. Of what may follow an end only a
/// complaint, once.
int rank(MessageStatus status) {
  switch (status) {
    case queued: return 1;
    case sending:
    case unknown: return 2;
    case sent: return 3;
    case delivered: return 4;
    case MessageStatus::read: return 5;
    default: return 6;
  }
}

bool forward(MessageStatus from, MessageStatus to) {
  if (rank(to) > rank(from)) return true;
  return to == queued && from == sending;
}

}  // namespace

void Ledger::wrong(TenantId tenant, const std::string& what) {
  if (violation.empty()) violation = "tenant " + std::to_string(tenant.lo) + ": " + what;
}

void Ledger::fold(TenantId tenant, const JournalEntry& e, Sequence subject) {
  auto at = "event " + std::to_string(e.seq);
  auto& last = last_[tenant];
  if (e.seq != last + 1) wrong(tenant, at + " does not follow " + std::to_string(last));
  last = e.seq;
  bool about_message =
      e.kind == EventKind::message_status || e.kind == EventKind::message_retracted;
  if (e.kind == EventKind::message_created) {
    if (!e.conversation_id) wrong(tenant, at + ": a message without a conversation");
    auto& tally = tallies_[{tenant, e.conversation_id}];
    tally.last_message = e.seq;
    if (e.direction == Direction::inbound) {
      ++tally.inbound;
    } else {
      ++tally.outbound;
      courses_[{tenant, e.seq}].status = e.status;
    }
    // Nobody reads here: all that came in is unread.
    if (e.unread != tally.inbound) wrong(tenant, at + ": unread is not what came in");
  } else if (about_message && (subject < 1 || subject >= e.seq ||
                               database_.rows(tenant).at(subject).kind !=
                                   EventKind::message_created)) {
    wrong(tenant, at + " is about no message");
  } else if (e.kind == EventKind::message_status) {
    auto there = courses_.find({tenant, subject});
    if (there == courses_.end())
      wrong(tenant, at + ": a status of what we did not send");
    else if (!forward(there->second.status, e.status))
      wrong(tenant, at + ": message " + std::to_string(subject) + " goes back from " +
                        std::string(to_string(there->second.status)) + " to " +
                        std::string(to_string(e.status)));
    else
      there->second.status = e.status;
  }
}

void Ledger::judge(TenantId tenant, const Conversation& row) {
  auto& rows = database_.rows(tenant);
  auto& tally = tallies_[{tenant, row.id}];
  auto of = "conversation of contact " + to_string(row.contact_id).substr(24) + ": ";
  if (row.inbound_count != tally.inbound)
    wrong(tenant, of + "inbound_count is " + std::to_string(row.inbound_count) + ", not " +
                      std::to_string(tally.inbound));
  if (row.outbound_count != tally.outbound)
    wrong(tenant, of + "outbound_count is " + std::to_string(row.outbound_count) + ", not " +
                      std::to_string(tally.outbound));
  if (row.unread != tally.inbound) wrong(tenant, of + "unread is " + std::to_string(row.unread));
  if (row.last_message.seq != tally.last_message) {
    wrong(tenant, of + "shows message " + std::to_string(row.last_message.seq) + ", the last is " +
                      std::to_string(tally.last_message));
  } else if (row.last_message.seq > 0) {
    auto& message = rows.at(row.last_message.seq);
    if (row.last_message.preview != text::preview(message.body))
      wrong(tenant, of + "shows another text than its last message has");
  }
  if (!rows.contacts.contains(row.contact_id)) wrong(tenant, of + "there is no such contact");
  int open = 0;
  for (auto& [id, c] : rows.conversations)
    open += c.contact_id == row.contact_id && c.marks.status != ConversationStatus::resolved;
  if (open > 1) wrong(tenant, of + "it is not the only open one");
}

void Ledger::judge(TenantId tenant, const Delivery& row) {
  auto of = "message " + std::to_string(row.message_seq) + ": ";
  auto there = courses_.find({tenant, row.message_seq});
  if (there == courses_.end()) {
    wrong(tenant, of + "an outbox row without a message");
    return;
  }
  auto& course = there->second;
  if (row.status != course.status)
    wrong(tenant, of + "is " + std::string(to_string(row.status)) + ", the journal says " +
                      std::string(to_string(course.status)));
  if (!course.provider_message_id.empty() &&
      course.provider_message_id != row.provider_message_id)
    wrong(tenant, of + "its provider's id has changed");
  course.provider_message_id = row.provider_message_id;
  if (!course.address.empty() && course.address != row.address)
    wrong(tenant, of + "its address has changed");
  course.address = row.address;
  bool accepted =
      row.status == sent || row.status == delivered || row.status == MessageStatus::read;
  if (accepted && row.provider_message_id.empty()) wrong(tenant, of + "accepted without an id");
  bool bad = row.status == failed || row.status == bounced || row.status == complained;
  if (bad && row.error_code.empty()) wrong(tenant, of + "failed without a reason");
}

void Ledger::committed(const std::vector<Database::Written>& written) {
  for (auto& w : written)
    for (auto& entry : w.set->entries)
      fold(w.set->tenant_id, entry, WriteSet::resolve(entry.subject_seq, w.first));
  for (auto& w : written) {
    auto& rows = database_.rows(w.set->tenant_id);
    for (auto& c : w.set->conversations) judge(w.set->tenant_id, rows.conversations.at(c.id));
    for (auto& d : w.set->deliveries)
      judge(w.set->tenant_id, rows.deliveries.at(WriteSet::resolve(d.message_seq, w.first)));
  }
}

void Ledger::check_all() {
  last_.clear();
  tallies_.clear();
  courses_.clear();
  for (auto& [tenant, rows] : database_.tenants) {
    std::map<std::string, int> keys;
    for (auto& entry : rows.journal) {
      fold(tenant, entry, entry.subject_seq);
      if (!entry.dedupe_key.empty() && ++keys[entry.dedupe_key] > 1)
        wrong(tenant, "the event " + entry.dedupe_key + " is stored twice");
      if (entry.kind == EventKind::message_created &&
          !rows.conversations.contains(entry.conversation_id))
        wrong(tenant, "event " + std::to_string(entry.seq) + ": no such conversation");
    }
    for (auto& [id, c] : rows.conversations) judge(tenant, c);
    for (auto& [seq, d] : rows.deliveries) judge(tenant, d);
    for (auto& [message, course] : courses_)
      if (message.first == tenant && !rows.deliveries.contains(message.second))
        wrong(tenant, "message " + std::to_string(message.second) + " has no outbox row");
    std::map<std::pair<Channel, std::string>, int> holders;
    for (auto& [id, contact] : rows.contacts)
      for (auto& identity : contact.identities)
        if (++holders[{identity.channel, identity.address}] > 1)
          wrong(tenant, "two contacts have the address " + identity.address);
  }
}

}  // namespace sara::simulation
