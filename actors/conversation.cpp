// The single writer of one contact's thread. Commands that arrive while a commit is under way wait
// and go together with the next; the thread changes when its commit answers, so a failed write
// leaves nothing to undo. After a failure the actor quits, and the next message loads it afresh.
#include "actors/conversation.hpp"

#include <list>
#include <map>
#include <optional>
#include <variant>

#include "actors/recent_keys.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"
#include "messages/error.hpp"
#include "messages/view.hpp"

namespace sara::actors {

using namespace messages;
using namespace domain;

namespace {

using Command = std::variant<ReceiveInbound, ApplyReport, RetractMessage, SendReply,
                             OpenConversation, SettleDelivery>;

/// A command that waits for its commit, and who wants to know.
struct Waiting {
  Command command;
  caf::response_promise promise;
  std::size_t entry = 0;  ///< the first of its entries in the set
  bool repeated = false;  ///< the same key stands earlier in the set
  int status = 200;       ///< of an API answer
};

constexpr std::size_t commands_per_set_max = 64;
constexpr auto unmatched_wait = std::chrono::hours{24};

const std::string& key_of(const Command& command) {
  static const std::string none;
  if (auto* m = std::get_if<ReceiveInbound>(&command)) return m->dedupe_key;
  if (auto* m = std::get_if<ApplyReport>(&command)) return m->report.dedupe_key;
  if (auto* m = std::get_if<RetractMessage>(&command)) return m->dedupe_key;
  return none;
}

const Idempotency* idempotency_of(const Command& command) {
  if (auto* m = std::get_if<SendReply>(&command)) return &m->idempotency;
  if (auto* m = std::get_if<OpenConversation>(&command)) return &m->idempotency;
  return nullptr;
}

/// Acknowledges a command whose event is committed already.
void answer_duplicate(Waiting& waiting) {
  if (std::holds_alternative<ReceiveInbound>(waiting.command))
    waiting.promise.deliver(InboundReceived{true});
  else
    waiting.promise.deliver(Applied{0});
}

using Self = conversation_actor::pointer;

struct Desk : std::enable_shared_from_this<Desk> {
  Desk(Self actor, Context* c, TenantId t, const Thread& thread, RestingPlacePtr place)
      : self(actor), context(c), tenant(t), committed(thread), rest(std::move(place)) {}

  Self self;
  Context* context;
  TenantId tenant;
  Thread committed;
  Thread working;
  RestingPlacePtr rest;
  std::list<Waiting> queue;  ///< a deque would hold half a kilobyte while it is empty
  std::vector<Waiting> in_flight;
  RecentKeys recent_keys;  ///< committed: a redelivery is answered at once
  std::uint64_t activity = 0;
  /// Look-ups under way and who waits for them; nobody for some.
  std::map<std::uint64_t, caf::response_promise> reading;
  std::uint64_t reads = 0;
  bool committing = false;
  bool one_by_one = false;  ///< a set was refused for one command: find the one to blame
  bool draining = false;
  bool ended = false;

  template <class Answer, class Message>
  caf::result<Answer> accept(Message& m) {
    ++activity;
    if (queue.size() >= context->settings.conversation_queue_max)
      return to_caf(Errc::overloaded, "this conversation has too much waiting");
    auto promise = self->make_response_promise<Answer>();
    queue.push_back({Command{std::move(m)}, promise, 0, false, 200});
    if (!committing) flush();
    return promise;
  }

