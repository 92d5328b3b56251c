// Start, supervision, stop.
#include "runtime/boot.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <caf/all.hpp>
#include <csignal>
#include <cstdio>
#include <thread>

#include "actors/delivery.hpp"
#include "actors/inbox.hpp"
#include "actors/persistence.hpp"
#include "actors/query.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"
#include "http/io_thread.hpp"
#include "messages/error.hpp"
#include "runtime/directory.hpp"
#include "runtime/memory.hpp"
#include "runtime/outbound.hpp"
#include "runtime/private_postgres.hpp"
#include "runtime/secret_key.hpp"
#include "runtime/supervisor.hpp"
#include "storage/migration.hpp"

namespace sara::runtime {

using namespace messages;

namespace {

constexpr auto supervise_every = std::chrono::milliseconds(500);
constexpr int rounds_between_sweeps = 60;
constexpr auto actors_patience = std::chrono::seconds(4);  // for all of them together
constexpr auto recovery_patience = std::chrono::seconds(30);
/// The main thread must hear of a stop signal meanwhile, whether the database answers or not.
constexpr auto sweep_patience = std::chrono::seconds(2);
constexpr unsigned stop_patience_s = 15;
constexpr Millis callback_timeout{10'000};
std::atomic<bool> lost_an_actor{false};

struct ActorConfig : caf::actor_system_config {
  explicit ActorConfig(const ActorsConfig& c) {
    add_message_types<caf::id_block::sara_conversation>();
    add_message_types<caf::id_block::sara_persistence>();
    add_message_types<caf::id_block::sara_query>();
    add_message_types<caf::id_block::sara_inbox>();
    add_message_types<caf::id_block::sara_delivery>();
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", static_cast<std::size_t>(c.threads));
    set("scheduler.max-throughput", c.throughput);
  }
};

void prepare_process() {
  // As many descriptors as we may have; no core files: they would hold secrets.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  rlimit core{0, 0};
  setrlimit(RLIMIT_CORE, &core);
  prctl(PR_SET_DUMPABLE, 0);
  std::signal(SIGPIPE, SIG_IGN);
}

sigset_t block_stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "warn") return log::Level::warn;
  return name == "error" ? log::Level::error : log::Level::info;
}

http::EdgeOptions edge_options(const Config& c) {
  http::EdgeOptions o;
  o.production = c.server.environment == "production";
  o.connections_max = c.limits.connections_max;
  o.connections_per_ip_max = c.limits.connections_per_ip_max;
  o.header_timeout = c.limits.header_timeout_s;
  o.body_timeout = c.limits.body_timeout_s;
  o.keep_alive = c.limits.keep_alive_s;
  o.write_stall = c.limits.write_stall_s;
  o.body_bytes_max = c.limits.body_bytes_max;
  o.webhook_bytes_max = c.limits.webhook_bytes_max;
  o.inbound_parse_bytes_max = c.limits.inbound_parse_bytes_max;
  o.bodies_in_flight_bytes_max = c.limits.bodies_in_flight_bytes_max;
  o.requests_per_connection_max = c.limits.requests_per_connection_max;
  o.requests_per_minute_max = c.limits.requests_per_minute_max;
  o.stranger_requests_per_15_min_max = c.limits.stranger_requests_per_15_min_max;
  o.stranger_quota_on_loopback = c.limits.stranger_quota_on_loopback != 0;
  o.webhooks_per_minute_max = c.limits.webhooks_per_minute_max;
  o.body_rate_grace = c.limits.body_rate_grace_s;
  o.body_bytes_per_second_min = c.limits.body_bytes_per_s_min;
  o.io_threads = static_cast<std::size_t>(c.server.io_threads);
  o.in_flight_max = c.limits.in_flight_max;
  o.in_flight_per_tenant_max = c.limits.in_flight_per_tenant_max;
  o.in_flight_shared_max = c.limits.in_flight_shared_max;
  o.reads_in_flight_max = c.limits.reads_in_flight_max;
  o.admission_wait = c.limits.admission_wait_ms;
  o.loop_lag_max = c.limits.loop_lag_ms_max;
  o.memory_bytes_max = c.limits.memory_bytes_max;
  o.give_memory_back = give_memory_back;
  o.commit_deadline = c.database.commit_deadline_ms;
  o.read_deadline = c.database.read_deadline_ms;
  o.live_ping = c.live.ping_s;
  o.live_pong_timeout = c.live.pong_timeout_s;
  o.live_mark = c.live.mark_s;
  o.live_resync_patience = c.live.resync_patience_s;
  o.live_queue_bytes_max = c.live.queue_bytes_max;
  o.live_queue_events_max = c.live.queue_events_max;
  o.live_held_bytes_max = c.live.held_bytes_max;
  o.live_replay_events_max = c.live.replay_events_max;
  o.live_ring_events_max = c.live.ring_events_max;
  o.live_commands_per_second_max = c.live.commands_per_s_max;
  o.live_message_bytes_max = c.live.message_bytes_max;
  o.live_sockets_per_tenant_max = c.live.sockets_per_tenant_max;
  return o;
}

/// Ends the process if a stop takes longer than it may (CAF can wait for ever for a lost actor).
void watch_stop() {
  std::signal(SIGALRM, [](int) {
    constexpr char text[] = "madansara: stopping took too long\n";
    [[maybe_unused]] auto n = ::write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
  });
  alarm(stop_patience_s);
}

/// The actors of this process, in the order in which they stop.
class Actors {
 public:
  /// open: a connection to the database, for the first reader.
  Actors(caf::actor_system& system, const Config& config, const Database& database,
         std::shared_ptr<storage::Connection> open, std::shared_ptr<const storage::Vault> vault,
         std::int64_t epoch, TenantRegistry& tenants, std::function<void()> fenced)
      : system_(system), self_(system) {
    context_.tenants = &tenants;
    context_.settings.conversation_idle = config.actors.conversation_idle_ms;
    context_.settings.conversation_rest = config.actors.conversation_rest_ms;
    context_.settings.tenant_idle = config.actors.tenant_idle_ms;
    context_.settings.conversation_queue_max = config.actors.conversation_queue_max;
    for (int i = 0; i < config.database.readers; ++i) {
      readers_.push_back(
          system.spawn<caf::detached>(actors::query, std::move(open), vault, &context_));
      open = std::make_shared<storage::Connection>(database.url);
    }
    // What people look at must never stand before what webhooks need to know.
    auto reserved = readers_.begin() + (config.database.readers + 3) / 4;
    context_.readers.assign(readers_.begin(), reserved);
    edge_readers_.assign(reserved == readers_.end() ? readers_.begin() : reserved, readers_.end());
    inbox_ = system.spawn(actors::inbox, &context_);
    int writers = std::min(config.database.writers, storage::lease_shards);
    for (int i = 0; i < writers; ++i) {
      actors::PersistenceOptions options;
      options.url = database.url;
      options.lease.epoch = epoch;
      for (int shard = 0; shard < storage::lease_shards; ++shard)
        if (shard % writers == i) options.lease.shards.push_back(shard);
      options.vault = vault;
      options.group_max = config.database.group_max;
      options.inbox = inbox_;
      options.fenced = fenced;
      context_.writers.push_back(system.spawn<caf::detached>(actors::persistence, options));
    }
    context_.directory = system.spawn(directory, &context_);
    // CAF 0.17.6 dereferences a null pointer where a function actor takes no argument.
    outbound_ = system.spawn<caf::detached>(outbound, callback_timeout);
    sandbox_ = system.spawn(actors::sandbox, &context_, outbound_);
    actors::DeliveryOptions delivery;
    delivery.sandbox = sandbox_;
    context_.delivery = system.spawn(actors::delivery, &context_, delivery);
    watch();
  }

