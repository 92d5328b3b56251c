// Acknowledged webhooks per second: signed posts over loopback, each answered after its commit,
// every status checked, stored rows counted against the acknowledged ids. Twilio messages over 256
// connections and SendGrid batches of 100 events are held against the bare loop of
// reference/ingest.cpp on the same Postgres, in alternating rounds; the ratios' median counts.
#include <cstdio>
#include <functional>

#include "bench/support/database.hpp"
#include "bench/support/load.hpp"
#include "bench/support/measure.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara::bench;
using namespace sara::test;

constexpr std::size_t connections = 256;
/// A batch is a hundred events: more of them in flight than a second's work would only be refused.
constexpr std::size_t batch_connections = 32;
constexpr std::size_t events_per_batch = 100;

/// The bare loop as a child.
struct BareLoop {
  BareLoop(const std::string& database, const std::string& twilio_url, const std::string& token,
           const std::string& key)
      : out(dir.path() + "/out"),
        process({SARA_REFERENCE_DIR "reference_ingest", database, twilio_url, token, key}, {},
                out) {
    bool up = eventually(std::chrono::seconds(20), [&] {
      auto text = read_file(out);
      auto at = text.find("listening ");
      if (at == text.npos || text.find('\n', at) == text.npos) return !process.running();
      port = static_cast<std::uint16_t>(std::atoi(text.c_str() + at + 10));
      return true;
    });
    if (!up || port == 0) throw std::runtime_error("the bare loop: " + read_file(out));
  }
  TempDir dir;
  std::string out;
  Process process;
  std::uint16_t port = 0;
};

struct Measured {
  double per_second = 0;
  double process_us = 0;   ///< processor time of the server or the loop, for each item
  double postgres_us = 0;
  double p50_ms = 0, p99_ms = 0;
};

struct Side {
  pid_t pid;
  std::uint16_t port;
};

struct Bench {
  Server server{Environment{{"MADANSARA_LIMITS_IN_FLIGHT_PER_TENANT_MAX", "4096"}}};
  Tenant tenant = server.make_tenant("bench");
  HttpClient api{server.port(), tenant.api_key};
  Twilio twilio{api};
  SendGrid sendgrid{api};
  Meta meta{api};
  Database database{server, "madansara"};
  pid_t postmaster = database.postmaster();
  std::string run = unique();
  std::size_t serial = 0;
  bool sound = true;

  Measured measure(const Side& side, const std::vector<std::string>& requests, std::size_t items) {
    const auto width = items == requests.size() ? connections : batch_connections;
    double process = cpu_seconds(side.pid), postgres = postgres_cpu_seconds(postmaster);
    auto answers = send_all(side.port, width, requests);
    double n = static_cast<double>(items);
    Measured m;
    m.process_us = (cpu_seconds(side.pid) - process) / n * 1e6;
    m.postgres_us = (postgres_cpu_seconds(postmaster) - postgres) / n * 1e6;
    m.per_second = n / answers.elapsed;
    m.p50_ms = percentile(answers.seconds, 0.5) * 1e3;
    m.p99_ms = percentile(answers.seconds, 0.99) * 1e3;
    if (answers.count(200) != requests.size()) {
      std::fprintf(stderr, "%zu of %zu requests were not answered 200\n",
                   requests.size() - answers.count(200), requests.size());
      sound = false;
    }
    return m;
  }

  std::vector<std::string> messages(std::size_t count, std::uint16_t port, std::size_t contacts) {
    std::vector<std::string> requests;
    for (std::size_t i = 0; i < count; ++i)
      requests.push_back(
          wire(twilio.message("SM" + run + std::to_string(serial++),
                              "+1555" + std::to_string(1'000'000 + i % contacts),
                              "Good morning, is the blue one still there? " + std::to_string(i)),
               port));
    return requests;
  }

  std::vector<std::string> page_messages(std::size_t count, std::uint16_t port,
                                         std::size_t contacts) {
    std::vector<std::string> requests;
    for (std::size_t i = 0; i < count; ++i)
      requests.push_back(wire(meta.messenger("7" + std::to_string(1'000'000 + i % contacts),
                                             "mid." + run + std::to_string(serial++),
                                             "Is the blue one still there?"),
                              port));
    return requests;
  }

  std::vector<std::string> batches(std::size_t count, std::uint16_t port) {
    constexpr const char* kinds[] = {"processed", "delivered", "open", "click"};
    std::vector<std::string> requests;
    for (std::size_t i = 0; i < count; ++i) {
      std::string body = "[";
      for (std::size_t k = 0; k < events_per_batch; ++k, ++serial)
        body += std::string(k ? "," : "") + R"({"email":"p)" + std::to_string(serial) +
                R"(@example.com","timestamp":)" + std::to_string(now_ms() / 1000) +
                R"(,"smtp-id":"<)" + run + std::to_string(serial) + R"(@ismtpd>","event":")" +
                kinds[serial % 4] + R"(","category":"news","sg_event_id":"ev)" + run +
                std::to_string(serial) + R"(","sg_message_id":"msg)" + run +
                std::to_string(serial / 4) +
                R"(.filter0001.16648.5515E0B88.0","useragent":"Mozilla/4.0","ip":"192.0.2.1"})";
      requests.push_back(wire(sendgrid.events(body + "]"), port));
    }
    return requests;
  }

  /// Rows of this run in the server's journal.
  std::size_t stored(const std::string& mark) {
    return static_cast<std::size_t>(
        database.run("SELECT count(DISTINCT dedupe_key) FROM journal WHERE dedupe_key LIKE '%" +
                     mark + run + "%'"));
  }
};

