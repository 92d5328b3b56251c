// A database in memory, as far as actors can tell it from the real one: it dedupes by key, numbers
// without gaps, refuses what storage/journal.cpp refuses. Tests make it fail, wait and answer late.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "messages/error.hpp"
#include "messages/persistence.hpp"
#include "messages/query.hpp"

namespace sara::actors {

struct Memory {
  struct Rows {
    std::vector<domain::JournalEntry> journal;
    std::map<std::string, Sequence> keys;
    std::map<ContactId, domain::Contact> contacts;
    std::map<std::pair<domain::Channel, std::string>, ContactId> addresses;
    std::map<ConversationId, domain::Conversation> conversations;
    std::map<Sequence, domain::Delivery> deliveries;
    std::map<std::string, domain::IdempotencyRecord> answered;

    const domain::Delivery* delivery_with(domain::Provider provider, const std::string& id) const {
      for (auto& [seq, d] : deliveries)
        if (d.provider == provider && d.provider_message_id == id) return &d;
      return nullptr;
    }
  };
  std::map<TenantId, Rows> tenants;

  // What the tests turn.
  bool holding = false;     ///< writes wait until release()
  int failures_to_come = 0; ///< so many groups are not written, "unavailable"
  bool lose_answers = false;  ///< ... although they were written: a commit in doubt
  std::string poison;       ///< a set with this body is refused for its data, alone
  bool late_reads = false;  ///< reads are done at once, but answered when a test pings the reader
  bool slow_reads = false;  ///< ... when the reader comes round to it
  bool reads_fail = false;

  // What the tests look at.
  std::vector<std::size_t> set_sizes;  ///< entries of each set written
  int groups = 0;
  std::uint64_t reloads = 0;  ///< threads read that were there

  struct Held {
    domain::WriteSetPtr set;
    caf::typed_response_promise<messages::Committed> promise;
  };
  std::vector<Held> batch;

  /// One group, set by set.
  void commit() {
    auto group = std::move(batch);
    batch.clear();
    if (group.empty()) return;
    ++groups;
    if (failures_to_come > 0) {
      --failures_to_come;
      for (auto& held : group) {
        if (lose_answers) (void)write(*held.set);
        held.promise.deliver(messages::to_caf(Errc::unavailable, "no database"));
      }
      return;
    }
    for (auto& held : group) {
      auto done = write(*held.set);
      if (done)
        held.promise.deliver(std::move(*done));
      else
        held.promise.deliver(messages::to_caf(done.error()));
    }
  }
  Result<messages::Committed> write(domain::WriteSet& set) {
    auto& rows = tenants[set.tenant_id];
    messages::Committed answer;
    if (rows.answered.contains(set.idempotency.key))
      return fail(Errc::idempotency_running, "this key has just been used; ask again");
    for (auto& e : set.entries) {
      if (!poison.empty() && e.body == poison)
        return fail(Errc::internal, "the database refused a value");
      if (rows.keys.contains(e.dedupe_key))
        answer.duplicates.push_back(e.dedupe_key);
      else if (e.kind == domain::EventKind::webhook_unmatched &&
               rows.delivery_with(e.provider, e.subject) != nullptr)
        answer.matched.push_back(e.dedupe_key);
    }
    if (set.contact_is_new)
      for (auto& i : set.new_identities)
        if (rows.addresses.contains({i.channel, i.address}))
          return fail(Errc::unavailable, "a concurrent change won; try again");
    if (!answer.duplicates.empty() || !answer.matched.empty()) return answer;

    auto first = static_cast<Sequence>(rows.journal.size()) + 1;
    auto resolve = [&](Sequence s) { return domain::WriteSet::resolve(s, first); };
    answer.first_seq = first;
    for (auto& e : set.entries) {
      e.seq = static_cast<Sequence>(rows.journal.size()) + 1;
      rows.journal.push_back(e);
      rows.journal.back().subject_seq = resolve(e.subject_seq);
      if (!e.dedupe_key.empty()) rows.keys[e.dedupe_key] = e.seq;
    }
    if (set.contact_is_new || set.contact_changed) {
      auto& contact = rows.contacts[set.contact->id];
      contact = *set.contact;
      for (auto& i : set.new_identities) rows.addresses[{i.channel, i.address}] = contact.id;
    }
    for (auto conversation : set.conversations) {
      conversation.seq = static_cast<Sequence>(rows.journal.size());
      conversation.last_message.seq = resolve(conversation.last_message.seq);
      rows.conversations[conversation.id] = conversation;
    }
    for (auto delivery : set.deliveries) {
      delivery.message_seq = resolve(delivery.message_seq);
      rows.deliveries[delivery.message_seq] = delivery;
    }
    for (auto seq : set.applied_unmatched)
      rows.journal[static_cast<std::size_t>(seq - 1)].kind = domain::EventKind::webhook_kept;
    if (!set.idempotency.key.empty()) {
      auto record = set.idempotency;
      if (set.render_answer) record.body = set.render_answer(first);
      rows.answered[record.key] = record;
    }
    set_sizes.push_back(set.entries.size());
    return answer;
  }

  messages::ThreadPtr thread(TenantId tenant, ContactId id) {
    auto& rows = tenants[tenant];
    if (!rows.contacts.contains(id)) return nullptr;
    auto thread = std::make_shared<domain::Thread>();
    thread->contact = std::make_shared<domain::Contact>(rows.contacts[id]);
    thread->contact_stored = true;
    ++reloads;
    for (auto& [conversation_id, c] : rows.conversations) {
      if (c.contact_id != id) continue;
      if (thread->has_conversation && thread->conversation.opened_at > c.opened_at) continue;
      thread->has_conversation = true;
      thread->conversation = c;
    }
    for (auto& [seq, d] : rows.deliveries)
      if (d.contact_id == id && !domain::settled(d.status)) thread->outstanding.push_back(d);
    return thread;
  }