  actors::Context& context() { return context_; }
  http::Handles handles() const {
    return {context_.directory, inbox_, context_.writers, edge_readers_};
  }

  /// Loads the tenants that have messages to send, and gives these to the outbox worker, which
  /// takes each once. first: this process has not done it yet. patience: for one answer.
  /// errors: unavailable
  Result<std::size_t> recover(TenantRegistry& tenants, bool first, std::chrono::seconds patience) {
    ListDue query;
    query.reported = first;
    std::size_t found = 0;
    for (bool more = true; more;) {
      Result<DuePagePtr> page = ask<DuePagePtr>(query, patience);
      if (!page) return fail(page.error());
      auto due = std::make_shared<std::vector<DueItem>>((*page)->items);
      for (auto& item : *due) {
        if (tenants.find(item.tenant_id)) continue;
        auto tenant = ask<TenantPtr>(GetTenant{item.tenant_id, {}}, patience);
        if (!tenant) return fail(tenant.error());
        if (*tenant) tenants.publish(*tenant);
      }
      fault::point("boot.recovering");
      found += due->size();
      if (!due->empty()) self_->send(context_.delivery, DueItems{std::move(due)});
      query.after = (*page)->last_tenant;
      query.after_seq = (*page)->last_seq;
      more = (*page)->more;
    }
    return found;
  }

