// Group commit. While one group commits, the next gathers in the mailbox; a flush that the actor
// sends to itself stands behind all that waits at that moment, so no timer is needed.
#include "actors/persistence.hpp"

#include "base/fault.hpp"
#include "base/log.hpp"
#include "base/metric.hpp"
#include "domain/fair_queue.hpp"
#include "messages/error.hpp"
#include "storage/conversation.hpp"

namespace sara::actors {

using namespace messages;

namespace {

constexpr std::size_t entries_in_turn = 16;  ///< that one tenant may add before the next one does
constexpr auto tidy_after = std::chrono::seconds(1);

struct Waiting {
  domain::WriteSetPtr set;
  caf::typed_response_promise<Committed> promise;
};

struct Writer {
  explicit Writer(PersistenceOptions o)
      : options(std::move(o)), db(options.url), group(db, options.lease) {}

  PersistenceOptions options;
  storage::Connection db;
  storage::GroupWriter group;
  /// What stands behind the next group, tenant by tenant in turn.
  domain::FairQueue<TenantId, Waiting> queue{entries_in_turn};
  std::vector<domain::WriteSetPtr> batch;
  std::vector<caf::typed_response_promise<Committed>> waiting;
  bool flush_queued = false;
  bool tidy_queued = false;
  bool watched = false;
  bool fenced = false;
  metric::Histogram group_size = metric::histogram(
      "madansara_commit_group_size", "write sets in one transaction", {1, 4, 16, 64, 256});
  metric::Histogram commit_seconds =
      metric::histogram("madansara_commit_seconds", "duration of one group commit",
                        {.0005, .001, .002, .005, .01, .025, .05, .1, .25, 1});
  metric::Counter failures =
      metric::counter("madansara_commit_failures_total", "group commits that failed");

  void commit(persistence_actor::pointer self) {
    while (batch.size() < options.group_max) {
      auto next = queue.pop();
      if (!next) break;
      batch.push_back(std::move(next->set));
      waiting.push_back(std::move(next->promise));
    }
    if (!queue.empty()) queue_flush(self);
    // Moved out first: whatever happens, each waiter is answered exactly once.
    auto sets = std::move(batch);
    auto promises = std::move(waiting);
    batch.clear();
    waiting.clear();
    if (sets.empty()) return;
    if (fenced) {
      for (auto& promise : promises) promise.deliver(not_ours());
      return;
    }
    std::vector<domain::WriteSet*> pointers;
    for (auto& set : sets) pointers.push_back(set.get());
    std::vector<domain::JournalEvent> events;
    auto begin = std::chrono::steady_clock::now();
    auto outcomes = group.commit(pointers, options.clock->now(), watched ? &events : nullptr);
    commit_seconds.observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    group_size.observe(static_cast<double>(sets.size()));
    // Store, then tell.
    if (outcomes) fault::point("persistence.committed");
    if (!events.empty()) {
      auto shared = std::make_shared<std::vector<std::shared_ptr<const domain::JournalEvent>>>();
      for (auto& event : events)
        shared->push_back(std::make_shared<domain::JournalEvent>(std::move(event)));
      self->send(options.inbox, CommittedEvents{std::move(shared)});
      fault::point("persistence.told");
    }
    if (!outcomes) {
      failures.add();
      if (outcomes.error().code == Errc::stale) {
        give_way();
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
    fault::point("persistence.answered");
    if (!batch.empty()) queue_flush(self);
    queue_tidy(self);
  }

  /// The inbox's order is written behind; what no further commit takes along is done here.
  void queue_tidy(persistence_actor::pointer self) {
    if (tidy_queued) return;
    tidy_queued = true;
    self->delayed_send(self, tidy_after, caf::tick_atom_v);
  }

  void tidy(persistence_actor::pointer self) {
    tidy_queued = false;
    if (!fenced && group.tidy(options.clock->now())) queue_tidy(self);
  }

  void give_way() {
    fenced = true;
    log::error("persistence.fenced", {{"epoch", options.lease.epoch}});
    if (options.fenced) options.fenced();
  }

  void queue_flush(persistence_actor::pointer self) {
    if (flush_queued) return;
    flush_queued = true;
    self->send(self, caf::flush_atom_v);
  }

  static caf::error not_ours() {
    return to_caf(Errc::unavailable, "another server has taken this database over");
  }
};

caf::error refusal(Writer& writer, const Error& error) {
  if (error.code != Errc::stale) return to_caf(error);
  writer.give_way();
  return Writer::not_ours();
}

caf::result<RegistryChanged> change(Writer& writer, const RegistryChange& c) {
  if (writer.fenced) return Writer::not_ours();
  auto now = writer.options.clock->now();
  switch (c.kind) {
    case RegistryChange::Kind::save_integration: {
      auto done = storage::save_integration(writer.db, *writer.options.vault, c.integration,
                                            c.idempotency, now);
      if (!done) return refusal(writer, done.error());
      return RegistryChanged{true, {}};
    }
    case RegistryChange::Kind::delete_integration: {
      auto done = storage::delete_integration(writer.db, c.tenant_id, c.integration.id);
      if (!done) return refusal(writer, done.error());
      return RegistryChanged{*done, {}};
    }
    case RegistryChange::Kind::save_contact: {
      auto done = storage::create_contact(writer.db, c.tenant_id, c.contact, c.idempotency, now);
      if (!done) return refusal(writer, done.error());
      return RegistryChanged{!*done, *done};
    }
  }
  return to_caf(Errc::internal, "unknown change");
}

}  // namespace

persistence_actor::behavior_type persistence(persistence_actor::pointer self,
                                             PersistenceOptions options) {
  auto writer = std::make_shared<Writer>(std::move(options));
  // A flush may stand behind the exit message: commit what was accepted before.
  self->set_exit_handler([self, writer](caf::exit_msg& m) {
    do writer->commit(self);
    while (!writer->queue.empty() || !writer->batch.empty());
    self->quit(std::move(m.reason));
  });
  return {
      [self, writer](domain::WriteSetPtr& set) -> caf::result<Committed> {
        auto promise = self->make_response_promise<Committed>();
        auto tenant = set->tenant_id;
        auto cost = set->entries.size();
        writer->queue.push(tenant, {std::move(set), promise}, cost);
        writer->queue_flush(self);
        return promise;
      },
      [writer](const RegistryChangePtr& c) { return change(*writer, *c); },
      [self, writer](const WatchCommits& m) {
        writer->commit(self);
        writer->watched = m.on;
        return Watching{m.on};
      },
      [self, writer](caf::flush_atom) {
        writer->flush_queued = false;
        writer->commit(self);
      },
      [self, writer](caf::tick_atom) { writer->tidy(self); },
  };
}

}  // namespace sara::actors
