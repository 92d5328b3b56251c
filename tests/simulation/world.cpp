// The run: what a step is, what troubles there are, when all is quiet again.
#include "world.hpp"

#include <algorithm>

namespace sara::simulation {

using namespace messages;
using namespace domain;

namespace {

const TimePoint noon = parse_rfc3339("2026-01-05T12:00:00Z").value();
constexpr std::size_t story_max = 60;
constexpr Millis sweep_every{30'000};
constexpr Millis drift_max = std::chrono::hours{3};
constexpr std::uint64_t steps_max = 3'000'000;

TenantPtr make_tenant(TenantId id, bool with_twilio) {
  auto tenant = std::make_shared<TenantSnapshot>();
  tenant->id = id;
  Integration sandbox;
  sandbox.id = IntegrationId{Uuid{9, id.lo}};
  sandbox.tenant_id = id;
  sandbox.provider = Provider::sandbox;
  sandbox.endpoint = "endpoint";
  sandbox.credentials["secret"] = "secret";
  tenant->offers.push_back({sandbox, channels_of(sandbox, {})});
  if (with_twilio) {
    Integration twilio;
    twilio.id = IntegrationId{Uuid{8, id.lo}};
    twilio.tenant_id = id;
    twilio.provider = Provider::twilio;
    tenant->offers.push_back({twilio, {Channel::sms}});
  }
  return tenant;
}

}  // namespace

Plan Plan::draw(Dice& d) {
  Plan p;
  p.tenants = 1 + d.index(3);
  p.people = d.pick<std::size_t>({1, 2, 4, 8, 24});
  p.messages = static_cast<int>(60 + d.below(240));
  p.replies = static_cast<int>(d.below(60));
  p.clients = d.index(4);
  auto sometimes = [&](double p_of_it, double most) {
    return d.chance(p_of_it) ? most * (0.1 + 0.9 * static_cast<double>(d.below(100)) / 100) : 0;
  };
  p.commit_fails = sometimes(0.6, 0.2);
  p.read_fails = sometimes(0.4, 0.1);
  p.read_is_late = sometimes(0.7, 0.7);
  p.answer_lost = sometimes(0.6, 0.2);
  p.provider_fails = sometimes(0.6, 0.5);
  p.repeated = sometimes(0.8, 0.4);
  p.starved = sometimes(0.7, 0.01);
  p.crash_actor = sometimes(0.4, 0.02);
  p.crash_process = sometimes(0.4, 0.004);
  p.takeover = sometimes(0.3, 0.003);
  p.outage = sometimes(0.3, 0.003);
  p.clock_jump = sometimes(0.4, 0.01);
  p.poison = sometimes(0.3, 0.05);
  p.statuses_early = d.chance(0.5);
  p.references = d.chance(0.5);
  auto& s = p.process.settings;
  s.conversation_idle = Millis{d.pick({1, 5, 50, 1000, 60'000})};
  s.tenant_idle = Millis{d.pick({1, 5, 50, 1000, 60'000})};
  s.conversation_queue_max = d.pick<std::size_t>({8, 16, 256});
  s.parked_max = d.pick<std::size_t>({16, 64, 10'000});
  p.process.writers = d.pick({1, 1, 2});
  p.process.group_max = d.pick<std::size_t>({2, 8, 256});
  p.process.embedded_sandbox = d.chance(0.25);
  p.feed.queue_max = d.pick<std::size_t>({8, 64});
  p.feed.ring_max = d.pick<std::size_t>({4, 32});
  p.feed.page = d.pick({4, 16, 500});
  for (std::size_t i = 0; i < p.tenants; ++i)
    p.process.tenants.push_back(make_tenant(TenantId{Uuid{i + 1, i + 1}}, d.chance(0.3)));
  return p;
}

World::World(std::uint64_t seed)
    : seed_(seed), dice_(seed), plan_(Plan::draw(dice_)), clock_(noon) {
  for (std::size_t i = 0; i < plan_.tenants; ++i) database_.tenants[id_of(i)];
  database_.committed = [this](const auto& written) { committed(written); };
  fate_.commit = [this] {
    if (calm_ || !dice_.chance(plan_.commit_fails)) return Fault::none;
    auto fault = dice_.pick({Fault::lost, Fault::doubt_confirmed, Fault::doubt_open,
                             Fault::conflict, Fault::full});
    note("commit: " + std::string(to_string(fault)));
    saw("a commit: " + std::string(to_string(fault)));
    return fault;
  };
  fate_.read_fails = [this] {
    bool fails = !calm_ && dice_.chance(plan_.read_fails);
    if (fails) saw("a read that fails");
    return fails;
  };
  fate_.read_is_late = [this] {
    bool late = !calm_ && dice_.chance(plan_.read_is_late);
    if (late) saw("a read that is late");
    return late;
  };
  fate_.coin = [this] { return dice_.chance(0.5); };
  fate_.send = [this](const SandboxSend& m, Fate::Accepted answer) { accept(m, answer); };
  fate_.post = [this](const PostCallback& m, std::function<void(int)> answer) {
    post(m, answer);
  };
  constexpr Channel channels[] = {Channel::sms, Channel::whatsapp, Channel::messenger,
                                  Channel::email};
  for (std::size_t i = 0; i < plan_.people; ++i) {
    Person person;
    person.tenant = dice_.index(plan_.tenants);
    person.by_api = dice_.chance(0.3);
    auto addresses = 1 + (dice_.chance(0.4) ? dice_.index(3) : 0);
    for (std::size_t a = 0; a < addresses; ++a) {
      auto channel = channels[(i + a) % 4];
      person.addresses.push_back({channel, "+1555" + std::to_string(1'000'000 + i), true});
    }
    people_.push_back(std::move(person));
  }
  for (std::size_t i = 0; i < plan_.clients; ++i)
    clients_.push_back({id_of(dice_.index(plan_.tenants)), -1, {}});
  messages_left_ = plan_.messages;
  replies_left_ = plan_.replies;
}

World::~World() {
  for (auto& server : servers_) server->feed.reset();
  servers_.clear();
}

// -- the run ------------------------------------------------------------------------------------

bool World::run() {
  note("the seed makes " + std::to_string(plan_.people) + " people write to " +
       std::to_string(plan_.tenants) + " tenants");
  start_server();
  while (violation_.empty() && (messages_left_ > 0 || replies_left_ > 0)) step();

  // The troubles end. Everything has to come right by itself, in bounded time.
  calm_ = true;
  calm_since_ = uptime_;
  starved_.clear();
  database_.up = true;
  database_back_ = {};
  note("calm");
  while (servers_.size() > 1) crash_server(0, "is retired");
  if (servers_.front()->process->fenced) wrong("the newest server is fenced");
  if (!servers_.front()->recovered && !servers_.front()->recovering)
    recover(*servers_.front(), true);
  settle("nothing is pending", std::chrono::minutes{30}, [this] { return quiet(); });
  settle("all actors are unloaded", std::chrono::minutes{10}, [this] {
    auto& process = *servers_.front()->process;
    auto population = std::make_shared<Result<Population>>(fail(Errc::unavailable, ""));
    process.ask<Population>(process.context.directory, GetPopulation{},
                            [population](Result<Population> p) { *population = p; });
    while (run_job()) {
    }
    auto& p = *population;
    bool unloaded = p && p->conversations == 0 && p->tenants == 0 && p->parked == 0;
    if (unloaded && p->passivations > 0) saw("a conversation unloaded");
    if (unloaded && p->restarts > 0) saw("a conversation loaded afresh after a failure");
    return unloaded;
  });

  // Everybody writes once more, to a fresh server: what waited for its actor is taken up.
  if (violation_.empty()) {
    crash_server(0, "is replaced");
    start_server();
    for (std::size_t i = 0; i < people_.size(); ++i)
      for (std::size_t a = 0; a < people_[i].addresses.size(); ++a) person_writes(i, a);
    settle("the last messages are in", std::chrono::minutes{30}, [this] { return quiet(); });
  }
  if (database_.conflicts > 0) saw("a set that meets another's");
  if (violation_.empty()) {
    check_people();
    check_statuses();
    ledger_.check_all();
    check();
  }
  if (violation_.empty()) {
    note("the server is told to stop");
    auto& process = *servers_.front()->process;
    process.begin_stop();
    settle("the server has stopped", std::chrono::seconds{15},
           [&process] { return process.has_stopped(); });
  }
  return violation_.empty();
}

void World::step() {
  if (++stats_.steps > steps_max) {
    wrong("it does not come to an end");
    return;
  }
  auto roll = dice_.below(1000);
  if (roll < 920 && run_job()) {
  } else if (roll < 980) {
    act();
  } else {
    pass_time();
  }
  check();
}

/// One message of one ready actor, whichever.
bool World::run_job() {
  std::size_t ready = 0;
  for (auto& server : servers_) ready += server->process->ready();
  if (ready == 0) return false;
  for (int tries = 0; tries < 4; ++tries) {
    auto which = dice_.index(ready);
    std::size_t at = 0;
    while (which >= servers_[at]->process->ready()) which -= servers_[at++]->process->ready();
    auto& process = *servers_[at]->process;
    std::pair key{process.number, process.ready_actor(which)};
    if (!calm_) {
      if (auto held = starved_.find(key); held != starved_.end()) {
        if (held->second > stats_.steps) continue;
        starved_.erase(held);
      }
      if (dice_.chance(plan_.starved)) {
        starved_[key] = stats_.steps + dice_.below(400);
        saw("an actor held up");
        continue;
      }
    }
    mix(static_cast<std::uint64_t>(process.number) << 32 | key.second);
    process.run(which);
    return true;
  }
  return false;
}

void World::pass_time() {
  Millis by{1 + static_cast<std::int64_t>(dice_.below(calm_ ? 100 : 20))};
  mix(static_cast<std::uint64_t>(by.count()));
  uptime_ += by;
  clock_.advance(by);
  for (auto& server : servers_) server->process->advance(by);
  if (!database_.up && uptime_ >= database_back_) {
    database_.up = true;
    note("the database is back");
  }
  for (auto& server : servers_)
    if (uptime_ >= server->next_sweep) recover(*server, !server->recovered);
}

void World::act() {
  auto roll = dice_.below(100);
  if (roll < 30) {
    deliver_some(dice_.chance(plan_.repeated));
  } else if (roll < 50) {
    if (messages_left_ > 0) somebody_writes();
  } else if (roll < 58) {
    if (replies_left_ > 0) somebody_answers();
  } else if (roll < 66) {
    if (!asks_.empty()) try_ask(dice_.index(asks_.size()));
  } else if (roll < 80) {
    feed_acts();
  } else if (roll < 84) {
    if (!late_.empty()) {
      std::swap(late_[dice_.index(late_.size())], late_.back());
      auto answer = std::move(late_.back());
      late_.pop_back();
      answer();
    }
  } else if (roll < 86) {
    auto who = dice_.index(people_.size());
    if (people_[who].by_api && !people_[who].made) make_contact(who);
  }
  trouble();
}

void World::trouble() {
  if (dice_.chance(plan_.crash_actor)) {
    auto& server = *servers_[dice_.index(servers_.size())];
    if (server.process->crash_one(dice_.below(1 << 20))) {
      saw("an actor that crashes");
      note("an actor crashes");
    }
  }
  if (dice_.chance(plan_.crash_process)) {
    saw("a server killed");
    crash_server(dice_.index(servers_.size()), "is killed");
    if (servers_.empty() || servers_.back()->process->epoch != database_.epoch) start_server();
  }
  if (servers_.size() < 3 && dice_.chance(plan_.takeover)) {
    saw("a takeover");
    start_server();
  }
  if (database_.up && dice_.chance(plan_.outage)) {
    saw("an outage");
    database_.up = false;
    database_back_ = uptime_ + Millis{50 + static_cast<std::int64_t>(dice_.below(3000))};
    note("the database goes away");
  }
  if (dice_.chance(plan_.clock_jump)) {
    auto most = dice_.pick<std::int64_t>({100, 60'000, 2'400'000});
    Millis by{static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(2 * most))) - most};
    auto drift = clock_.now() - noon - uptime_ + by;
    if (drift < drift_max && drift > -drift_max) {
      saw(by < Millis{0} ? "a clock set back" : "a clock set forward");
      clock_.advance(by);
      note("the clock jumps by " + std::to_string(by.count()) + " ms");
    }
  }
}

/// Runs without troubles until `done`, or until it has taken longer than it may.
bool World::settle(const char* what, Millis patience, const std::function<bool()>& done) {
  auto deadline = uptime_ + patience;
  while (violation_.empty()) {
    for (int i = 0; i < 400 && run_job(); ++i) check();
    if (done()) return true;
    if (uptime_ > deadline || ++stats_.steps > steps_max) {
      wrong(std::string("it does not come to rest: ") + what);
      break;
    }
    for (auto& answer : std::exchange(late_, {})) answer();
    for (int i = 0; i < 4; ++i) deliver_some(false);
    for (std::size_t i = 0; i < asks_.size(); ++i) try_ask(i);
    for (int i = 0; i < 20; ++i) feed_acts();
    pass_time();
    check();
  }
  return false;
}

/// Nothing is under way and nobody waits for anything.
bool World::quiet() {
  if (!open_events_.empty() || !exchanges_.empty() || !late_.empty()) return false;
  if (!servers_.front()->recovered || servers_.front()->process->ready() > 0) return false;
  for (auto& ask : asks_)
    if (!ask.closed) return false;
  for (auto& [tenant, rows] : database_.tenants)
    for (auto& [seq, d] : rows.deliveries) {
      if (d.error_code == "sender_not_available") continue;
      bool ours = d.provider_message_id.substr(0, 3) != "ech";
      if (d.status == MessageStatus::queued || d.status == MessageStatus::sending) return false;
      if (plan_.process.embedded_sandbox && ours && !settled(d.status)) return false;
    }
  for (auto& client : clients_)
    if (client.seen != database_.rows(client.tenant).last()) return false;
  return true;
}

void World::check() {
  if (!ledger_.violation.empty()) wrong(ledger_.violation);
  for (auto& client : clients_)
    if (!client.violation.empty()) wrong(client.violation);
  // Only a crash may leave a request without an answer, and only for as long as it waits.
  bool excused = plan_.crash_actor > 0 || plan_.starved > 0;
  if (calm_ && uptime_ > calm_since_ + Millis{60'000}) excused = false;
  for (auto& server : servers_) {
    if (server->process->timeouts > 0 && !excused) wrong("a request was never answered");
    server->process->timeouts = 0;
  }
}

void World::wrong(const std::string& what) {
  if (!violation_.empty()) return;
  violation_ = what;
  note("WRONG: " + what);
}

void World::mix(std::uint64_t value) {
  for (int i = 0; i < 8; ++i, value >>= 8) hash_ = (hash_ ^ (value & 0xff)) * 0x100000001b3ull;
}

void World::note(const std::string& line) {
  for (char c : line) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  story_.push_back("  " + std::to_string(stats_.steps) + " +" + std::to_string(uptime_.count()) +
                   "ms  " + line);
  if (story_.size() > story_max) story_.pop_front();
}

std::string World::report() const {
  std::string out = "SARA_SEED=" + std::to_string(seed_) + " at step " +
                    std::to_string(stats_.steps) + ": " + violation_ + "\n";
  if (violation_.find("come to rest") != violation_.npos) {
    out += "pending: " + std::to_string(open_events_.size()) + " events, " +
           std::to_string(exchanges_.size()) + " requests, " + std::to_string(late_.size()) +
           " late answers\n";
    for (auto& ask : asks_)
      if (!ask.closed) out += "  asks for " + ask.body + "\n";
    for (auto i : open_events_) out += "  event " + events_[i].what.dedupe_key + "\n";
    for (auto& client : clients_)
      out += "  a feed stands at " + std::to_string(client.seen) + " of " +
             std::to_string(database_.rows(client.tenant).last()) + "\n";
    for (auto& [tenant, rows] : database_.tenants)
      for (auto& [seq, d] : rows.deliveries)
        if (!settled(d.status))
          out += "  message " + std::to_string(seq) + " is " + std::string(to_string(d.status)) +
                 " " + d.error_code + "\n";
  }
  for (auto& line : story_) out += line + "\n";
  return out;
}

// -- servers ------------------------------------------------------------------------------------

World::Server& World::some_server() { return *servers_[dice_.index(servers_.size())]; }

void World::start_server() {
  auto server = std::make_unique<Server>();
  server->process = std::make_unique<Process>(++servers_started_, database_, clock_, fate_,
                                              plan_.process);
  server->feed = std::make_unique<FeedHub>(*server->process, database_, plan_.feed);
  note("server " + std::to_string(servers_started_) + " starts");
  servers_.push_back(std::move(server));
  recover(*servers_.back(), true);
}

void World::crash_server(std::size_t index, const char* how) {
  auto server = std::move(servers_[index]);
  servers_.erase(servers_.begin() + static_cast<std::ptrdiff_t>(index));
  auto number = server->process->number;
  note("server " + std::to_string(number) + " " + how);
  std::vector<std::function<void()>> lost;
  for (auto it = exchanges_.begin(); it != exchanges_.end();) {
    if (it->second.first == number) {
      lost.push_back(std::move(it->second.second));
      it = exchanges_.erase(it);
    } else {
      ++it;
    }
  }
  server->feed.reset();
  server.reset();
  for (auto& tell : lost) tell();
}

void World::recover(Server& server, bool first) {
  server.next_sweep = uptime_ + (server.recovered ? sweep_every : Millis{1000});
  if (server.recovering || server.process->fenced) return;
  server.recovering = true;
  server.process->recover(first, [&server](bool done) {
    server.recovering = false;
    server.recovered |= done;
  });
}

std::uint64_t World::open_exchange(const Server& server, std::function<void()> lost) {
  exchanges_[++next_exchange_] = {server.process->number, std::move(lost)};
  return next_exchange_;
}

bool World::close_exchange(std::uint64_t id) { return exchanges_.erase(id) > 0; }

void World::feed_acts() {
  if (clients_.empty()) return;
  auto& client = clients_[dice_.index(clients_.size())];
  FeedHub* there = nullptr;
  for (auto& server : servers_)
    if (server->feed->has(client)) there = server->feed.get();
  if (there == nullptr) {
    saw("a feed that resumes");
    some_server().feed->connect(client);
  } else if (!calm_ && dice_.chance(0.05)) {
    there->disconnect(client);
  } else {
    for (auto n = dice_.below(8); n > 0 && there->write_one(client); --n) {
    }
  }
}

}  // namespace sara::simulation
