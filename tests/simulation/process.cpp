// Writers and readers over the database in memory, and what holds a process together.
#include "process.hpp"

#include "actors/delivery.hpp"
#include "actors/inbox.hpp"
#include "runtime/directory.hpp"

namespace sara::simulation {

using namespace messages;
using namespace domain;

namespace {

/// What actors/persistence.cpp does around the group writer: gather, commit, tell, answer.
struct Writer {
  Database* database;
  Fate* fate;
  const Clock* clock;
  std::int64_t epoch;
  std::size_t group_max;
  inbox_actor inbox;
  bool* process_fenced;
  std::shared_ptr<bool> alive;

  std::vector<WriteSetPtr> batch;
  std::vector<caf::typed_response_promise<Committed>> waiting;
  std::vector<JournalEvent> doubtful;  ///< written, and nobody knows
  bool flush_queued = false;
  bool watched = false;
  bool fenced = false;

  static caf::error not_ours() {
    return to_caf(Errc::unavailable, "another server has taken this database over");
  }

  void commit(persistence_actor::pointer self) {
    auto sets = std::move(batch);
    auto promises = std::move(waiting);
    batch.clear();
    waiting.clear();
    if (sets.empty()) return;
    if (fenced || !*alive) {
      for (auto& promise : promises) promise.deliver(not_ours());
      return;
    }
    std::vector<WriteSet*> pointers;
    for (auto& set : sets) pointers.push_back(set.get());
    std::vector<JournalEvent> events, made;
    if (database->up) events = std::exchange(doubtful, {});
    auto outcomes = database->commit(epoch, pointers, clock->now(), watched ? &made : nullptr,
                                     fate->commit());
    auto& known = outcomes ? events : doubtful;
    known.insert(known.end(), made.begin(), made.end());
    if (!events.empty()) {
      auto shared = std::make_shared<std::vector<std::shared_ptr<const JournalEvent>>>();
      for (auto& event : events)
        shared->push_back(std::make_shared<JournalEvent>(std::move(event)));
      self->send(inbox, CommittedEvents{std::move(shared)});
    }
    if (!outcomes) {
      if (outcomes.error().code == Errc::stale) {
        fenced = *process_fenced = true;
        for (auto& promise : promises) promise.deliver(not_ours());
        return;
      }
      for (auto& promise : promises) promise.deliver(to_caf(outcomes.error()));
      return;
    }
    for (std::size_t i = 0; i < sets.size(); ++i) {
      auto& outcome = (*outcomes)[i];
      if (outcome.again) {
        batch.push_back(std::move(sets[i]));
        waiting.push_back(std::move(promises[i]));
      } else if (outcome.error.code != Errc::ok) {
        promises[i].deliver(to_caf(outcome.error));
      } else {
        promises[i].deliver(Committed{outcome.first_seq, std::move(outcome.duplicates),
                                      std::move(outcome.matched)});
      }
    }
    if (!batch.empty()) queue_flush(self);
  }

  void queue_flush(persistence_actor::pointer self) {
    if (flush_queued) return;
    flush_queued = true;
    self->send(self, caf::flush_atom_v);
  }
};

persistence_actor::behavior_type persistence(persistence_actor::pointer self,
                                             std::shared_ptr<Writer> writer) {
  return {
      [self, writer](WriteSetPtr& set) -> caf::result<Committed> {
        auto promise = self->make_response_promise<Committed>();
        writer->batch.push_back(std::move(set));
        writer->waiting.push_back(promise);
        if (writer->batch.size() >= writer->group_max)
          writer->commit(self);
        else
          writer->queue_flush(self);
        return promise;
      },
      [writer](const RegistryChangePtr& c) -> caf::result<RegistryChanged> {
        if (writer->fenced || !*writer->alive) return Writer::not_ours();
        auto fault = writer->fate->commit();
        if (fault == Fault::lost || fault == Fault::full)
          return to_caf(Errc::unavailable, "the database connection was lost");
        auto done = writer->database->create_contact(writer->epoch, c->tenant_id, c->contact);
        if (!done && done.error().code == Errc::stale) {
          writer->fenced = *writer->process_fenced = true;
          return Writer::not_ours();
        }
        if (!done) return to_caf(done.error());
        if (fault == Fault::doubt_open)
          return to_caf(Errc::unavailable, "the database connection was lost");
        return RegistryChanged{!*done, *done};
      },
      [self, writer](const WatchCommits& m) {
        writer->commit(self);
        writer->watched = m.on;
        return Watching{m.on};
      },
      [self, writer](caf::flush_atom) {
        writer->flush_queued = false;
        writer->commit(self);
      },
      [](caf::tick_atom) {},
  };
}

/// Reads that may fail, be of an earlier moment than their answer, and be answered late, in order.
struct Reader {
  query_actor::pointer self;
  Database* database;
  Fate* fate;
  const Clock* clock;
  std::shared_ptr<bool> alive;
  std::deque<std::function<void()>> late;