  /// The message withdrawn is found by its redelivery key first.
  caf::result<Applied> look_up(RetractMessage& m) {
    auto promise = self->make_response_promise<Applied>();
    auto key = std::string(dedupe_prefix(m.retraction.provider)) + m.retraction.provider_message_id;
    ++activity;
    auto desk = shared_from_this();
    auto read = ++reads;
    reading.emplace(read, promise);
    self->request(context->reader(), std::chrono::seconds(10), FindEntry{tenant, std::move(key)})
        .then(
            [desk, promise, m, read](const Entries& entries) mutable {
              desk->reading.erase(read);
              if (entries->empty()) {
                promise.deliver(to_caf(Errc::not_found, "the message is not known"));
              } else {
                m.message_seq = entries->front().seq;
                desk->queue.push_back({Command{std::move(m)}, promise, 0, false, 200});
              }
              desk->flush();
            },
            [desk, promise, read](const caf::error& e) mutable {
              desk->reading.erase(read);
              promise.deliver(e);
              desk->maybe_quit();
            });
    return promise;
  }

  /// Decides on a copy of the thread what the waiting commands do, and sends it to be written.
  void flush() {
    while (!queue.empty() && !committing) {
      working = committed;
      auto set = std::make_shared<WriteSet>();
      set->tenant_id = tenant;
      auto now = context->clock->now();
      std::size_t max = one_by_one ? 1 : commands_per_set_max;
      while (!queue.empty() && in_flight.size() < max) {
        auto* wants = idempotency_of(queue.front().command);
        // A set carries one remembered answer.
        if (wants && !wants->key.empty() && !set->idempotency.key.empty()) break;
        Waiting waiting = std::move(queue.front());
        queue.pop_front();
        auto& key = key_of(waiting.command);
        if (!key.empty() && recent_keys.contains(key)) {
          answer_duplicate(waiting);
          continue;
        }
        waiting.repeated = !key.empty() && stands_in_flight(key);
        waiting.entry = set->entries.size();
        if (!waiting.repeated) {
          // What may be refused is undone then; an inbound message never is.
          std::optional<Thread> before;
          if (!std::holds_alternative<ReceiveInbound>(waiting.command)) before = working;
          auto decided = decide(waiting, now, *set);
          if (!decided) {
            if (before) working = std::move(*before);
            waiting.promise.deliver(to_caf(decided.error()));
            continue;
          }
        }
        in_flight.push_back(std::move(waiting));
      }
      if (in_flight.empty()) continue;
      if (set->entries.empty() && set->conversations.empty() && set->deliveries.empty() &&
          set->idempotency.key.empty()) {
        // Nothing to write: the commands found things as they wanted them.
        answer(*set, 0);
        continue;
      }
      commit(std::move(set));
    }
    maybe_quit();
  }

  Result<void> decide(Waiting& waiting, TimePoint now, WriteSet& set) {
    auto& policy = context->settings.thread;
    if (auto* m = std::get_if<ReceiveInbound>(&waiting.command)) {
      working.receive(m->inbound, m->integration_id, m->dedupe_key, m->raw, now, policy, set);
      return {};
    }
    if (auto* m = std::get_if<ApplyReport>(&waiting.command)) {
      const Delivery* found = m->found.message_seq != 0 ? &m->found : nullptr;
      bool fresh = m->unmatched_seq == 0;
      working.report(m->report.receipt, found, m->integration_id,
                     fresh ? m->report.dedupe_key : std::string{},
                     fresh ? m->report.raw : std::string{}, now, set);
      if (!fresh) set.applied_unmatched.push_back(m->unmatched_seq);
      return {};
    }
    if (auto* m = std::get_if<SettleDelivery>(&waiting.command)) {
      waiting.status = working.settle(m->outcome, now, set);
      fault::point("conversation.settling");
      return {};
    }
    if (auto* m = std::get_if<SendReply>(&waiting.command)) return reply(waiting, *m, now, set);
    if (auto* m = std::get_if<OpenConversation>(&waiting.command))
      return open(waiting, *m, now, set);
    auto& m = std::get<RetractMessage>(waiting.command);
    return retract(m, now, set);
  }