void tell(const std::string& name, const std::vector<Measured>& ours,
          const std::vector<Measured>& bare) {
  auto of = [](const std::vector<Measured>& all, double Measured::*field) {
    std::vector<double> values;
    for (auto& m : all) values.push_back(m.*field);
    return median(values);
  };
  auto ratio = [&](double Measured::*field) {
    std::vector<double> values;
    for (std::size_t i = 0; i < ours.size(); ++i) values.push_back(ours[i].*field / bare[i].*field);
    return median(values);
  };
  Line line("webhook_ingest");
  line.add("case", name)
      .add("rounds", static_cast<double>(ours.size()), 0)
      .add("per_second", of(ours, &Measured::per_second), 0)
      .add("server_us", of(ours, &Measured::process_us), 1)
      .add("postgres_us", of(ours, &Measured::postgres_us), 1)
      .add("p50_ms", of(ours, &Measured::p50_ms))
      .add("p99_ms", of(ours, &Measured::p99_ms));
  if (!bare.empty())
    line.add("reference_per_second", of(bare, &Measured::per_second), 0)
        .add("reference_us", of(bare, &Measured::process_us), 1)
        .add("reference_postgres_us", of(bare, &Measured::postgres_us), 1)
        .add("throughput_ratio", ratio(&Measured::per_second))
        .add("server_cpu_ratio", ratio(&Measured::process_us))
        .add("postgres_cpu_ratio", ratio(&Measured::postgres_us));
  line.print();
}

}  // namespace

int main(int argc, char** argv) {
  // Without an argument all cases, else the one named.
  auto wanted = [&](std::string_view name) { return argc < 2 || name == argv[1]; };
  const auto rounds = from_environment("SARA_BENCH_ROUNDS", 5);
  const auto count = from_environment("SARA_BENCH_MESSAGES", 20'000);
  const auto contacts = from_environment("SARA_BENCH_CONTACTS", 2'000);
  Bench b;
  b.database.run("CREATE DATABASE bare");
  Database bare_database(b.server, "bare");
  BareLoop loop(bare_database.url(), b.twilio.integration.url, b.twilio.auth_token,
                b.sendgrid.public_key());
  const Side ours{b.server.pid(), b.server.port()}, bare{loop.process.pid(), loop.port};

  // Everybody is known before the first round, and every page of the log has been written once.
  b.measure(ours, b.messages(contacts, ours.port, contacts), contacts);
  b.measure(bare, b.messages(contacts, bare.port, contacts), contacts);
  b.measure(ours, b.page_messages(contacts, ours.port, contacts), contacts);
  b.database.run("CHECKPOINT");

  std::vector<Measured> a, r;
  auto round = [&](const std::function<std::vector<std::string>(std::uint16_t)>& make,
                   std::size_t items) {
    auto server_first = a.size() % 2 == 0;
    for (bool server : {server_first, !server_first}) {
      auto& side = server ? ours : bare;
      (server ? a : r).push_back(b.measure(side, make(side.port), items));
    }
  };
  auto check_stored = [&](const char* what, const std::string& mark, std::size_t expected) {
    auto there = b.stored(mark);
    if (there == expected) return;
    std::fprintf(stderr, "%zu %s acknowledged, %zu stored\n", expected, what, there);
    b.sound = false;
  };
  if (wanted("twilio")) {
    for (std::size_t i = 0; i < rounds; ++i)
      round([&](std::uint16_t port) { return b.messages(count, port, contacts); }, count);
    tell("twilio", a, r);
    check_stored("messages", "SM", contacts + rounds * count);
  }

  a.clear();
  r.clear();
  const auto batches = count / events_per_batch * 2;
  const auto events = batches * events_per_batch;
  if (wanted("sendgrid")) {
    for (std::size_t i = 0; i < rounds; ++i)
      round([&](std::uint16_t port) { return b.batches(batches, port); }, events);
    tell("sendgrid", a, r);
    check_stored("events", "ev", rounds * events);
  }

  a.clear();
  if (wanted("meta")) {
    for (std::size_t i = 0; i < rounds; ++i)
      a.push_back(b.measure(ours, b.page_messages(count, ours.port, contacts), count));
    tell("meta", a, {});
    check_stored("page messages", "mid.", contacts + rounds * count);
  }
  return b.sound ? 0 : 1;
}