  template <class Answer, class Work>
  caf::result<Answer> answer(Work work) {
    if (!*alive || !database->up || fate->read_fails())
      return to_caf(Errc::unavailable, "the database cannot be reached");
    if (late.empty() && !fate->read_is_late()) return Answer{work()};
    auto promise = self->make_response_promise<Answer>();
    if (fate->coin())
      late.push_back([promise, value = Answer{work()}]() mutable { promise.deliver(value); });
    else
      late.push_back([promise, work]() mutable { promise.deliver(Answer{work()}); });
    caf::anon_send(self, Ping{});
    return promise;
  }
  void answer_late() {
    if (late.empty()) return;
    auto next = std::move(late.front());
    late.pop_front();
    next();
  }
};

std::vector<DueItem> due_items(const Database& database, bool reported) {
  std::vector<DueItem> items;
  for (auto& [tenant, rows] : database.tenants)
    for (auto& [seq, d] : rows.deliveries) {
      bool due = d.status == MessageStatus::queued || d.status == MessageStatus::sending;
      bool watched = d.provider == Provider::sandbox && d.attempt > 0 && !settled(d.status);
      if (!due && !(reported && watched)) continue;
      if (d.error_code == "sender_not_available") continue;
      items.push_back({tenant, d, rows.at(seq).subject, rows.at(seq).body});
    }
  return items;
}

query_actor::behavior_type query(query_actor::pointer self, std::shared_ptr<Reader> r) {
  r->self = self;
  auto none = [](const auto& type) -> caf::result<std::decay_t<decltype(type)>> {
    return to_caf(Errc::internal, "nobody asks this here");
  };
  return {
      [r](const FindThreads& q) {
        std::vector<std::pair<TenantId, std::shared_ptr<const Contact>>> who;
        for (auto& key : q.keys) {
          auto id = r->database->holder_of(key.tenant_id, key.channel, key.address);
          who.emplace_back(key.tenant_id, r->database->contact(key.tenant_id, id));
        }
        return r->answer<Threads>([db = r->database, who] {
          auto threads = std::make_shared<std::vector<ThreadPtr>>();
          for (auto& [tenant, contact] : who) threads->push_back(db->thread(tenant, contact));
          return threads;
        });
      },
      [r](const GetThread& q) {
        auto id = q.contact_id;
        if (!id) {
          auto& rows = r->database->tenants[q.tenant_id].conversations;
          if (auto row = rows.find(q.conversation_id); row != rows.end())
            id = row->second.contact_id;
        }
        auto contact = r->database->contact(q.tenant_id, id);
        return r->answer<ThreadPtr>([db = r->database, tenant = q.tenant_id, contact] {
          return db->thread(tenant, contact);
        });
      },
      [r](const FindDeliveries& q) {
        return r->answer<Deliveries>([db = r->database, q] {
          return std::make_shared<std::vector<Delivery>>(db->find_deliveries(
              q.tenant_id, q.provider, q.provider_message_ids, q.message_seqs));
        });
      },
      [r](const FindUnmatched& q) {
        return r->answer<Entries>([db = r->database, q] {
          return std::make_shared<std::vector<JournalEntry>>(
              db->find_unmatched(q.tenant_id, q.provider, q.provider_message_id));
        });
      },
      [r](const FindEntry& q) {
        return r->answer<Entries>([db = r->database, q] {
          auto found = std::make_shared<std::vector<JournalEntry>>();
          if (auto* entry = db->rows(q.tenant_id).with_key(q.dedupe_key)) found->push_back(*entry);
          return found;
        });
      },
      [none](const ListInbox&) { return none(InboxPagePtr{}); },
      [none](const GetConversation&) { return none(InboxPagePtr{}); },
      [r](const ListMessages& q) {
        return r->answer<MessagePagePtr>([db = r->database, q] {
          auto page = std::make_shared<MessagePage>();
          auto& rows = db->rows(q.tenant_id);
          page->found = rows.conversations.contains(q.conversation_id);
          for (auto& entry : rows.journal)
            if (entry.kind == EventKind::message_created && entry.seq > q.after &&
                entry.conversation_id == q.conversation_id)
              page->rows.push_back({entry, {}});
          return page;
        });
      },
      [none](const GetMessage&) { return none(MessagePagePtr{}); },
      [r](const ReplayJournal& q) {
        return r->answer<ReplayPtr>([db = r->database, q] {
          auto page = std::make_shared<Replay>();
          page->last_seq = db->rows(q.tenant_id).last();
          for (auto& event : db->replay(q.tenant_id, q.after, q.limit))
            page->events.push_back(std::make_shared<JournalEvent>(event));
          return page;
        });
      },
      [none](const ListFailures&) { return none(Entries{}); },
      [r](const FindIdempotency& q) {
        return r->answer<IdempotencyPtr>([r, q]() -> IdempotencyPtr {
          auto* row = r->database->find_idempotency(q.tenant_id, q.key, r->clock->now());
          return row == nullptr ? nullptr : std::make_shared<IdempotencyRecord>(row->record);
        });
      },
      [none](const FindApiKey&) { return none(ApiKeyPtr{}); },
      [none](const GetTenant&) { return none(TenantPtr{}); },
      [none](const ListContacts&) { return none(ContactPagePtr{}); },
      [none](const GetContact&) { return none(ContactPagePtr{}); },
      [r](const ListDue& q) {
        return r->answer<DuePagePtr>([db = r->database, q] {
          auto page = std::make_shared<DuePage>();
          page->items = due_items(*db, q.reported);
          return page;
        });
      },
      [r](const Ping&) {
        r->answer_late();
        return Pong{true};
      },
  };
}

/// Promises that the world holds by a thread only: they end with the actor that made them.
template <class Promise>
struct Held {
  std::vector<std::shared_ptr<Promise>> promises;
  std::weak_ptr<Promise> hold(Promise promise) {
    promises.push_back(std::make_shared<Promise>(std::move(promise)));
    return promises.back();
  }
};

/// The provider as the outbox worker meets it, played by the world.
sandbox_actor::behavior_type provider(sandbox_actor::pointer self, Fate* fate,
                                      std::shared_ptr<bool> alive) {
  using Promise = caf::typed_response_promise<SandboxAccepted>;
  auto held = std::make_shared<Held<Promise>>();
  return {
      [self, fate, alive, held](const SandboxSend& m) -> caf::result<SandboxAccepted> {
        if (!*alive) return to_caf(Errc::unavailable, "gone");
        auto promise = self->make_response_promise<SandboxAccepted>();
        fate->send(m, [self, thread = held->hold(promise), alive](Result<SandboxAccepted> answer) {
          auto there = thread.lock();
          if (!*alive || !there) return;
          self->context(nullptr);  // What it ran on last is gone.
          if (answer)
            there->deliver(std::move(*answer));
          else
            there->deliver(to_caf(answer.error()));
        });
        return promise;
      },
      [](caf::tick_atom) {},
  };
}

/// HTTP to the outside, played by the world.
outbound_actor::behavior_type outbound(outbound_actor::pointer self, Fate* fate,
                                       std::shared_ptr<bool> alive) {
  using Promise = caf::typed_response_promise<CallbackPosted>;
  auto held = std::make_shared<Held<Promise>>();
  return {
      [self, fate, alive, held](const PostCallback& m) -> caf::result<CallbackPosted> {
        if (!*alive) return to_caf(Errc::unavailable, "gone");
        auto promise = self->make_response_promise<CallbackPosted>();
        fate->post(m, [self, thread = held->hold(promise), alive](int status) {
          auto there = thread.lock();
          if (!*alive || !there) return;
          self->context(nullptr);
          there->deliver(CallbackPosted{status});
        });
        return promise;
      },
  };
}

caf::behavior edge_actor(caf::event_based_actor* self, Process* process,
                         std::shared_ptr<bool> alive, bool* stopped) {
  self->set_down_handler([stopped](const caf::down_msg&) { *stopped = true; });
  return {
      [process, alive](const FeedBatchPtr& batch) {
        if (*alive && process->on_batch) process->on_batch(batch);
      },
      [](caf::tick_atom) {},
  };
}

}  // namespace

Process::Config::Config() {
  add_message_types<caf::id_block::sara_conversation>();
  add_message_types<caf::id_block::sara_persistence>();
  add_message_types<caf::id_block::sara_query>();
  add_message_types<caf::id_block::sara_inbox>();
  add_message_types<caf::id_block::sara_delivery>();
  set("scheduler.policy", caf::atom("testing"));
  set("logger.inline-output", true);
}

Process::Process(int n, Database& database, const Clock& clock, Fate& fate,
                 const ProcessOptions& options)
    : number(n), epoch(database.take_lease()), database_(database) {
  system_ = std::make_unique<caf::actor_system>(config_);
  sched_ = dynamic_cast<caf::scheduler::test_coordinator*>(&system_->scheduler());
  auto keep = [this](const auto& handle) {
    fixed_.push_back(caf::actor_cast<caf::strong_actor_ptr>(handle));
    return handle;
  };
  context.clock = &clock;
  context.tenants = &registry_;
  context.settings = options.settings;
  context.local_url = "http://127.0.0.1";
  for (auto& tenant : options.tenants) registry_.publish(tenant);
  edge_ = keep(system_->spawn(edge_actor, this, alive_, &stopped_));
  for (int i = 0; i < 2; ++i) {
    auto reader = std::make_shared<Reader>();
    reader->database = &database;
    reader->fate = &fate;
    reader->clock = &clock;
    reader->alive = alive_;
    context.readers.push_back(keep(system_->spawn(query, reader)));
  }
  inbox = keep(system_->spawn(actors::inbox, &context));
  for (int i = 0; i < options.writers; ++i) {
    auto writer = std::make_shared<Writer>();
    writer->database = &database;
    writer->fate = &fate;
    writer->clock = &clock;
    writer->epoch = epoch;
    writer->group_max = options.group_max;
    writer->inbox = inbox;
    writer->process_fenced = &fenced;
    writer->alive = alive_;
    context.writers.push_back(keep(system_->spawn(persistence, writer)));
  }
  context.directory = keep(system_->spawn(runtime::directory, &context));
  actors::DeliveryOptions delivery;
  if (options.embedded_sandbox) {
    auto out = keep(system_->spawn(outbound, &fate, alive_));
    delivery.sandbox = keep(system_->spawn(actors::sandbox, &context, out));
  } else {
    delivery.sandbox = keep(system_->spawn(provider, &fate, alive_));
  }
  context.delivery = keep(system_->spawn(actors::delivery, &context, delivery));
  sched_->run();
}

Process::~Process() {
  *alive_ = false;  // From here on nothing of it reaches the world.
  finish();
}

/// Ends every actor without letting any of them do more: what they still say, nobody hears.
void Process::finish() {
  for (int round = 0; round < 1000; ++round) {
    for (auto* job : sched_->jobs) note(job);
    for (auto& [id, weak] : seen_)
      if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(weak))
        caf::anon_send_exit(strong, caf::exit_reason::kill);
    for (auto& actor : fixed_) caf::anon_send_exit(actor, caf::exit_reason::kill);
    if (!sched_->has_job()) break;
    for (int i = 0; i < 1000 && sched_->has_job(); ++i) {
      note(sched_->jobs.front());
      sched_->run_once();
    }
  }
  context.writers.clear();
  context.readers.clear();
  context.directory = nullptr;
  context.delivery = nullptr;
  inbox = nullptr;
  edge_ = nullptr;
  fixed_.clear();
  seen_.clear();
  sched_->trigger_timeouts();
  sched_->run();
  system_.reset();
}

