// Seconds from the start of a server to its first "ready", after kill -9 under load with a million
// stored messages. The reference is the same program on an almost empty database, in alternating
// rounds. First with Postgres left running, as it is when a server dies; then with Postgres killed
// as well, whose own recovery is part of the time.
#include <cstdio>

#include "bench/support/fill.hpp"
#include "bench/support/measure.hpp"
#include "tests/support/load.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara::bench;
using namespace sara::test;
using namespace std::chrono_literals;

constexpr std::int64_t messages_each = 10;  ///< in a conversation
constexpr std::int64_t tenants = 5;
constexpr std::int64_t replies = 20'000;    ///< settled ones
const std::string first_address = "+15551000000";
const std::string chat_address = "visitor-1000000";

class Site {
 public:
  /// stored: messages; unsettled: replies that wait to be sent at each start
  Site(std::int64_t stored, std::int64_t unsettled) : unsettled_(unsettled) {
    HttpClient api(server_.port(), tenant_.api_key);
    twilio_ = std::make_unique<Twilio>(api);
    make_sandbox(api);
    for (std::int64_t i = 0; i < messages_each; ++i)
      api.send(twilio_->message(message_sid(static_cast<std::uint64_t>(i)), first_address,
                                "Good morning, is the blue one still there? And the red one?"));
    auto sms = database().rows("SELECT id FROM conversation")[0][0];
    auto contact = api.post("/api/v1/contacts", R"({"identities":[{"channel":"chat","address":)" +
                                                    quoted(chat_address) + "}]}");
    auto opened = api.post("/api/v1/conversations",
                           "{\"contact_id\":" + contact.json().root()["id"].dump() + "}");
    chat_ = {tenant_.id, std::string(opened.json().root()["id"].string_or("")), chat_address};
    api.post("/api/v1/conversations/" + chat_.conversation_id + "/messages",
             R"({"body":"Yes, it is. Shall we keep it for you?"})");
    if (!eventually(20s, [&] {
          return database().run("SELECT status FROM delivery") == 5;
        }))
      throw std::runtime_error("the reply was not settled");
    for (std::int64_t i = 1; i < tenants; ++i) {
      auto more = server_.make_tenant("more");
      HttpClient theirs(server_.port(), more.api_key);
      Twilio account(theirs);
      make_sandbox(theirs);
      tenants_.push_back(more.id);
    }
    tenants_.push_back(tenant_.id);
    server_.kill();
    if (stored > 0) {
      multiply(database(), {tenant_.id, sms, first_address},
               {tenants_, stored / messages_each / tenants});
      multiply(database(), chat_, {tenants_, replies / tenants});
      copied_ = replies / tenants;
    }
    settle(database());
    start();
  }

  /// Under load, then kill -9: the server and, if so wished, Postgres. Seconds until it is ready.
  double round(bool postgres_too) {
    std::vector<Ask> asks;
    for (std::size_t i = 0; i < 20'000; ++i)
      asks.push_back(twilio_->message(message_sid(1'000'000'000 + serial_++),
                                      copy_address(first_address, 1 + static_cast<long>(i) % 500),
                                      "still there?"));
    auto before = serial_ - asks.size();
    Background load({.port = server_.port(), .connections = 64}, asks);
    load.answered(2'000);
    server_.kill();
    auto& statuses = load.finish();
    for (std::size_t i = 0; i < statuses.size(); ++i)
      if (statuses[i] == 200) acknowledged_.push_back(before + i);
    if (unsettled_ > 0) {
      Copies queued{tenants_, unsettled_ / tenants, copied_ + 1, true};
      multiply(database(), chat_, queued);
      copied_ += queued.each;
    }
    if (postgres_too) {
      database_.reset();
      server_.kill_postgres();
    }
    return start();
  }

  std::int64_t stored() { return database().run("SELECT count(*) FROM journal WHERE kind = 1"); }
  std::size_t acknowledged() const { return acknowledged_.size(); }

  bool sound() {
    std::string keys;
    for (auto n : acknowledged_)
      keys += (keys.empty() ? "'t/" : ",'t/") + message_sid(1'000'000'000 + n) + "'";
    auto there = static_cast<std::size_t>(database().run(
        "SELECT count(DISTINCT dedupe_key) FROM journal WHERE dedupe_key IN (" + keys + ")"));
    if (there != acknowledged_.size())
      std::fprintf(stderr, "%zu messages acknowledged, %zu stored\n", acknowledged_.size(), there);
    auto verified = server_.command({"verify"});
    if (verified.status != 0) std::fprintf(stderr, "%s\n", verified.output.c_str());
    return there == acknowledged_.size() && verified.status == 0;
  }

 private:
  double start() {
    auto begin = std::chrono::steady_clock::now();
    server_.start();
    return seconds_since(begin);
  }
  Database& database() {
    if (!database_) database_ = std::make_unique<Database>(server_, "madansara");
    return *database_;
  }

  std::int64_t unsettled_;
  Server server_;
  Tenant tenant_ = server_.make_tenant("bench");
  std::unique_ptr<Database> database_;
  std::unique_ptr<Twilio> twilio_;
  Pattern chat_;
  std::vector<std::string> tenants_;
  std::int64_t copied_ = 0;
  std::uint64_t serial_ = 0;
  std::vector<std::uint64_t> acknowledged_;
};

void compare(const std::string& name, Site& full, Site& empty, bool postgres_too,
             std::size_t rounds, std::int64_t unsettled) {
  std::vector<double> a, b, ratios;
  for (std::size_t i = 0; i < rounds; ++i) {
    for (bool first : {i % 2 == 0, i % 2 != 0})
      (first ? a : b).push_back((first ? full : empty).round(postgres_too));
    ratios.push_back(a.back() / b.back());
  }
  Line("recovery")
      .add("case", name)
      .add("rounds", static_cast<double>(rounds), 0)
      .add("stored", static_cast<double>(full.stored()), 0)
      .add("unsettled", static_cast<double>(unsettled), 0)
      .add("ready_s", median(a), 3)
      .add("slowest_s", percentile(a, 1), 3)
      .add("reference_stored", static_cast<double>(empty.stored()), 0)
      .add("reference_s", median(b), 3)
      .add("ratio", median(ratios))
      .print();
}

int run() {
  const auto stored = static_cast<std::int64_t>(from_environment("SARA_BENCH_STORED", 1'000'000));
  const auto unsettled = static_cast<std::int64_t>(from_environment("SARA_BENCH_UNSETTLED", 5'000));
  const auto rounds = from_environment("SARA_BENCH_ROUNDS", 7);
  Site full(stored, unsettled), empty(0, 0);
  compare("server", full, empty, false, rounds, unsettled);
  compare("server_and_postgres", full, empty, true, std::max<std::size_t>(3, rounds / 2),
          unsettled);
  bool sound = full.sound();
  return empty.sound() && sound ? 0 : 1;
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
