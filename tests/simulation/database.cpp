// The database in memory. Where it reads like storage/journal.cpp it should: the same order, the
// same rules.
#include <algorithm>

#include "base/text.hpp"
#include "database.hpp"

namespace sara::simulation {

using namespace domain;

namespace {

constexpr auto idempotency_kept = std::chrono::hours{24};

Error unavailable(const char* why) { return {Errc::unavailable, why, {}}; }

/// What Postgres cannot store as text.
bool refused(const std::string& text) { return text.find('\0') != text.npos; }

/// The conversation as it was right after `entry`, given a later state of it.
Conversation as_of(const Conversation& later, const JournalEntry& entry, Sequence first) {
  Conversation then = later;
  then.marks = entry.after;
  then.unread = entry.unread;
  then.seq = entry.seq;
  then.updated_at = entry.at;
  if (entry.kind == EventKind::message_created)
    then.last_message = {entry.seq, entry.at, static_cast<std::uint8_t>(entry.direction),
                         entry.channel, text::preview(entry.body)};
  else
    then.last_message.seq = WriteSet::resolve(then.last_message.seq, first);
  return then;
}

/// true if the value was there already: one statement may not touch a row twice.
template <class Key>
bool twice(std::set<Key>& seen, Key key) {
  return !seen.insert(std::move(key)).second;
}

}  // namespace

std::string_view to_string(Fault fault) {
  switch (fault) {
    case Fault::none: return "none";
    case Fault::lost: return "lost";
    case Fault::doubt_confirmed: return "in doubt, confirmed";
    case Fault::doubt_open: return "in doubt, open";
    case Fault::conflict: return "conflict";
    case Fault::full: return "disk full";
  }
  return "none";
}

/// What each set of the group will come to, if the transaction commits.
void Database::decide(std::span<WriteSet* const> sets, TimePoint now,
                      std::vector<Outcome>& outcomes) {
  std::map<TenantId, Sequence> next;
  std::set<std::pair<TenantId, std::string>> in_group;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    auto& set = *sets[i];
    auto& outcome = outcomes[i] = Outcome{};
    auto& there = tenants[set.tenant_id];
    if (!set.idempotency.key.empty() &&
        find_idempotency(set.tenant_id, set.idempotency.key, now) != nullptr) {
      outcome.error = {Errc::idempotency_running, "this key has just been used; ask again", {}};
      continue;
    }
    for (auto& entry : set.entries) {
      if (entry.dedupe_key.empty()) continue;
      if (there.keys.contains(entry.dedupe_key))
        outcome.duplicates.push_back(entry.dedupe_key);
      else if (in_group.contains({set.tenant_id, entry.dedupe_key}))
        outcome.again = true;
      else if (entry.kind == EventKind::webhook_unmatched &&
               there.provider_ids.contains({entry.provider, entry.subject}))
        outcome.matched.push_back(entry.dedupe_key);
    }
    if (outcome.again || !outcome.duplicates.empty() || !outcome.matched.empty()) continue;
    for (auto& entry : set.entries)
      if (!entry.dedupe_key.empty()) in_group.insert({set.tenant_id, entry.dedupe_key});
    auto [number, fresh] = next.try_emplace(set.tenant_id, there.last() + 1);
    outcome.first_seq = number->second;
    for (auto& entry : set.entries) entry.seq = number->second++;
    if (!set.idempotency.key.empty() && set.render_answer)
      set.idempotency.body = set.render_answer(outcome.first_seq);
  }
}