  Result<void> reply(Waiting& waiting, const SendReply& m, TimePoint now, WriteSet& set) {
    if (!working.has_conversation || working.conversation.id != m.conversation_id)
      return fail(Errc::conflict, "this conversation has ended; the contact has a newer one");
    auto snapshot = context->tenants->find(tenant);
    if (!snapshot) return fail(Errc::unavailable, "the tenant is not loaded");
    auto queued = working.reply(m.reply, *snapshot, now, set);
    if (!queued) return queued;
    waiting.status = 202;
    remember(m.idempotency, set, waiting);
    return {};
  }

  Result<void> open(Waiting& waiting, const OpenConversation& m, TimePoint now, WriteSet& set) {
    bool made = working.open(now, context->settings.thread, set);
    if (m.with_message) {
      auto snapshot = context->tenants->find(tenant);
      if (!snapshot) return fail(Errc::unavailable, "the tenant is not loaded");
      // On refusal nothing of this command may stay behind.
      WriteSet trial = set;
      if (auto queued = working.reply(m.message, *snapshot, now, trial); !queued) {
        if (made) {
          set.entries.pop_back();
          set.conversations.pop_back();
        }
        return queued;
      }
      set = std::move(trial);
    }
    waiting.status = made ? 201 : 200;
    remember(m.idempotency, set, waiting);
    return {};
  }

  Result<void> retract(const RetractMessage& m, TimePoint now, WriteSet& set) {
    working.retract(m.message_seq, m.integration_id, m.dedupe_key, m.raw, now, set);
    return {};
  }

  /// The answer is stored with its effect, so that a repeated request gets the same.
  void remember(const Idempotency& idempotency, WriteSet& set, const Waiting& waiting) {
    if (idempotency.key.empty()) return;
    set.idempotency = {idempotency.key, idempotency.request_hash, waiting.status, {}};
    // Runs on the writer's thread, while this actor waits for it: it may use only values.
    set.render_answer = [desk = shared_from_this(), raw = &set, waiting_entry = waiting.entry,
                         is_open = std::holds_alternative<OpenConversation>(waiting.command)](
                            Sequence first) {
      return is_open ? desk->render_conversation(*raw, first)
                     : desk->render_message(*raw, waiting_entry, first);
    };
  }

  std::string render_message(const WriteSet& set, std::size_t index, Sequence first) const {
    JournalEntry entry = set.entries[index];
    entry.seq = first + static_cast<Sequence>(index);
    Delivery delivery;
    for (auto& d : set.deliveries)
      if (WriteSet::resolve(d.message_seq, first) == entry.seq) delivery = d;
    delivery.message_seq = entry.seq;
    delivery.status = entry.status;
    std::string out;
    json::Writer w(out);
    write_message(w, tenant, entry, &delivery);
    return out;
  }

  std::string render_conversation(const WriteSet& set, Sequence first) const {
    Conversation conversation = working.conversation;
    conversation.last_message.seq = WriteSet::resolve(conversation.last_message.seq, first);
    if (first != 0 && !set.conversations.empty() && !set.entries.empty())
      conversation.seq = first + static_cast<Sequence>(set.entries.size()) - 1;
    std::string out;
    json::Writer w(out);
    write_conversation(w, tenant, conversation, *working.contact, true);
    return out;
  }

  void commit(WriteSetPtr set) {
    committing = true;
    auto desk = shared_from_this();
    self->request(context->writer_of(tenant), caf::infinite, set)
        .then([desk, set](const Committed& c) { desk->committed_now(*set, c); },
              [desk, set](const caf::error& e) { desk->refused(*set, from_caf(e)); });
  }

  void committed_now(const WriteSet& set, const Committed& c) {
    committing = false;
    if (!c.duplicates.empty()) {
      // The set was not written. What the database knows is acknowledged, the rest decided again.
      for (auto& key : c.duplicates) recent_keys.add(key);
      std::list<Waiting> again;
      for (auto& waiting : in_flight)
        if (recent_keys.contains(key_of(waiting.command)))
          answer_duplicate(waiting);
        else
          again.push_back(std::move(waiting));
      in_flight.clear();
      while (!again.empty()) {
        queue.push_front(std::move(again.back()));
        again.pop_back();
      }
      flush();
      return;
    }
    one_by_one = false;
    working.numbered(set, c.first_seq);
    answer(set, c.first_seq);
    flush();
  }