caf::event_based_actor* Process::edge() const {
  return dynamic_cast<caf::event_based_actor*>(caf::actor_cast<caf::abstract_actor*>(edge_));
}

void Process::note(caf::resumable* job) {
  using Conversation = std::remove_pointer_t<conversation_actor::pointer>;
  using Tenant = std::remove_pointer_t<tenant_actor::pointer>;
  auto* actor = dynamic_cast<caf::local_actor*>(job);
  if (actor == nullptr || seen_.contains(actor->id())) return;
  if (dynamic_cast<Conversation*>(job) == nullptr && dynamic_cast<Tenant*>(job) == nullptr) return;
  seen_.emplace(actor->id(), caf::weak_actor_ptr{actor->ctrl()});
}

caf::actor_id Process::ready_actor(std::size_t index) const {
  auto* actor = dynamic_cast<caf::local_actor*>(sched_->jobs[index]);
  return actor == nullptr ? 0 : actor->id();
}

void Process::run(std::size_t index) {
  std::swap(sched_->jobs[0], sched_->jobs[index]);
  note(sched_->jobs.front());
  sched_->run_once();
}

void Process::advance(Millis by) { sched_->advance_time(by); }

bool Process::crash_one(std::uint64_t which) {
  std::erase_if(seen_, [](auto& s) {
    return caf::actor_cast<caf::strong_actor_ptr>(s.second) == nullptr;
  });
  if (seen_.empty()) return false;
  auto there = seen_.begin();
  std::advance(there, static_cast<std::ptrdiff_t>(which % seen_.size()));
  caf::anon_send_exit(caf::actor_cast<caf::strong_actor_ptr>(there->second),
                      caf::exit_reason::kill);
  return true;
}

void Process::recover(bool first, std::function<void(bool)> done) {
  ListDue query;
  query.reported = first;
  ask<DuePagePtr>(
      context.readers.front(), query,
      [this, done](Result<DuePagePtr> page) {
        if (!page) {
          done(false);
          return;
        }
        auto due = std::make_shared<std::vector<DueItem>>((*page)->items);
        if (!due->empty()) caf::anon_send(context.delivery, DueItems{std::move(due)});
        done(true);
      },
      Millis{30'000});
}

void Process::begin_stop() {
  edge()->context(nullptr);
  edge()->monitor(context.directory);
  caf::anon_send(context.delivery, Drain{true});
  caf::anon_send(context.directory, Drain{true});
}

}  // namespace sara::simulation