  /// Nothing new comes any more: finish what was accepted, flush, quit. False: someone still waits
  /// for a database that does not answer, and no destructor may wait for him.
  bool stop() {
    until_ = std::chrono::steady_clock::now() + actors_patience;
    // From here on they end because they are asked to.
    end(supervisor_);
    supervisor_ = nullptr;
    self_->send(context_.delivery, Drain{true});
    self_->send(context_.directory, Drain{true});
    wait_for(context_.delivery);  // it reads the handles that are dropped below
    wait_for(context_.directory);
    for (auto& writer : context_.writers) end(writer);
    for (auto& reader : readers_) end(reader);
    end(inbox_);
    end(sandbox_);
    end(outbound_);
    context_.writers.clear();
    context_.readers.clear();
    edge_readers_.clear();
    readers_.clear();
    context_.directory = nullptr;
    context_.delivery = nullptr;
    inbox_ = nullptr;
    sandbox_ = nullptr;
    outbound_ = nullptr;
    return all_ended_;
  }

 private:
  void watch() {
    std::vector<Watched> watched;
    auto add = [&](const char* name, const auto& handle) {
      watched.push_back({name, handle.address()});
    };
    for (auto& writer : context_.writers) add("persistence", writer);
    for (auto& reader : readers_) add("query", reader);
    add("directory", context_.directory);
    add("delivery", context_.delivery);
    add("inbox", inbox_);
    add("sandbox", sandbox_);
    add("outbound", outbound_);
    auto on_loss = [](const std::string&) {
      lost_an_actor = true;
      kill(getpid(), SIGTERM);
    };
    supervisor_ = system_.spawn(supervisor, std::move(watched), std::move(on_loss));
  }

  template <class Answer, class Query>
  Result<Answer> ask(Query query, std::chrono::seconds patience) {
    Result<Answer> result = fail(Errc::unavailable, "no answer");
    self_->request(context_.readers.front(), patience, std::move(query))
        .receive([&](Answer& answer) { result = std::move(answer); },
                 [&](const caf::error& e) { result = fail(from_caf(e)); });
    return result;
  }

  template <class Handle>
  void wait_for(const Handle& handle) {
    self_->monitor(handle);
    auto left = std::max(until_ - std::chrono::steady_clock::now(),
                         std::chrono::steady_clock::duration{});
    bool done = false;
    self_->do_receive(
             [&](const caf::down_msg& m) { done = m.source == handle.address(); },
             caf::after(left) >>
                 [&] {
                   all_ended_ = false;
                   done = true;
                 })
        .until([&] { return done; });
  }

  template <class Handle>
  void end(const Handle& handle) {
    caf::anon_send_exit(handle, caf::exit_reason::user_shutdown);
    wait_for(handle);
  }