  /// Everything of the set is committed: the thread is what it was decided to be; tell all who ask.
  void answer(const WriteSet& set, Sequence first) {
    for (auto& waiting : in_flight) {
      recent_keys.add(key_of(waiting.command));
      if (waiting.repeated) {
        answer_duplicate(waiting);
        continue;
      }
      switch (waiting.command.index()) {
        case 0: waiting.promise.deliver(InboundReceived{false}); break;
        case 3:
          waiting.promise.deliver(Answered{waiting.status,
                                           render_message(set, waiting.entry, first)});
          break;
        case 4:
          waiting.promise.deliver(Answered{waiting.status, render_conversation(set, first)});
          break;
        case 5:
          waiting.promise.deliver(Applied{static_cast<std::uint32_t>(waiting.status)});
          break;
        default: waiting.promise.deliver(Applied{1}); break;
      }
    }
    in_flight.clear();
    committed = std::move(working);
    fault::point("conversation.answered");
    tell_delivery(set, first);
    for (auto delivery : set.deliveries) {
      delivery.message_seq = WriteSet::resolve(delivery.message_seq, first);
      if (!delivery.provider_message_id.empty()) apply_unmatched(delivery);
    }
  }

  /// Store, then tell: the outbox row is committed, so the worker may have it.
  void tell_delivery(const WriteSet& set, Sequence first) {
    if (set.deliveries.empty()) return;
    auto due = std::make_shared<std::vector<DueItem>>();
    for (auto& delivery : set.deliveries) {
      if (delivery.status != MessageStatus::queued || delivery.message_seq > 0) continue;
      auto& entry = set.entries[static_cast<std::size_t>(-1 - delivery.message_seq)];
      DueItem item{tenant, delivery, entry.subject, entry.body};
      item.delivery.message_seq = WriteSet::resolve(delivery.message_seq, first);
      due->push_back(std::move(item));
    }
    if (!due->empty() && context->delivery)
      self->send(context->delivery, DueItems{std::move(due)});
  }

  /// Statuses that came before their message was known wait in the journal: apply them now.
  void apply_unmatched(const Delivery& delivery) {
    auto desk = shared_from_this();
    auto read = ++reads;
    reading.emplace(read, caf::response_promise{});
    self->request(context->reader(), std::chrono::seconds(10),
                  FindUnmatched{tenant, delivery.provider, delivery.provider_message_id})
        .then(
            [desk, read, delivery](const Entries& entries) {
              desk->reading.erase(read);
              auto& id = delivery.provider_message_id;
              for (auto& entry : *entries) {
                // What is settled by now can still be complained of.
                auto* mine = desk->outstanding_with(entry.provider, id);
                ApplyReport report;
                report.tenant_id = desk->tenant;
                report.contact_id = desk->committed.contact->id;
                report.integration_id = entry.integration_id;
                report.found = mine != nullptr ? *mine : delivery;
                report.unmatched_seq = entry.seq;
                auto& receipt = report.report.receipt;
                receipt.channel = entry.channel;
                receipt.provider = entry.provider;
                receipt.provider_message_id = id;
                receipt.status = entry.status;
                receipt.at = entry.at;
                receipt.event = entry.body;
                receipt.error_code = entry.provider_code;
                receipt.error_detail = entry.error_detail;
                desk->queue.push_back({Command{std::move(report)}, {}, 0, false, 200});
              }
              desk->flush();
            },
            [desk, read](const caf::error&) {
              // They stay in the journal; the message's next report looks for them again.
              desk->reading.erase(read);
              log::warn("conversation.unmatched_not_read");
              desk->maybe_quit();
            });
  }

