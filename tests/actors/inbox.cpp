// The INBOX actor: each committed event once, to those who listen to its tenant, in commit order.
#include "actors/inbox.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::actors;
using namespace sara::messages;

namespace {

const TenantId other_id{Uuid{2, 2}};

struct Stage : Theatre {
  inbox_actor inbox;

  Stage() {
    inbox = spawn(actors::inbox, &context);
    sched.run();
  }

  /// An edge: what it was told, as "tenant:seq".
  struct Edge {
    caf::actor actor;
    std::shared_ptr<std::string> heard = std::make_shared<std::string>();
    std::shared_ptr<int> batches = std::make_shared<int>(0);
  };
  Edge edge() {
    Edge e;
    auto behave = [](caf::event_based_actor*, std::shared_ptr<std::string> heard,
                     std::shared_ptr<int> batches) -> caf::behavior {
      return {[heard, batches](const FeedBatchPtr& batch) {
                ++*batches;
                for (auto& event : batch->events)
                  *heard += (heard->empty() ? "" : " ") + std::to_string(batch->tenant_id.lo) +
                            ":" + std::to_string(event->seq);
              },
              [](const Listening&) {}};
    };
    e.actor = spawn(behave, e.heard, e.batches);
    sched.run();
    return e;
  }
  void listen(const Edge& e, TenantId tenant, bool on = true) {
    caf::send_as(e.actor, inbox, Listen{tenant, on});
    sched.run();
  }
  void publish(const std::vector<std::pair<TenantId, Sequence>>& places) {
    auto events = std::make_shared<std::vector<std::shared_ptr<const domain::JournalEvent>>>();
    for (auto& [tenant, seq] : places) {
      auto event = std::make_shared<domain::JournalEvent>();
      event->tenant_id = tenant;
      event->entry.kind = domain::EventKind::webhook_kept;
      event->entry.seq = seq;
      event->entry.at = noon;
      events->push_back(event);
    }
    caf::anon_send(inbox, CommittedEvents{events});
  }
};

}  // namespace

TEST_CASE_FIXTURE(Stage, "inbox: only those who listen to a tenant hear of it") {
  auto a = edge();
  auto b = edge();
  auto both = edge();
  listen(a, tenant_id);
  listen(b, other_id);
  listen(both, tenant_id);
  listen(both, other_id);
  publish({{tenant_id, 1}, {other_id, 1}, {tenant_id, 2}});
  sched.run();
  CHECK(*a.heard == "1:1 1:2");
  CHECK(*b.heard == "2:1");
  CHECK(both.heard->size() == std::string("1:1 1:2 2:1").size());
  // One batch a tenant, however many events.
  CHECK(*a.batches == 1);
  CHECK(*both.batches == 2);
}

TEST_CASE_FIXTURE(Stage, "inbox: events come in the order of their commits") {
  auto a = edge();
  listen(a, tenant_id);
  std::string expected;
  Sequence seq = 0;
  for (int group = 0; group < 50; ++group) {
    std::vector<std::pair<TenantId, Sequence>> places;
    for (int i = 0; i <= group % 5; ++i) {
      places.emplace_back(tenant_id, ++seq);
      places.emplace_back(other_id, seq);
      expected += (expected.empty() ? "1:" : " 1:") + std::to_string(seq);
    }
    publish(places);
  }
  std::mt19937 random(1);
  run_shuffled(random);
  CHECK(*a.heard == expected);
}

TEST_CASE_FIXTURE(Stage, "inbox: listening twice is hearing once, stopping hearing no more") {
  auto a = edge();
  listen(a, tenant_id);
  listen(a, tenant_id);
  publish({{tenant_id, 1}});
  sched.run();
  listen(a, tenant_id, false);
  publish({{tenant_id, 2}});
  sched.run();
  listen(a, tenant_id, false);
  listen(a, tenant_id);
  publish({{tenant_id, 3}});
  sched.run();
  CHECK(*a.heard == "1:1 1:3");
}

TEST_CASE_FIXTURE(Stage, "inbox: nobody listens before every writer has said that it will tell") {
  int watching = 0;
  auto writer = [](persistence_actor::pointer, int* count) -> persistence_actor::behavior_type {
    return {
        [](const domain::WriteSetPtr&) { return Committed{}; },
        [](const RegistryChangePtr&) { return RegistryChanged{}; },
        [count](const WatchCommits& m) {
          *count += m.on;
          return Watching{m.on};
        },
        [](caf::flush_atom) {}, [](caf::tick_atom) {},
    };
  };
  context.writers = {spawn(writer, &watching), spawn(writer, &watching)};
  sched.run();
  auto answer = post<Listening>(inbox, Listen{tenant_id, true});
  sched.run_once();  // The inbox has asked the writers.
  CHECK(answer->text == "waiting");
  sched.run();
  CHECK(answer->text == "listening");
  CHECK(watching == 2);
}

TEST_CASE_FIXTURE(Stage, "inbox: all edges share one rendered event") {
  std::vector<const FeedEvent*> seen;
  auto behave = [](caf::event_based_actor*,
                   std::vector<const FeedEvent*>* events) -> caf::behavior {
    return {[events](const FeedBatchPtr& batch) { events->push_back(batch->events[0].get()); },
            [](const Listening&) {}};
  };
  for (int i = 0; i < 2; ++i) {
    caf::actor listener = spawn(behave, &seen);
    caf::send_as(listener, inbox, Listen{tenant_id, true});
  }
  sched.run();
  publish({{tenant_id, 1}});
  sched.run();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == seen[1]);
}
