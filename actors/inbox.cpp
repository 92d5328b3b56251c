// Renders each committed event once and hands it to every edge that listens to its tenant.
#include "actors/inbox.hpp"

#include <algorithm>
#include <unordered_map>

#include "messages/error.hpp"

namespace sara::actors {

using namespace messages;

namespace {

struct Feeds {
  std::unordered_map<TenantId, std::vector<caf::actor>> listeners;
  bool watching = false;

  void publish(const CommittedEvents& events) {
    // Tenants stand mixed in a group; each keeps its own order.
    std::unordered_map<TenantId, std::shared_ptr<FeedBatch>> batches;
    for (auto& event : *events) {
      if (!listeners.contains(event->tenant_id)) continue;
      auto& batch = batches[event->tenant_id];
      if (!batch) {
        batch = std::make_shared<FeedBatch>();
        batch->tenant_id = event->tenant_id;
      }
      batch->events.push_back(render_event(*event));
    }
    for (auto& [tenant, batch] : batches)
      for (auto& listener : listeners[tenant]) caf::anon_send(listener, FeedBatchPtr{batch});
  }
};

}  // namespace

inbox_actor::behavior_type inbox(inbox_actor::pointer self, Context* context) {
  auto feeds = std::make_shared<Feeds>();
  return {
      [feeds](const CommittedEvents& events) { feeds->publish(events); },
      [self, feeds, context](const Listen& m) -> caf::result<Listening> {
        auto listener = caf::actor_cast<caf::actor>(self->current_sender());
        auto& list = feeds->listeners[m.tenant_id];
        std::erase(list, listener);
        if (m.on) list.push_back(listener);
        if (list.empty()) feeds->listeners.erase(m.tenant_id);
        if (!m.on) return Listening{false};
        // A commit that began before nobody listened is not told: the writers answer in order with
        // their commits, so after their answers all are.
        auto promise = self->make_response_promise<Listening>();
        auto left = std::make_shared<std::size_t>(context->writers.size());
        for (auto& writer : context->writers)
          self->request(writer, std::chrono::seconds(10), WatchCommits{true})
              .then(
                  [promise, left](const Watching&) mutable {
                    if (--*left == 0) promise.deliver(Listening{true});
                  },
                  [promise](const caf::error& e) mutable { promise.deliver(e); });
        return promise;
      },
  };
}

}  // namespace sara::actors
