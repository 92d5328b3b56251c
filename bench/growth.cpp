// What a message costs as the database grows: processor time of server and Postgres for each
// acknowledged Twilio message, and of the two reads that every inbox does. Servers with databases
// of different sizes stand side by side and take turns with the same load: the ratio of the largest
// to the smallest counts, by rounds. First by stored messages, then by tenants.
#include <cstdio>
#include <functional>
#include <memory>

#include "bench/support/fill.hpp"
#include "bench/support/load.hpp"
#include "bench/support/measure.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara::bench;
using namespace sara::test;

constexpr std::size_t connections = 128;
constexpr std::int64_t messages_each = 10;  ///< in a conversation
const std::string first_address = "+15551000000";

struct Size {
  std::string name;
  std::int64_t stored;
  std::size_t tenants;
  std::size_t active;  ///< conversations that write
};

struct Cost {
  double server_us = 0, postgres_us = 0;
  double per_second = 0;
  double total_us() const { return server_us + postgres_us; }
};

/// One server with its database, and the contacts who write to it.
class Site {
 public:
  explicit Site(const Size& size) : size_(size) { fill(); }

  Cost write(std::size_t count) {
    std::vector<std::string> requests;
    auto tenants = shops_.size();
    for (std::size_t i = 0; i < count; ++i) {
      auto turn = i % size_.active;
      auto& shop = shops_[turn % tenants];
      requests.push_back(wire(shop.twilio.message(message_sid(1'000'000'000 + serial_++),
                                                  contact(turn / tenants),
                                                  "Good morning, is the blue one still there?"),
                              server_.port()));
    }
    acknowledged_ += count;
    return measure(requests, connections, 200);
  }

  Cost read_inbox(std::size_t count) {
    return measure(std::vector(count, get("/api/v1/conversations?limit=50")), 1, 200);
  }

  Cost read_threads(std::size_t count) {
    std::vector<std::string> requests;
    for (std::size_t i = 0; i < count; ++i)
      requests.push_back(get("/api/v1/conversations/" + threads_[i % threads_.size()] +
                             "/messages?limit=50"));
    return measure(requests, 1, 200);
  }

  void settle() { sara::bench::settle(database()); }
  /// Everything acknowledged is there, once, and every invariant holds.
  bool sound() {
    auto there = database().run("SELECT count(*) FROM journal WHERE kind = 1");
    auto wanted = filled_ + static_cast<std::int64_t>(acknowledged_);
    if (there != wanted)
      std::fprintf(stderr, "%s: %lld messages, not %lld\n", size_.name.c_str(),
                   static_cast<long long>(there), static_cast<long long>(wanted));
    bool good = refused_ == 0 && there == wanted;
    auto verified = server_.command({"verify"});
    if (verified.status != 0) std::fprintf(stderr, "%s\n", verified.output.c_str());
    return good && verified.status == 0;
  }
  std::int64_t server_bytes() { return resident_bytes(server_.pid()); }

 private:
  Database& database() {
    if (!database_) database_ = std::make_unique<Database>(server_, "madansara");
    return *database_;
  }

  std::int64_t copies() const {
    return size_.stored / messages_each / static_cast<std::int64_t>(size_.tenants);
  }
  /// Those who write stand all over what is stored.
  std::string contact(std::size_t n) const {
    auto each = static_cast<std::int64_t>(size_.active / shops_.size());
    auto step = std::max<std::int64_t>(1, copies() / each);
    return copy_address(first_address, 1 + static_cast<std::int64_t>(n) * step);
  }

  std::string get(const std::string& target) {
    return wire({"GET", target, "", {{"Authorization", "Bearer " + tenant_.api_key}}},
                server_.port());
  }

  Cost measure(const std::vector<std::string>& requests, std::size_t lanes, int wanted) {
    auto postmaster = database().postmaster();
    double server = cpu_seconds(server_.pid()), postgres = postgres_cpu_seconds(postmaster);
    auto answers = send_all(server_.port(), lanes, requests);
    double n = static_cast<double>(requests.size());
    Cost cost;
    cost.server_us = (cpu_seconds(server_.pid()) - server) / n * 1e6;
    cost.postgres_us = (postgres_cpu_seconds(postmaster) - postgres) / n * 1e6;
    cost.per_second = n / answers.elapsed;
    if (auto good = answers.count(wanted); good != requests.size()) {
      std::fprintf(stderr, "%s: %zu requests were not answered %d\n", size_.name.c_str(),
                   requests.size() - good, wanted);
      refused_ += requests.size() - good;
    }
    return cost;
  }

  void fill() {
    HttpClient api(server_.port(), tenant_.api_key);
    Twilio twilio(api);
    for (std::int64_t i = 0; i < messages_each; ++i)
      api.send(twilio.message(message_sid(static_cast<std::uint64_t>(i)), first_address,
                              "Good morning, is the blue one still there? And the red one?"));
    shops_ = make_shops(server_.port(), database(), twilio, size_.tenants - 1);
    shops_.insert(shops_.begin(), {tenant_.id, tenant_.api_key, twilio});
    auto conversation = database().rows("SELECT id FROM conversation")[0][0];
    server_.kill();
    Copies copies;
    for (auto& shop : shops_) copies.tenants.push_back(shop.tenant_id);
    copies.each = this->copies();
    multiply(database(), {tenant_.id, conversation, first_address}, copies);
    filled_ = database().run("SELECT count(*) FROM journal WHERE kind = 1");
    settle();
    server_.start();
    for (auto& row : database().rows("SELECT id FROM conversation WHERE tenant_id = '" +
                                     tenant_.id + "' ORDER BY md5(id::text) LIMIT 200"))
      threads_.push_back(row[0]);
  }

  Size size_;
  Server server_{Environment{{"MADANSARA_LIMITS_IN_FLIGHT_PER_TENANT_MAX", "4096"}}};
  Tenant tenant_ = server_.make_tenant("bench");
  std::unique_ptr<Database> database_;
  std::vector<Shop> shops_;
  std::vector<std::string> threads_;
  std::uint64_t serial_ = 0;
  std::int64_t filled_ = 0;
  std::size_t acknowledged_ = 0, refused_ = 0;
};

struct Sizes {
  std::size_t rounds, messages, reads;
};

/// Sites in the order of their sizes. False: something acknowledged is missing.
bool compare(const std::string& name, const std::vector<Size>& sizes, const Sizes& load) {
  std::vector<std::unique_ptr<Site>> sites;
  for (auto& size : sizes) {
    auto begin = std::chrono::steady_clock::now();
    sites.push_back(std::make_unique<Site>(size));
    std::fprintf(stderr, "%s %s filled in %.0f s\n", name.c_str(), size.name.c_str(),
                 seconds_since(begin));
  }
  // Everyone is resident, and the pages of the indexes are in the log since the checkpoint.
  for (auto& site : sites) site->write(3 * load.messages);

  std::vector<std::vector<Cost>> writes(sites.size()), inbox(sites.size()), threads(sites.size());
  for (std::size_t round = 0; round < load.rounds; ++round)
    for (std::size_t turn = 0; turn < sites.size(); ++turn) {
      auto i = round % 2 == 0 ? turn : sites.size() - 1 - turn;
      writes[i].push_back(sites[i]->write(load.messages));
      inbox[i].push_back(sites[i]->read_inbox(load.reads));
      threads[i].push_back(sites[i]->read_threads(load.reads));
    }

  auto medians = [](const std::vector<Cost>& costs, const std::function<double(const Cost&)>& of) {
    std::vector<double> values;
    for (auto& cost : costs) values.push_back(of(cost));
    return median(values);
  };
  auto ratio = [](const std::vector<Cost>& a, const std::vector<Cost>& b,
                  const std::function<double(const Cost&)>& of) {
    std::vector<double> values;
    for (std::size_t i = 0; i < a.size(); ++i) values.push_back(of(a[i]) / of(b[i]));
    return median(values);
  };
  auto total = [](const Cost& c) { return c.total_us(); };
  auto server = [](const Cost& c) { return c.server_us; };
  auto postgres = [](const Cost& c) { return c.postgres_us; };
  auto speed = [](const Cost& c) { return c.per_second; };
  for (std::size_t i = 0; i < sites.size(); ++i) {
    Line line("growth");
    line.add("case", name)
        .add(name, sizes[i].name)
        .add("rounds", static_cast<double>(load.rounds), 0)
        .add("per_second", medians(writes[i], speed), 0)
        .add("server_us", medians(writes[i], server), 1)
        .add("postgres_us", medians(writes[i], postgres), 1)
        .add("inbox_us", medians(inbox[i], total), 0)
        .add("thread_us", medians(threads[i], total), 0)
        .add("server_mb", static_cast<double>(sites[i]->server_bytes()) / 1e6, 0);
    if (i > 0)
      line.add("reference", sizes[0].name)
          .add("cost_ratio", ratio(writes[i], writes[0], total))
          .add("server_cpu_ratio", ratio(writes[i], writes[0], server))
          .add("postgres_cpu_ratio", ratio(writes[i], writes[0], postgres))
          .add("throughput_ratio", ratio(writes[i], writes[0], speed))
          .add("inbox_ratio", ratio(inbox[i], inbox[0], total))
          .add("thread_ratio", ratio(threads[i], threads[0], total));
    line.print();
  }
  bool sound = true;
  for (auto& site : sites) sound = site->sound() && sound;
  return sound;
}

int run() {
  const Sizes load{from_environment("SARA_BENCH_ROUNDS", 7),
                   from_environment("SARA_BENCH_MESSAGES", 10'000), 200};
  const auto stored_max = from_environment("SARA_BENCH_STORED_MAX", 1'000'000);
  const auto tenants_max = from_environment("SARA_BENCH_TENANTS_MAX", 10'000);
  std::vector<Size> by_stored, by_tenants;
  for (std::size_t n : {10'000, 1'000'000, 10'000'000})
    if (n <= stored_max)
      by_stored.push_back({std::to_string(n), static_cast<std::int64_t>(n), 1, 1000});
  for (std::size_t n : {1, 100, 10'000})
    if (n <= tenants_max) by_tenants.push_back({std::to_string(n), 200'000, n, 10'000});
  bool sound = compare("stored", by_stored, load);
  return compare("tenants", by_tenants, load) && sound ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