/// The constraints that these sets meet as one transaction, in the order of the statements.
Database::Failure Database::judge(std::span<WriteSet* const> sets,
                                  const std::vector<Outcome>& outcomes) const {
  std::set<std::pair<TenantId, std::string>> keys, idempotency_keys;
  std::set<std::pair<TenantId, ContactId>> contacts;
  std::set<std::pair<TenantId, ConversationId>> conversations;
  std::set<std::pair<TenantId, Sequence>> deliveries;
  std::set<std::tuple<TenantId, Channel, std::string>> addresses;
  std::set<std::tuple<TenantId, Provider, std::string>> provider_ids;
  bool conflict = false;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (outcomes[i].first_seq == 0) continue;
    auto& set = *sets[i];
    auto tenant = set.tenant_id;
    auto& there = tenants.at(tenant);
    for (auto& entry : set.entries) {
      if (refused(entry.body) || refused(entry.dedupe_key)) return Failure::data;
      if (!entry.dedupe_key.empty() && twice(keys, {tenant, entry.dedupe_key})) conflict = true;
    }
    if (set.contact_is_new || set.contact_changed) {
      if (twice(contacts, {tenant, set.contact->id})) return Failure::data;
      for (auto& identity : set.new_identities)
        if (there.addresses.contains({identity.channel, identity.address}) ||
            twice(addresses, {tenant, identity.channel, identity.address}))
          conflict = true;
    }
    for (auto& conversation : set.conversations) {
      // A new one is inserted, a known one must be as the set found it.
      auto known = there.conversations.find(conversation.id);
      auto seq = known == there.conversations.end() ? 0 : known->second.seq;
      if (twice(conversations, {tenant, conversation.id}) || seq != conversation.seq)
        conflict = true;
    }
    for (auto& delivery : set.deliveries) {
      auto seq = WriteSet::resolve(delivery.message_seq, outcomes[i].first_seq);
      if (twice(deliveries, {tenant, seq})) return Failure::data;
      if (delivery.provider_message_id.empty()) continue;
      auto known = there.provider_ids.find({delivery.provider, delivery.provider_message_id});
      if ((known != there.provider_ids.end() && known->second != seq) ||
          twice(provider_ids, {tenant, delivery.provider, delivery.provider_message_id}))
        conflict = true;
    }
    if (!set.idempotency.key.empty() && twice(idempotency_keys, {tenant, set.idempotency.key}))
      return Failure::data;
  }
  return conflict ? Failure::conflict : Failure::none;
}

void Database::apply(std::span<WriteSet* const> sets, const std::vector<Outcome>& outcomes,
                     TimePoint now, std::vector<JournalEvent>* events) {
  std::vector<Written> written;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    auto first = outcomes[i].first_seq;
    if (first == 0) continue;
    auto& set = *sets[i];
    auto& there = tenants[set.tenant_id];
    written.push_back({&set, first});
    for (auto& entry : set.entries) {
      there.journal.push_back(entry);
      there.journal.back().subject_seq = WriteSet::resolve(entry.subject_seq, first);
      if (!entry.dedupe_key.empty()) there.keys[entry.dedupe_key] = entry.seq;
      if (entry.kind == EventKind::webhook_failed) there.failures.insert(entry.seq);
    }
    if (set.contact_is_new || set.contact_changed) {
      auto& row = there.contacts[set.contact->id];
      auto identities = std::move(row.identities);
      row = *set.contact;
      row.identities = std::move(identities);
      for (auto& identity : set.new_identities) {
        row.identities.push_back(identity);
        there.addresses[{identity.channel, identity.address}] = row.id;
      }
      std::sort(row.identities.begin(), row.identities.end(), [](auto& a, auto& b) {
        return std::tie(a.channel, a.address) < std::tie(b.channel, b.address);
      });
    }
    for (auto conversation : set.conversations) {
      conversation.seq = set.entries.empty() ? first - 1 : set.entries.back().seq;
      conversation.last_message.seq = WriteSet::resolve(conversation.last_message.seq, first);
      there.conversations[conversation.id] = std::move(conversation);
    }
    for (auto delivery : set.deliveries) {
      delivery.message_seq = WriteSet::resolve(delivery.message_seq, first);
      auto [row, fresh] = there.deliveries.try_emplace(delivery.message_seq, delivery);
      if (!fresh) {
        auto& d = row->second;
        if (!d.provider_message_id.empty())
          there.provider_ids.erase({d.provider, d.provider_message_id});
        d.sent_at = delivery.sent_at;
        d.next_at = delivery.next_at;
        d.attempt = delivery.attempt;
        d.status = delivery.status;
        d.provider_message_id = delivery.provider_message_id;
        d.error_code = delivery.error_code;
        d.error_detail = delivery.error_detail;
        d.provider_code = delivery.provider_code;
      }
      auto& d = row->second;
      if (!d.provider_message_id.empty())
        there.provider_ids[{d.provider, d.provider_message_id}] = d.message_seq;
    }
  }
  // The statements that touch what others of the group have written come last.
  for (auto& w : written) {
    auto& there = tenants[w.set->tenant_id];
    for (auto seq : w.set->applied_unmatched) {
      auto& entry = there.journal.at(static_cast<std::size_t>(seq - 1));
      if (entry.kind == EventKind::webhook_unmatched) entry.kind = EventKind::webhook_kept;
    }
    for (auto& entry : w.set->entries) {
      if (entry.kind != EventKind::message_retracted) continue;
      auto seq = WriteSet::resolve(entry.subject_seq, w.first);
      auto& message = there.journal.at(static_cast<std::size_t>(seq - 1));
      message.body.clear();
      message.subject.clear();
      message.attachments.clear();
      message.raw.clear();
      auto shown = there.conversations.find(message.conversation_id);
      if (shown != there.conversations.end() && shown->second.last_message.seq == seq)
        shown->second.last_message.preview.clear();
    }
    auto& record = w.set->idempotency;
    if (record.key.empty()) continue;
    std::erase_if(there.answered, [&](auto& a) { return a.second.at < now - idempotency_kept; });
    there.answered[record.key] = {record, now};
  }
  if (events != nullptr)
    for (auto& w : written)
      for (auto& entry : w.set->entries) {
        JournalEvent event;
        event.tenant_id = w.set->tenant_id;
        event.entry = entry;
        event.entry.raw.clear();
        event.entry.subject_seq = WriteSet::resolve(entry.subject_seq, w.first);
        event.contact = entry.conversation_id ? w.set->contact : nullptr;
        for (auto& c : w.set->conversations)
          if (c.id == entry.conversation_id)
            event.conversation =
                std::make_shared<Conversation>(as_of(c, event.entry, w.first));
        attach(event);
        events->push_back(std::move(event));
      }
  if (committed && !written.empty()) committed(written);
}

