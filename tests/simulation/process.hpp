// One server process of a simulation: the real directory, conversations, tenants, inbox and outbox
// worker on CAF's test coordinator; writers and readers over the database in memory; an edge that
// does what http/ does. Destroying it is kill -9.
#pragma once

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "database.hpp"
#include "messages/error.hpp"

namespace sara::simulation {

/// What the world does to a process while it runs. All of it comes from the seed.
struct Fate {
  std::function<Fault()> commit = [] { return Fault::none; };  ///< asked for each group
  std::function<bool()> read_fails = [] { return false; };
  std::function<bool()> read_is_late = [] { return false; };
  std::function<bool()> coin = [] { return false; };
  /// A message reaches the provider. The answer may come late or never.
  using Accepted = std::function<void(Result<messages::SandboxAccepted>)>;
  std::function<void(const messages::SandboxSend&, Accepted)> send;
  /// The embedded sandbox posts a callback; the answer is a status, 0 for none, or never comes.
  std::function<void(const messages::PostCallback&, std::function<void(int)>)> post;
};

struct ProcessOptions {
  actors::Settings settings;
  int writers = 1;
  std::size_t group_max = 256;
  bool embedded_sandbox = false;  ///< the real sandbox actor; else the world is the provider
  std::vector<messages::TenantPtr> tenants;
};

class Process {
 public:
  Process(int number, Database& database, const Clock& clock, Fate& fate,
          const ProcessOptions& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// As http/bridge: an answer, an error, or after the deadline "unavailable"; once.
  template <class Reply, class Handle, class Command>
  void ask(const Handle& to, Command command, std::function<void(Result<Reply>)> done,
           Millis deadline = Millis{5000}) {
    auto* self = edge();
    self->context(nullptr);  // What it ran on last is gone.
    auto alive = alive_;
    self->request(to, deadline, std::move(command))
        .then(
            [alive, done](Reply& reply) {
              if (*alive) done(std::move(reply));
            },
            [this, alive, done](const caf::error& e) {
              if (!*alive) return;
              timeouts += e == caf::sec::request_timeout;
              done(fail(messages::from_caf(e)));
            });
  }

  /// Gives the outbox worker what waits in the table, as runtime/boot does.
  void recover(bool first, std::function<void(bool)> done);
  /// SIGTERM: nothing new is taken, what was accepted is finished.
  void begin_stop();
  bool has_stopped() const { return stopped_; }

  /// Runs one message of the ready actor at `index`; what it was stands in `last_actor`.
  void run(std::size_t index);
  std::size_t ready() const { return sched_->jobs.size(); }
  caf::actor_id ready_actor(std::size_t index) const;
  void advance(Millis by);
  /// Kills one conversation or tenant actor that has run; false if there is none.
  bool crash_one(std::uint64_t which);

  actors::Context context;
  messages::inbox_actor inbox;
  std::function<void(const messages::FeedBatchPtr&)> on_batch;
  std::set<std::pair<TenantId, std::string>> idempotency_running;
  const int number;
  std::int64_t epoch;
  bool fenced = false;
  std::uint64_t timeouts = 0;  ///< requests that nobody answered

 private:
  caf::event_based_actor* edge() const;
  void note(caf::resumable* job);
  void finish();

  struct Config : caf::actor_system_config {
    Config();
  };
  Config config_;
  Database& database_;
  messages::TenantRegistry registry_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* sched_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  caf::actor edge_;
  std::vector<caf::strong_actor_ptr> fixed_;  ///< what is not the directory's
  /// Conversations and tenants that have run, oldest first.
  std::map<caf::actor_id, caf::weak_actor_ptr> seen_;
  bool stopped_ = false;
};

}  // namespace sara::simulation