  messages::Threads threads(const messages::FindThreads& q) {
    auto found = std::make_shared<std::vector<messages::ThreadPtr>>();
    for (auto& key : q.keys) {
      auto& rows = tenants[key.tenant_id];
      auto there = rows.addresses.find({key.channel, key.address});
      found->push_back(there == rows.addresses.end() ? nullptr
                                                     : thread(key.tenant_id, there->second));
    }
    return found;
  }

  messages::ThreadPtr thread(const messages::GetThread& q) {
    auto contact = q.contact_id;
    if (!contact) {
      auto& rows = tenants[q.tenant_id];
      auto there = rows.conversations.find(q.conversation_id);
      if (there == rows.conversations.end()) return nullptr;
      contact = there->second.contact_id;
    }
    return thread(q.tenant_id, contact);
  }

  messages::Deliveries deliveries(const messages::FindDeliveries& q) {
    auto found = std::make_shared<std::vector<domain::Delivery>>();
    auto& rows = tenants[q.tenant_id];
    for (auto& id : q.provider_message_ids)
      if (auto* d = rows.delivery_with(q.provider, id)) found->push_back(*d);
    for (auto seq : q.message_seqs)
      if (rows.deliveries.contains(seq)) found->push_back(rows.deliveries[seq]);
    return found;
  }

  messages::Entries unmatched(const messages::FindUnmatched& q) {
    auto found = std::make_shared<std::vector<domain::JournalEntry>>();
    for (auto& e : tenants[q.tenant_id].journal)
      if (e.kind == domain::EventKind::webhook_unmatched && e.provider == q.provider &&
          e.subject == q.provider_message_id)
        found->push_back(e);
    return found;
  }

  messages::Entries entry(const messages::FindEntry& q) {
    auto found = std::make_shared<std::vector<domain::JournalEntry>>();
    auto& rows = tenants[q.tenant_id];
    if (auto there = rows.keys.find(q.dedupe_key); there != rows.keys.end())
      found->push_back(rows.journal[static_cast<std::size_t>(there->second - 1)]);
    return found;
  }
};

/// PERSISTENCE over a Memory. It gathers as the real one does: a flush stands behind what waits.
inline messages::persistence_actor::behavior_type fake_persistence(
    messages::persistence_actor::pointer self, Memory* memory) {
  return {
      [self, memory](domain::WriteSetPtr& set) -> caf::result<messages::Committed> {
        auto promise = self->make_response_promise<messages::Committed>();
        if (memory->batch.empty() && !memory->holding) self->send(self, caf::flush_atom_v);
        memory->batch.push_back({std::move(set), promise});
        return promise;
      },
      [](const messages::RegistryChangePtr&) -> caf::result<messages::RegistryChanged> {
        return messages::to_caf(Errc::internal, "not here");
      },
      [](const messages::WatchCommits& m) { return messages::Watching{m.on}; },
      [memory](caf::flush_atom) {
        if (!memory->holding) memory->commit();
      },
      [](caf::tick_atom) {},
  };
}

/// QUERY over a Memory: the five reads that actors do.
inline messages::query_actor::behavior_type fake_query(messages::query_actor::pointer self,
                                                       Memory* memory) {
  using namespace messages;
  auto late = std::make_shared<std::deque<std::function<void()>>>();
  auto answer = [self, memory, late](auto value) -> caf::result<decltype(value)> {
    if (memory->reads_fail) return to_caf(Errc::unavailable, "no database");
    if (!memory->late_reads && !memory->slow_reads) return value;
    auto promise = self->make_response_promise<decltype(value)>();
    late->push_back([promise, value]() mutable { promise.deliver(std::move(value)); });
    if (memory->slow_reads) caf::anon_send(self, Ping{});
    return promise;
  };
  auto none = [](const auto& type) -> caf::result<std::decay_t<decltype(type)>> {
    return to_caf(Errc::internal, "not here");
  };
  return {
      [=](const FindThreads& q) { return answer(memory->threads(q)); },
      [=](const GetThread& q) { return answer(memory->thread(q)); },
      [=](const FindDeliveries& q) { return answer(memory->deliveries(q)); },
      [=](const FindUnmatched& q) { return answer(memory->unmatched(q)); },
      [=](const FindEntry& q) { return answer(memory->entry(q)); },
      [=](const ListInbox&) { return none(InboxPagePtr{}); },
      [=](const GetConversation&) { return none(InboxPagePtr{}); },
      [=](const ListMessages&) { return none(MessagePagePtr{}); },
      [=](const GetMessage&) { return none(MessagePagePtr{}); },
      [=](const ReplayJournal&) { return none(ReplayPtr{}); },
      [=](const ListFailures&) { return none(Entries{}); },
      [=](const FindIdempotency&) { return none(IdempotencyPtr{}); },
      [=](const FindApiKey&) { return none(ApiKeyPtr{}); },
      [=](const GetTenant&) { return none(TenantPtr{}); },
      [=](const ListContacts&) { return none(ContactPagePtr{}); },
      [=](const GetContact&) { return none(ContactPagePtr{}); },
      [=](const ListDue&) { return none(DuePagePtr{}); },
      [=](const Ping&) {
        // One late answer, in order.
        if (late->empty()) return Pong{false};
        auto deliver = std::move(late->front());
        late->pop_front();
        deliver();
        return Pong{true};
      },
  };
}

}  // namespace sara::actors