/// To a status event the message it is about, to an outbound one its delivery.
void Database::attach(JournalEvent& event) const {
  auto& there = tenants.at(event.tenant_id);
  auto& e = event.entry;
  bool about = e.kind == EventKind::message_status || e.kind == EventKind::message_retracted;
  bool outbound = e.kind == EventKind::message_created && e.direction == Direction::outbound;
  if (!about && !outbound) return;
  auto seq = about ? e.subject_seq : e.seq;
  if (seq < 1 || seq > there.last()) return;
  Delivery delivery;
  if (auto row = there.deliveries.find(seq); row != there.deliveries.end()) delivery = row->second;
  if (about) event.message = std::make_shared<JournalEntry>(there.at(seq));
  if (!about || e.kind == EventKind::message_status) delivery.status = e.status;
  if (e.kind == EventKind::message_status) {
    delivery.error_code = e.error_code;
    delivery.error_detail = e.error_detail;
    delivery.provider_code = e.provider_code;
  }
  event.delivery = std::make_shared<Delivery>(std::move(delivery));
}

Result<std::vector<Outcome>> Database::commit(std::int64_t holder,
                                              std::span<WriteSet* const> sets, TimePoint now,
                                              std::vector<JournalEvent>* events, Fault fault) {
  std::vector<Outcome> outcomes(sets.size());
  if (!up) return fail(unavailable("the database cannot be reached"));
  if (holder != epoch)
    return fail(Errc::stale, "another server writes to this database now");
  decide(sets, now, outcomes);
  if (fault == Fault::lost || fault == Fault::full)
    return fail(unavailable("the database connection was lost"));
  auto failure = fault == Fault::conflict ? Failure::conflict : judge(sets, outcomes);
  if (failure == Failure::none) {
    apply(sets, outcomes, now, events);
    // Where nothing was written nothing can be looked up.
    bool wrote = std::any_of(outcomes.begin(), outcomes.end(),
                             [](const Outcome& o) { return o.first_seq != 0; });
    if (fault == Fault::doubt_open || (fault == Fault::doubt_confirmed && !wrote))
      return fail(unavailable("the database connection was lost"));
    return outcomes;
  }
  conflicts += failure == Failure::conflict && fault != Fault::conflict;
  if (sets.size() == 1) {
    outcomes[0] = Outcome{};
    outcomes[0].error = failure == Failure::data
                            ? Error{Errc::internal, "the database refused a value", {}}
                            : unavailable("a concurrent change won; try again");
    return outcomes;
  }
  for (std::size_t i = 0; i < sets.size(); ++i) {
    auto one = commit(holder, sets.subspan(i, 1), now, events);
    if (one) {
      outcomes[i] = one->front();
    } else {
      outcomes[i] = Outcome{};
      outcomes[i].error = one.error();
    }
  }
  return outcomes;
}