  caf::actor_system& system_;
  caf::scoped_actor self_;
  actors::Context context_;
  std::vector<query_actor> readers_;       ///< all of them
  std::vector<query_actor> edge_readers_;  ///< those that API reads use
  inbox_actor inbox_;
  outbound_actor outbound_;
  sandbox_actor sandbox_;
  caf::actor supervisor_;
  std::chrono::steady_clock::time_point until_;  ///< the stop's patience ends
  bool all_ended_ = true;
};

/// Ends the process at once: CAF's destructors would wait for an actor that waits for ever. What
/// was acknowledged is committed, and what is under way is no more than a crash would leave.
[[noreturn]] void give_up_stopping() {
  log::error("server.stopped_unclean", {{"detail", "the database does not answer"}});
  std::fflush(nullptr);
  _exit(1);
}

/// Waits for a stop signal; meanwhile keeps the private Postgres alive and calls `each_round`.
void supervise(const sigset_t& signals, PrivatePostgres* postgres,
               const std::function<void()>& each_round) {
  timespec wait{0, std::chrono::nanoseconds(supervise_every).count()};
  while (sigtimedwait(&signals, nullptr, &wait) < 0) {
    each_round();
    if (postgres == nullptr) continue;
    auto restarted = postgres->watch();
    if (!restarted)
      log::error("postgres.down", {{"detail", restarted.error().detail}});
    else if (*restarted)
      log::warn("postgres.restarted");
  }
}

void wait_until_closed(const std::vector<std::unique_ptr<http::IoThread>>& threads,
                       std::chrono::seconds patience) {
  auto until = std::chrono::steady_clock::now() + patience;
  auto open = [&] {
    std::size_t n = 0;
    for (auto& thread : threads) n += thread->connections();
    return n;
  };
  while (open() > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

}  // namespace

Result<Database> open_database(const Config& config) {
  if (!config.database.url.empty()) return Database{config.database.url, nullptr};
  auto postgres = PrivatePostgres::ensure(config.server.data_dir);
  if (!postgres) return fail(postgres.error());
  auto shared = std::make_shared<PrivatePostgres>(std::move(*postgres));
  return Database{shared->connection_string(), shared};
}

int serve(const LoadedConfig& loaded) {
  auto& config = loaded.config;
  log::set_level(level_of(config.log.level));
  log::debug("server.memory", {{"settings", memory_settings()}});
  prepare_process();
  // Before any thread: all inherit the mask, and the main thread alone waits for the signals.
  auto signals = block_stop_signals();
  auto give_up = [](const Error& error) {
    std::fprintf(stderr, "madansara: %s\n", error.detail.c_str());
    return 1;
  };
  auto key = root_key(config.server.data_dir, config.server.environment);
  if (!key) return give_up(key.error());
  auto vault = std::make_shared<const storage::Vault>(*key);
  auto database = open_database(config);
  if (!database) return give_up(database.error());
  // One connection for all that must be done before "ready", and then for the first reader: to
  // make one costs more than to use it.
  auto connection = std::make_shared<storage::Connection>(database->url);
  if (!storage::is_migrated(*connection)) {
    connection->close();  // A role that the migrations make is taken when it connects.
    if (auto done = storage::migrate(database->url); !done) return give_up(done.error());
  }
  fault::point("boot.migrated");
  // Taking the lease fences off whoever serves this database. A second start by mistake must fail
  // before that, not after.
  auto free = http::can_listen(config.server.bind, static_cast<std::uint16_t>(config.server.port));
  if (!free) return give_up(free.error());
  auto epoch = storage::take_lease(*connection, "pid " + std::to_string(getpid()),
                                   system_clock().now());
  if (!epoch) return give_up(epoch.error());

  TenantRegistry tenants;
  auto state = http::make_edge_state();
  auto fenced = std::make_shared<std::atomic<bool>>(false);
  ActorConfig actor_config(config.actors);
  caf::actor_system system(actor_config);
  {
    Actors actors(system, config, *database, std::move(connection), vault, *epoch, tenants,
                  [state, fenced] {
                    *fenced = true;
                    http::set_fenced(*state);
                  });
    std::vector<std::unique_ptr<http::IoThread>> threads;
    for (int i = 0; i < config.server.io_threads; ++i)
      threads.push_back(std::make_unique<http::IoThread>(system, actors.handles(), tenants,
                                                         system_clock(), state,
                                                         edge_options(config)));
    auto port = static_cast<std::uint16_t>(config.server.port);
    for (auto& thread : threads) {
      auto bound = thread->listen(config.server.bind, port);
      if (!bound) {
        threads.clear();
        actors.stop();
        return give_up(bound.error());
      }
      port = *bound;
    }
    bool any = config.server.bind == "0.0.0.0" || config.server.bind == "::";
    std::string host = any ? std::string("127.0.0.1") : config.server.bind;
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    std::string address = "http://" + host + ":" + std::to_string(port);
    actors.context().local_url = address;
    auto& public_url = config.server.public_base_url;
    for (auto& thread : threads) {
      thread->set_public_base_url(public_url.empty() ? address : public_url);
      thread->start();
    }
    auto recovered = actors.recover(tenants, true, recovery_patience);
    if (!recovered) log::error("recovery.failed", {{"detail", recovered.error().detail}});
    fault::point("boot.recovered");
    http::set_ready(*state, recovered.has_value());
    log::info("server.ready", {{"epoch", *epoch}, {"due", recovered.value_or(0)}});
    std::printf("listening on %s\n", address.c_str());
    std::fflush(stdout);

    // A start that could not recover tries again; and where the database went between a commit and
    // its answer, the message is queued and nobody was told.
    bool ready = recovered.has_value();
    int rounds = 0;
    supervise(signals, database->postgres.get(), [&] {
      if (++rounds % (ready ? rounds_between_sweeps : 2) != 0 || *fenced) return;
      auto again = actors.recover(tenants, !ready, sweep_patience);
      if (!again || ready) return;
      ready = true;
      http::set_ready(*state, true);
    });

    log::info("server.stopping");
    watch_stop();
    http::set_ready(*state, false);
    for (auto& thread : threads) thread->drain();
    wait_until_closed(threads, config.server.drain_s);
    for (auto& thread : threads) thread->stop();
    threads.clear();
    if (!actors.stop()) give_up_stopping();
  }
  if (database->postgres) {
    auto stopped = database->postgres->stop();
    if (!stopped) log::warn("postgres.still_stopping", {{"detail", stopped.error().detail}});
  }
  log::info("server.stopped");
  return lost_an_actor ? 1 : 0;
}

}  // namespace sara::runtime
