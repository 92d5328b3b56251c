// What arrives for a tenant and belongs to no conversation yet: status reports, which find their
// message or wait for it, and signed events that are only kept.
#include "actors/tenant.hpp"

#include <algorithm>
#include <deque>
#include <set>

#include "base/log.hpp"
#include "messages/error.hpp"

namespace sara::actors {

using namespace messages;
using namespace domain;

namespace {

using Self = tenant_actor::pointer;
constexpr auto query_deadline = std::chrono::seconds(10);

struct Desk : std::enable_shared_from_this<Desk> {
  Desk(Self actor, Context* c, TenantId t) : self(actor), context(c), tenant(t) {}

  Self self;
  Context* context;
  TenantId tenant;
  std::uint64_t activity = 0;
  std::size_t open_jobs = 0;
  bool draining = false;

  void arm_idle_timer() {
    self->delayed_send(self, context->settings.tenant_idle, caf::tick_atom_v, activity);
  }
  void tick(std::uint64_t seen) {
    if (draining) return;
    if (seen == activity && open_jobs == 0)
      self->send(context->directory, WantUnload{tenant, {}});
    arm_idle_timer();
  }
  void maybe_quit() {
    if (draining && open_jobs == 0) self->quit(caf::exit_reason::normal);
  }
};
using DeskPtr = std::shared_ptr<Desk>;

/// One request's work: done when nothing is outstanding; the first error is its answer.
struct Job {
  Job(DeskPtr d, caf::typed_response_promise<Applied> p)
      : desk(std::move(d)), promise(std::move(p)) {
    ++desk->activity;
    ++desk->open_jobs;
  }
  ~Job() {
    // A tenant that crashes drops what it waits for unanswered: that is no acknowledgement.
    if (open > 0) fail_with(to_caf(Errc::unavailable, "the request was not finished; try again"));
    if (failed)
      promise.deliver(error);
    else
      promise.deliver(Applied{effects});
    --desk->open_jobs;
    desk->maybe_quit();
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void fail_with(caf::error e) {
    if (!failed) error = std::move(e);
    failed = true;
  }

  DeskPtr desk;
  caf::typed_response_promise<Applied> promise;
  std::uint32_t effects = 0;
  std::size_t open = 0;  ///< requests without an answer yet
  /// A report that waits for its turn, and the delivery it is about (message_seq 0: none).
  struct Held {
    std::shared_ptr<ReportStatuses> batch;
    std::size_t index = 0;
    Delivery found;
  };
  std::deque<Held> held;
  std::size_t applying = 0;
  bool failed = false;
  caf::error error;
};
using JobPtr = std::shared_ptr<Job>;

void route(const JobPtr& job, std::shared_ptr<ReportStatuses> batch);

/// Stores a set without a conversation. What the database has already is left out and the rest is
/// stored; statuses whose message has come meanwhile are given to `matched`.
void store(const JobPtr& job, WriteSetPtr set,
           std::function<void(const std::vector<std::string>&)> matched) {
  if (set->entries.empty()) return;
  auto self = job->desk->self;
  ++job->open;
  self->request(job->desk->context->writer_of(job->desk->tenant), caf::infinite, set)
      .then(
          [job, set, matched](const Committed& c) {
            --job->open;
            if (c.duplicates.empty() && c.matched.empty()) {
              job->effects += static_cast<std::uint32_t>(set->entries.size());
              return;
            }
            std::set<std::string> drop(c.duplicates.begin(), c.duplicates.end());
            drop.insert(c.matched.begin(), c.matched.end());
            auto rest = std::make_shared<WriteSet>();
            rest->tenant_id = set->tenant_id;
            for (auto& entry : set->entries)
              if (!drop.contains(entry.dedupe_key)) rest->entries.push_back(entry);
            store(job, rest, matched);
            if (!c.matched.empty() && matched) matched(c.matched);
          },
          [job](const caf::error& e) {
            --job->open;
            job->fail_with(e);
          });
}

/// Entries of one set share no key: a repeated one is dropped.
void add_once(WriteSet& set, std::set<std::string>& keys, JournalEntry entry) {
  if (!entry.dedupe_key.empty() && !keys.insert(entry.dedupe_key).second) return;
  set.entries.push_back(std::move(entry));
}

JournalEntry unmatched_entry(const ReportStatuses& batch, const ReportedStatus& report,
                             TimePoint now) {
  auto& receipt = report.receipt;
  JournalEntry e;
  e.kind = EventKind::webhook_unmatched;
  e.at = now;
  e.channel = receipt.channel;
  e.provider = receipt.provider;
  e.integration_id = batch.integration_id;
  e.status = receipt.status;
  e.subject = receipt.provider_message_id;
  e.body = receipt.event;
  e.error_detail = receipt.error_detail;
  e.provider_code = receipt.error_code;
  e.dedupe_key = report.dedupe_key;
  e.raw = report.raw;
  return e;
}

void keep(const JobPtr& job, const ReportStatuses& batch, const ReportedStatus& report) {
  auto set = std::make_shared<WriteSet>();
  set->tenant_id = batch.tenant_id;
  auto entry = unmatched_entry(batch, report, job->desk->context->clock->now());
  entry.kind = EventKind::webhook_kept;
  entry.body = "status:" + entry.body;
  entry.subject.clear();
  set->entries.push_back(std::move(entry));
  store(job, std::move(set), nullptr);
}

/// A conversation takes 256 commands at once: a batch may all be one contact's.
constexpr std::size_t applying_max = 128;

void apply_held(const JobPtr& job);

/// Gives one report to the conversation that owns its message, now or in its turn.
void apply(const JobPtr& job, const std::shared_ptr<ReportStatuses>& batch, std::size_t index,
           const Delivery* found) {
  job->held.push_back({batch, index, found ? *found : Delivery{}});
  apply_held(job);
}

void apply_held(const JobPtr& job) {
  while (!job->held.empty() && job->applying < applying_max) {
    auto next = std::move(job->held.front());
    job->held.pop_front();
    ApplyReport command;
    command.tenant_id = next.batch->tenant_id;
    command.integration_id = next.batch->integration_id;
    command.report = next.batch->reports[next.index];
    command.contact_id = next.found.contact_id;
    command.found = std::move(next.found);
    ++job->applying;
    ++job->open;
    job->desk->self
        ->request(job->desk->context->directory, std::chrono::seconds(30), std::move(command))
        .then(
            [job](const Applied& a) {
              --job->open;
              --job->applying;
              job->effects += a.count;
              apply_held(job);
            },
            [job, batch = next.batch, index = next.index](const caf::error& e) {
              --job->open;
              --job->applying;
              // A watermark of somebody we never spoke with.
              if (from_caf(e).code == Errc::not_found)
                keep(job, *batch, batch->reports[index]);
              else
                job->fail_with(e);
              apply_held(job);
            });
  }
}

void route_found(const JobPtr& job, const std::shared_ptr<ReportStatuses>& batch,
                 const std::vector<Delivery>& deliveries) {
  auto set = std::make_shared<WriteSet>();
  set->tenant_id = batch->tenant_id;
  std::set<std::string> keys;
  auto now = job->desk->context->clock->now();
  for (std::size_t i = 0; i < batch->reports.size(); ++i) {
    auto& receipt = batch->reports[i].receipt;
    if (known(receipt.watermark)) {
      apply(job, batch, i, nullptr);
      continue;
    }
    auto mine = std::find_if(deliveries.begin(), deliveries.end(), [&](const Delivery& d) {
      if (!receipt.provider_message_id.empty() && d.provider == receipt.provider &&
          d.provider_message_id == receipt.provider_message_id)
        return true;
      return !receipt.reference.empty() && d.provider == receipt.provider &&
             to_string(message_id(batch->tenant_id, d.message_seq, d.created_at)) ==
                 receipt.reference;
    });
    if (mine != deliveries.end())
      apply(job, batch, i, &*mine);
    else
      add_once(*set, keys, unmatched_entry(*batch, batch->reports[i], now));
  }
  store(job, std::move(set), [job, batch](const std::vector<std::string>& matched) {
    // Their messages were committed between our look-up and the write: look again.
    auto again = std::make_shared<ReportStatuses>(*batch);
    std::erase_if(again->reports, [&](const ReportedStatus& r) {
      return std::find(matched.begin(), matched.end(), r.dedupe_key) == matched.end();
    });
    route(job, std::move(again));
  });
}

void route(const JobPtr& job, std::shared_ptr<ReportStatuses> batch) {
  FindDeliveries query;
  query.tenant_id = batch->tenant_id;
  for (auto& report : batch->reports) {
    auto& receipt = report.receipt;
    if (known(receipt.watermark)) continue;
    query.provider = receipt.provider;
    if (!receipt.provider_message_id.empty())
      query.provider_message_ids.push_back(receipt.provider_message_id);
    if (auto id = MessageId::parse(receipt.reference))
      query.message_seqs.push_back(sequence_of(*id));
  }
  // A batch tells several things of one message.
  auto& ids = query.provider_message_ids;
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (query.provider_message_ids.empty() && query.message_seqs.empty()) {
    route_found(job, batch, {});
    return;
  }
  ++job->open;
  job->desk->self->request(job->desk->context->reader(), query_deadline, std::move(query))
      .then(
          [job, batch](const Deliveries& found) {
            --job->open;
            route_found(job, batch, *found);
          },
          [job](const caf::error& e) {
            --job->open;
            job->fail_with(e);
          });
}

void keep_all(const JobPtr& job, const KeepEvents& m) {
  auto set = std::make_shared<WriteSet>();
  set->tenant_id = m.tenant_id;
  std::set<std::string> keys;
  for (auto& event : m.events) {
    JournalEntry e;
    e.kind = event.failed ? EventKind::webhook_failed : EventKind::webhook_kept;
    e.at = job->desk->context->clock->now();
    e.provider = m.provider;
    e.integration_id = m.integration_id;
    e.body = event.kind_or_reason;
    e.dedupe_key = event.dedupe_key;
    e.raw = event.raw;
    add_once(*set, keys, std::move(e));
  }
  store(job, std::move(set), nullptr);
}

}  // namespace

tenant_actor::behavior_type tenant(tenant_actor::pointer self, Context* context,
                                   TenantId tenant_id) {
  auto desk = std::make_shared<Desk>(self, context, tenant_id);
  desk->arm_idle_timer();
  return {
      [desk](ReportStatuses& m) -> caf::result<Applied> {
        auto promise = desk->self->make_response_promise<Applied>();
        route(std::make_shared<Job>(desk, promise), std::make_shared<ReportStatuses>(std::move(m)));
        return promise;
      },
      [desk](KeepEvents& m) -> caf::result<Applied> {
        auto promise = desk->self->make_response_promise<Applied>();
        keep_all(std::make_shared<Job>(desk, promise), m);
        return promise;
      },
      [desk](const Drain&) {
        desk->draining = true;
        desk->maybe_quit();
      },
      [desk](caf::tick_atom, std::uint64_t seen) { desk->tick(seen); },
  };
}

}  // namespace sara::actors