Result<ContactId> Database::create_contact(std::int64_t holder, TenantId tenant,
                                           const Contact& contact) {
  if (!up) return fail(unavailable("the database cannot be reached"));
  if (holder != epoch)
    return fail(Errc::stale, "another server writes to this database now");
  auto& there = tenants[tenant];
  for (auto& identity : contact.identities)
    if (auto id = holder_of(tenant, identity.channel, identity.address)) return id;
  there.contacts[contact.id] = contact;
  for (auto& identity : contact.identities)
    there.addresses[{identity.channel, identity.address}] = contact.id;
  return ContactId{};
}

std::shared_ptr<const Contact> Database::contact(TenantId tenant, ContactId id) const {
  auto there = tenants.find(tenant);
  if (there == tenants.end()) return nullptr;
  auto row = there->second.contacts.find(id);
  return row == there->second.contacts.end() ? nullptr : std::make_shared<Contact>(row->second);
}

std::shared_ptr<const Thread> Database::thread(
    TenantId tenant, const std::shared_ptr<const Contact>& who) const {
  if (!who) return nullptr;
  auto& there = tenants.at(tenant);
  auto thread = std::make_shared<Thread>();
  thread->contact = who;
  thread->contact_stored = true;
  for (auto& [id, c] : there.conversations) {
    if (c.contact_id != who->id) continue;
    if (thread->has_conversation && thread->conversation.opened_at >= c.opened_at) continue;
    thread->has_conversation = true;
    thread->conversation = c;
  }
  for (auto& [seq, d] : there.deliveries)
    if (d.contact_id == who->id && !settled(d.status)) thread->outstanding.push_back(d);
  return thread;
}

ContactId Database::holder_of(TenantId tenant, Channel channel,
                              const std::string& address) const {
  auto there = tenants.find(tenant);
  if (there == tenants.end()) return {};
  auto row = there->second.addresses.find({channel, address});
  return row == there->second.addresses.end() ? ContactId{} : row->second;
}

std::vector<Delivery> Database::find_deliveries(TenantId tenant, Provider provider,
                                                const std::vector<std::string>& ids,
                                                const std::vector<Sequence>& seqs) const {
  std::set<Sequence> wanted(seqs.begin(), seqs.end());
  auto& there = tenants.at(tenant);
  for (auto& id : ids)
    if (auto row = there.provider_ids.find({provider, id}); row != there.provider_ids.end())
      wanted.insert(row->second);
  std::vector<Delivery> found;
  for (auto seq : wanted)
    if (auto row = there.deliveries.find(seq); row != there.deliveries.end())
      found.push_back(row->second);
  return found;
}

std::vector<JournalEntry> Database::find_unmatched(TenantId tenant, Provider provider,
                                                   const std::string& id) const {
  std::string from = std::string(dedupe_prefix(provider)) + id + ":";
  std::vector<JournalEntry> found;
  auto& there = tenants.at(tenant);
  for (auto key = there.keys.lower_bound(from);
       key != there.keys.end() && key->first.starts_with(from); ++key)
    if (there.at(key->second).kind == EventKind::webhook_unmatched)
      found.push_back(there.at(key->second));
  return found;
}

std::vector<JournalEvent> Database::replay(TenantId tenant, Sequence after, int limit) const {
  auto& there = tenants.at(tenant);
  std::vector<JournalEvent> events;
  for (Sequence seq = after + 1; seq <= there.last() && limit > 0; ++seq, --limit) {
    JournalEvent event;
    event.tenant_id = tenant;
    event.entry = there.at(seq);
    event.entry.raw.clear();
    auto row = there.conversations.find(event.entry.conversation_id);
    if (row != there.conversations.end()) {
      event.contact = contact(tenant, row->second.contact_id);
      auto then = row->second;
      then.marks = event.entry.after;
      then.unread = event.entry.unread;
      event.conversation = std::make_shared<Conversation>(as_of(then, event.entry, 0));
    }
    attach(event);
    events.push_back(std::move(event));
  }
  return events;
}

const Database::Answered* Database::find_idempotency(TenantId tenant, const std::string& key,
                                                     TimePoint now) const {
  auto there = tenants.find(tenant);
  if (there == tenants.end()) return nullptr;
  auto row = there->second.answered.find(key);
  if (row == there->second.answered.end() || row->second.at <= now - idempotency_kept)
    return nullptr;
  return &row->second;
}

}  // namespace sara::simulation
