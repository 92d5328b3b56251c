// The outbox worker. A message's state is written by its conversation, never here: before the first
// byte goes out `sending` is committed, after the answer its result. What was `sending` when the
// process died may be sent again only where the provider makes a repeat harmless (reliability.md,
// section 3); the sandbox does, by our message id.
#include "actors/delivery.hpp"

#include <deque>
#include <map>
#include <set>

#include "base/fault.hpp"
#include "base/log.hpp"
#include "base/metric.hpp"
#include "base/random.hpp"
#include "messages/error.hpp"

namespace sara::actors {

using namespace messages;
using namespace domain;

namespace {

using Self = delivery_actor::pointer;
constexpr auto settle_deadline = std::chrono::seconds(30);
constexpr auto tick_every = std::chrono::milliseconds(250);

/// Full jitter over an exponential delay. source: reliability.md, 3.5
Millis backoff(int attempt) {
  double base = 500.0 * static_cast<double>(1 << std::min(attempt, 10));
  return Millis{static_cast<std::int64_t>(std::min(base, 300'000.0) * random_fraction()) + 1};
}

struct Worker : std::enable_shared_from_this<Worker> {
  Worker(Self actor, Context* c, DeliveryOptions o)
      : self(actor), context(c), options(std::move(o)) {}

  using Key = std::pair<TenantId, Sequence>;
  Self self;
  Context* context;
  DeliveryOptions options;
  std::deque<DueItem> queue;
  std::multimap<TimePoint, DueItem> later;
  std::set<Key> owned;  ///< queued, waiting or in flight here: each message once
  std::size_t in_flight = 0;
  bool stopping = false;
  metric::Gauge depth = metric::gauge("madansara_outbox_depth", "messages that wait to be sent");

  static Key key(const DueItem& item) { return {item.tenant_id, item.delivery.message_seq}; }

  void take(const DueItem& item) {
    // The other providers' senders are not there: their messages wait in the table and say so.
    if (item.delivery.provider != Provider::sandbox) return;
    if (!owned.insert(key(item)).second) return;
    queue.push_back(item);
  }

  void pump() {
    while (!stopping && !queue.empty() && in_flight < options.in_flight_max) {
      DueItem item = std::move(queue.front());
      queue.pop_front();
      ++in_flight;
      start(std::move(item));
    }
    depth.set(static_cast<double>(owned.size()));
  }

  void start(DueItem item) {
    bool resumed = item.delivery.status == MessageStatus::sending;
    bool reported = item.delivery.status != MessageStatus::queued && !resumed;
    if (reported || resumed) {
      send(std::move(item));
      return;
    }
    Delivery outcome = item.delivery;
    outcome.status = MessageStatus::sending;
    ++outcome.attempt;
    settle(std::move(item), outcome, [](Worker& w, DueItem i) {
      fault::point("delivery.intended");
      w.send(std::move(i));
    });
  }

  /// Commits a state by the conversation that owns it, then goes on with `next`.
  void settle(DueItem item, const Delivery& outcome, void (*next)(Worker&, DueItem)) {
    auto worker = shared_from_this();
    self->request(context->directory, settle_deadline, SettleDelivery{item.tenant_id, outcome})
        .then(
            [worker, item, outcome, next](const Applied& a) mutable {
              if (a.count == 0) {
                // Its state has gone on without us (a report, a cancellation).
                worker->finish(item);
                return;
              }
              item.delivery = outcome;
              next(*worker, std::move(item));
            },
            [worker, item](const caf::error&) mutable { worker->retry(std::move(item)); });
  }

  void send(DueItem item) {
    auto& d = item.delivery;
    SandboxSend command;
    command.tenant_id = item.tenant_id;
    command.integration_id = d.integration_id;
    command.message_id = to_string(message_id(item.tenant_id, d.message_seq, d.created_at));
    command.channel = d.channel;
    command.address = d.address;
    command.body = item.body;
    command.accepted_before = d.status != MessageStatus::sending;
    auto worker = shared_from_this();
    self->request(options.sandbox, settle_deadline, std::move(command))
        .then(
            [worker, item](const SandboxAccepted& a) mutable { worker->sent(std::move(item), a); },
            [worker, item](const caf::error&) mutable { worker->retry(std::move(item)); });
  }

  void sent(DueItem item, const SandboxAccepted& answer) {
    if (item.delivery.status != MessageStatus::sending) {
      finish(item);
      return;
    }
    fault::point("delivery.accepted");
    Delivery outcome = item.delivery;
    if (answer.error.empty()) {
      outcome.status = MessageStatus::sent;
      outcome.provider_message_id = answer.provider_message_id;
      outcome.sent_at = context->clock->now();
    } else {
      outcome.status = MessageStatus::failed;
      outcome.error_code = "provider_refused";
      outcome.error_detail = answer.error;
    }
    settle(std::move(item), outcome, [](Worker& w, DueItem i) {
      fault::point("delivery.settled");
      w.finish(i);
    });
  }

  void finish(const DueItem& item) {
    owned.erase(key(item));
    --in_flight;
    pump();
  }

  void retry(DueItem item) {
    --in_flight;
    auto at = context->clock->now() + backoff(item.delivery.attempt);
    later.emplace(at, std::move(item));
  }

  void tick() {
    auto now = context->clock->now();
    while (!later.empty() && later.begin()->first <= now) {
      queue.push_back(std::move(later.begin()->second));
      later.erase(later.begin());
    }
    pump();
    if (!stopping) self->delayed_send(self, tick_every, caf::tick_atom_v);
  }
};

}  // namespace

delivery_actor::behavior_type delivery(delivery_actor::pointer self, Context* context,
                                       DeliveryOptions options) {
  auto worker = std::make_shared<Worker>(self, context, std::move(options));
  self->delayed_send(self, tick_every, caf::tick_atom_v);
  return {
      [worker](const DueItems& items) {
        for (auto& item : *items) worker->take(item);
        worker->pump();
      },
      [worker](caf::tick_atom) { worker->tick(); },
      [worker](const Drain&) {
        worker->stopping = true;
        worker->self->quit(caf::exit_reason::user_shutdown);
      },
  };
}

}  // namespace sara::actors