  /// A crash may have come between a message's record and its waiting statuses.
  void look_for_unmatched() {
    auto since = context->clock->now() - unmatched_wait;
    for (auto& delivery : committed.outstanding)
      if (!delivery.provider_message_id.empty() && delivery.sent_at > since)
        apply_unmatched(delivery);
  }

  const Delivery* outstanding_with(Provider provider, const std::string& id) const {
    for (auto& d : committed.outstanding)
      if (d.provider == provider && d.provider_message_id == id) return &d;
    return nullptr;
  }

  void refused(const WriteSet&, const Error& error) {
    committing = false;
    bool own_fault = error.code == Errc::idempotency_running || error.code == Errc::internal;
    if (own_fault && in_flight.size() > 1) {
      while (!in_flight.empty()) {
        queue.push_front(std::move(in_flight.back()));
        in_flight.pop_back();
      }
      one_by_one = true;
      flush();
      return;
    }
    if (own_fault) {
      // The thread is as it was.
      for (auto& waiting : in_flight) waiting.promise.deliver(to_caf(error));
      in_flight.clear();
      flush();
      return;
    }
    // What is in memory may no longer be what is stored: answer all, and load afresh next time.
    end(error);
  }

  void end(const Error& error) {
    ended = true;
    for (auto& waiting : in_flight) waiting.promise.deliver(to_caf(error));
    for (auto& waiting : queue) waiting.promise.deliver(to_caf(error));
    for (auto& [read, promise] : reading) promise.deliver(to_caf(error));
    reading.clear();
    in_flight.clear();
    queue.clear();
    self->quit(caf::exit_reason::user_shutdown);
  }

  void maybe_quit() {
    if (!draining || ended || committing || !queue.empty() || !reading.empty()) return;
    ended = true;
    fault::point("conversation.unload");
    // All that it knows is committed: the next incarnation may start from it.
    if (rest) rest->thread = std::make_shared<const Thread>(std::move(committed));
    self->quit(caf::exit_reason::normal);
  }

  void arm_idle_timer() {
    auto& settings = context->settings;
    self->delayed_send(self, std::min(settings.conversation_rest, settings.conversation_idle),
                       caf::tick_atom_v, activity);
  }

  void tick(std::uint64_t seen) {
    if (ended || draining) return;
    if (seen != activity || committing || !reading.empty() || !queue.empty()) {
      arm_idle_timer();
      return;
    }
    self->send(context->directory, WantUnload{tenant, committed.contact->id});
    // If the directory has just sent something here, the timer goes on.
    arm_idle_timer();
  }

  bool stands_in_flight(const std::string& key) const {
    return std::any_of(in_flight.begin(), in_flight.end(),
                       [&](const Waiting& w) { return key_of(w.command) == key; });
  }
};

}  // namespace

conversation_actor::behavior_type conversation(conversation_actor::pointer self, Context* context,
                                               TenantId tenant,
                                               std::shared_ptr<const Thread> thread,
                                               RestingPlacePtr rest) {
  auto desk = std::make_shared<Desk>(self, context, tenant, *thread, rest);
  desk->arm_idle_timer();
  // Who only rested has done that.
  if (!rest || !rest->woken) desk->look_for_unmatched();
  return {
      [desk](ReceiveInbound& m) { return desk->accept<InboundReceived>(m); },
      [desk](ApplyReport& m) { return desk->accept<Applied>(m); },
      [desk](RetractMessage& m) { return desk->look_up(m); },
      [desk](SendReply& m) { return desk->accept<Answered>(m); },
      [desk](OpenConversation& m) { return desk->accept<Answered>(m); },
      [desk](SettleDelivery& m) { return desk->accept<Applied>(m); },
      [desk](const Drain&) {
        desk->draining = true;
        desk->maybe_quit();
      },
      [desk](caf::tick_atom, std::uint64_t seen) { desk->tick(seen); },
  };
}

}  // namespace sara::actors
