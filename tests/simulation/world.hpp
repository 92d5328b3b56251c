// Everything outside of the engine, drawn from one seed: contacts who write, providers who deliver
// at least once, people who answer, open inboxes, the database's troubles, crashes, a second
// server, clocks that jump. One thread, no real time: the same seed gives the same run.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "edge.hpp"
#include "feed.hpp"
#include "ledger.hpp"
#include "process.hpp"

namespace sara::simulation {

/// Draws that are the same on every machine.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t n) { return engine_() % n; }
  std::size_t index(std::size_t size) { return static_cast<std::size_t>(below(size)); }
  bool chance(double p) { return static_cast<double>(engine_() >> 11) * 0x1.0p-53 < p; }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[index(values.size())];
  }

 private:
  std::mt19937_64 engine_;
};

/// What one seed makes of the world. Each trouble is there or not, so that some runs have one only.
struct Plan {
  std::size_t tenants = 1;
  std::size_t people = 5;
  int messages = 200;
  int replies = 40;
  std::size_t clients = 2;
  double commit_fails = 0, read_fails = 0, read_is_late = 0, answer_lost = 0, provider_fails = 0;
  double repeated = 0.1;  ///< of what is acknowledged already
  double starved = 0;     ///< of the steps: an actor is held up
  double crash_actor = 0, crash_process = 0, takeover = 0, outage = 0, clock_jump = 0, poison = 0;
  bool statuses_early = false;
  bool references = true;
  ProcessOptions process;
  FeedHub::Limits feed;
  static Plan draw(Dice& dice);
};

/// What has happened, to see that it was worth it.
struct Stats {
  std::uint64_t steps = 0;
  std::map<std::string, std::uint64_t> seen;  ///< each kind of trouble, and how often
};

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();

  /// True if everything held.
  bool run();
  /// The seed, the step, what was wrong, and what had happened before.
  std::string report() const;
  std::uint64_t hash() const { return hash_; }
  const Stats& stats() const { return stats_; }

 private:
  struct Server {
    std::unique_ptr<Process> process;
    std::unique_ptr<FeedHub> feed;
    bool recovered = false;
    bool recovering = false;
    Millis next_sweep{};
    std::uint64_t commands = 0;
  };
  /// A person, as the channels know them.
  struct Person {
    std::size_t tenant = 0;
    std::vector<domain::Identity> addresses;
    bool by_api = false;  ///< the tenant makes the contact by hand, at some time
    bool made = false;
  };
  /// One event that a provider has to deliver until it is acknowledged.
  struct Event {
    std::size_t tenant = 0;
    domain::Provider provider = domain::Provider::sandbox;
    domain::WebhookEvent what;
    std::string address;
    bool poison = false;
    bool acknowledged = false;
    int in_flight = 0;
  };
  /// A request of a person who answers.
  struct Ask {
    std::size_t tenant = 0;
    ConversationId conversation;
    ContactId contact;
    bool opens = false;
    bool with_message = true;
    std::string body;
    std::string key;
    domain::Channel channel = domain::Channel::none;
    bool in_flight = false;
    bool closed = false;
    bool accepted = false;
    std::string answer;
    Millis next_try{};
  };
  /// A message as its provider has it.
  struct Parcel {
    std::string body;
    std::string id;
    bool refused = false;
    bool accepted = false;
    int handed_over = 0;
  };

  // The run.
  void step();
  void act();
  void trouble();
  void pass_time();
  bool run_job();
  bool settle(const char* what, Millis patience, const std::function<bool()>& done);
  bool quiet();
  void wrong(const std::string& what);
  void note(const std::string& line);
  void saw(const std::string& what) { ++stats_.seen[what]; }
  void mix(std::uint64_t value);
  void check();

  // Servers.
  Server& some_server();
  void start_server();
  void crash_server(std::size_t index, const char* how);
  void recover(Server& server, bool first);
  std::uint64_t open_exchange(const Server& server, std::function<void()> lost);
  bool close_exchange(std::uint64_t id);

  // Providers.
  TenantId id_of(std::size_t tenant) const { return TenantId{Uuid{tenant + 1, tenant + 1}}; }
  void somebody_writes();
  void person_writes(std::size_t person, std::size_t address);
  void echo(std::size_t person);
  void odd_event();
  void withdraw();
  void watermark(std::size_t person);
  std::size_t add_event(Event event);
  void report_on(std::size_t tenant, const std::string& provider_message_id,
                 const std::string& reference, domain::Channel channel,
                 std::vector<domain::MessageStatus> path);
  void deliver_some(bool again);
  void deliver(std::size_t tenant, domain::Provider provider, std::vector<std::size_t> ids);
  void acknowledged(const Event& event);
  void accept(const messages::SandboxSend& m, Fate::Accepted answer);
  void post(const messages::PostCallback& m, std::function<void(int)> answer);

  // People.
  void somebody_answers();
  void try_ask(std::size_t index);
  void asked(std::size_t index, Result<messages::Answered> answer, const Server& server);
  void make_contact(std::size_t person);
  void feed_acts();

  // The ends.
  void committed(const std::vector<Database::Written>& written);
  void check_people();
  void check_statuses();

  const std::uint64_t seed_;
  Dice dice_;
  Plan plan_;
  Stats stats_;
  ManualClock clock_;
  Millis uptime_{};  ///< monotonic, unlike the clock
  Database database_;
  Ledger ledger_{database_};
  Fate fate_;
  std::vector<messages::TenantPtr> tenants_;
  std::vector<std::unique_ptr<Server>> servers_;
  int servers_started_ = 0;
  std::vector<Person> people_;
  std::vector<Event> events_;
  std::vector<std::size_t> open_events_;
  std::deque<Ask> asks_;
  std::deque<FeedClient> clients_;
  std::map<std::pair<TenantId, std::string>, Parcel> parcels_;
  std::map<std::string, std::string> parcel_of_body_;
  std::map<std::string, int> outbound_;  ///< bodies of messages we sent, and how often
  /// The state that a message must end in, by its provider's id.
  std::map<std::pair<TenantId, std::string>, domain::MessageStatus> expected_;
  std::map<std::pair<TenantId, Sequence>, std::string> id_of_message_;
  std::vector<std::function<void()>> late_;  ///< answers of providers that come late
  std::map<std::uint64_t, std::pair<int, std::function<void()>>> exchanges_;
  std::uint64_t next_exchange_ = 0;
  /// Per server and address: when a message was sent, and which number it got at once.
  std::map<std::pair<int, std::string>, std::map<std::uint64_t, Sequence>> order_;
  std::map<std::pair<int, caf::actor_id>, std::uint64_t> starved_;
  Millis database_back_{};
  bool calm_ = false;
  Millis calm_since_{};
  int messages_left_ = 0;
  int replies_left_ = 0;
  std::uint64_t counter_ = 0;
  std::uint64_t hash_ = 0xcbf29ce484222325ull;
  std::deque<std::string> story_;
  std::string violation_;
};

}  // namespace sara::simulation
