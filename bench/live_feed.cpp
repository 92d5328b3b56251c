// The live feed: what one tenant's subscribers get while webhooks come in as fast as the events can
// be delivered, held against the bare loop of reference/live_feed.cpp that send()s the same frame
// to as many sockets, in alternating rounds; how late an event is at a moderate rate; and what
// 10,000 idle WebSockets cost in memory.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "bench/support/audience.hpp"
#include "bench/support/load.hpp"
#include "bench/support/measure.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara::bench;
using namespace sara::test;
using Steady = std::chrono::steady_clock;

constexpr std::size_t connections = 64;
constexpr std::size_t contacts = 1'000;

/// Posts signed messages, one at a time on each connection; the caller says how many may go.
class Feeder {
 public:
  Feeder(std::uint16_t port, const Twilio& twilio)
      : port_(port), twilio_(twilio), poll_(epoll_create1(EPOLL_CLOEXEC)), places_(connections) {
    for (auto& p : places_) {
      p.fd = connect_to(port);
      epoll_event interest{};
      interest.events = EPOLLIN;
      interest.data.ptr = &p;
      epoll_ctl(poll_, EPOLL_CTL_ADD, p.fd, &interest);
    }
  }
  ~Feeder() {
    for (auto& p : places_) close(p.fd);
    close(poll_);
  }
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;

  /// Takes the answers that are there, and sends until `allowed` messages have gone in all.
  void step(std::uint64_t allowed) {
    epoll_event events[connections];
    int n = epoll_wait(poll_, events, connections, 0);
    for (int i = 0; i < n; ++i) take(*static_cast<Place*>(events[i].data.ptr));
    for (auto& p : places_) {
      if (sent_ >= allowed) break;
      if (!p.busy) post(p);
    }
  }
  int fd() const { return poll_; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t refused() const { return refused_; }

 private:
  struct Place {
    int fd = -1;
    bool busy = false;
    std::string received;
  };

  void post(Place& p) {
    auto ask = twilio_.message("SM" + run_ + std::to_string(sent_),
                               "+1555" + std::to_string(1'000'000 + sent_ % contacts),
                               "Good morning, is the blue one still there?");
    auto bytes = wire(ask, port_);
    if (send(p.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("the feeder cannot send");
    p.busy = true;
    ++sent_;
  }

  void take(Place& p) {
    char bytes[4096];
    auto got = recv(p.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got <= 0) throw std::runtime_error("a webhook's connection was closed");
    p.received.append(bytes, static_cast<std::size_t>(got));
    int status = whole_answer(p.received);
    if (status == 0) return;
    ++(status == 200 ? acknowledged_ : refused_);
    bool last = p.received.find("\r\nConnection: close\r\n") != std::string::npos;
    p.busy = false;
    p.received.clear();
    if (!last) return;
    close(p.fd);
    p.fd = connect_to(port_);
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.ptr = &p;
    epoll_ctl(poll_, EPOLL_CTL_ADD, p.fd, &interest);
  }

  std::uint16_t port_;
  const Twilio& twilio_;
  int poll_;
  std::vector<Place> places_;
  std::string run_ = unique();
  std::uint64_t sent_ = 0, acknowledged_ = 0, refused_ = 0;
};

struct Measured {
  double per_second = 0;
  double cpu_us = 0;  ///< of the server or the loop, for each delivery
};

/// The bare loop as a child.
struct BareLoop {
  BareLoop(std::size_t sockets, const std::string& frame) {
    std::ofstream(dir.path() + "/frame", std::ios::binary) << frame;
    process = std::make_unique<Process>(
        std::vector<std::string>{SARA_REFERENCE_DIR "reference_live_feed",
                                 std::to_string(sockets), dir.path() + "/frame"},
        Environment{}, out);
    eventually(std::chrono::seconds(20), [&] {
      auto text = read_file(out);
      if (text.find('\n') == text.npos) return !process->running();
      port = static_cast<std::uint16_t>(std::atoi(text.c_str() + text.find(' ')));
      return true;
    });
    if (port == 0) throw std::runtime_error("the bare loop: " + read_file(out));
  }
  TempDir dir;
  std::string out = dir.path() + "/out";
  std::unique_ptr<Process> process;
  std::uint16_t port = 0;
};

struct Bench {
  Server server;
  std::size_t subscribers = from_environment("SARA_BENCH_SUBSCRIBERS", 1'000);
  double round_s = static_cast<double>(from_environment("SARA_BENCH_ROUND_MS", 3'000)) / 1000;
  std::uint64_t ahead = from_environment("SARA_BENCH_AHEAD", 128);
  std::string sample;
  bool sound = true;

  void complain(const std::string& what) {
    std::fprintf(stderr, "live_feed: %s\n", what.c_str());
    sound = false;
  }
  void check(const Audience& audience) {
    if (!audience.sound()) complain(audience.wrong());
  }

  static std::string handshake(const std::string& api_key, std::uint16_t port) {
    return "GET /api/v1/inbox/live HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
           "\r\nAuthorization: Bearer " + api_key +
           "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  }

  /// As fast as events are delivered: at most `ahead` are on their way at once.
  Measured saturate(const Tenant& tenant, const Twilio& twilio) {
    Audience audience(server.port(), subscribers, handshake(tenant.api_key, server.port()));
    Feeder feeder(server.port(), twilio);
    auto start = audience.slowest();
    audience.subscribe();
    auto turn = [&](std::uint64_t allowed) {
      pollfd either[] = {{audience.fd(), POLLIN, 0}, {feeder.fd(), POLLIN, 0}};
      poll(either, 2, 100);
      audience.read(0);
      feeder.step(allowed);
    };
    auto delivered = [&] { return static_cast<std::uint64_t>(audience.slowest() - start); };
    auto run = [&](double seconds) {
      auto begin = Steady::now();
      while (seconds_since(begin) < seconds && audience.sound()) turn(delivered() + ahead);
      return seconds_since(begin);
    };
    feeder.step(ahead);
    run(round_s / 6);
    auto cpu = cpu_seconds(server.pid());
    auto before = audience.events();
    auto elapsed = run(round_s);
    auto n = static_cast<double>(audience.events() - before);
    Measured m{n / elapsed, (cpu_seconds(server.pid()) - cpu) / n * 1e6};
    // What was acknowledged must arrive, everywhere.
    auto begin = Steady::now();
    while (audience.sound() && seconds_since(begin) < 20 &&
           (feeder.acknowledged() < feeder.sent() || delivered() < feeder.sent()))
      turn(0);
    check(audience);
    if (feeder.acknowledged() != feeder.sent() || delivered() != feeder.sent() ||
        audience.events() != feeder.sent() * subscribers)
      complain(std::to_string(feeder.sent()) + " messages, " +
               std::to_string(feeder.acknowledged()) + " acknowledged, " +
               std::to_string(delivered()) + " with everybody, " +
               std::to_string(audience.events()) + " deliveries");
    if (sample.empty()) sample = audience.sample();
    return m;
  }

  Measured saturate(const BareLoop& bare) {
    Audience audience(bare.port, subscribers, handshake("nobody", bare.port));
    audience.subscribe();
    auto run = [&](double seconds) {
      auto begin = Steady::now();
      while (seconds_since(begin) < seconds && audience.sound()) audience.read(100);
      return seconds_since(begin);
    };
    run(round_s / 6);
    auto cpu = cpu_seconds(bare.process->pid());
    auto before = audience.events();
    auto elapsed = run(round_s);
    auto n = static_cast<double>(audience.events() - before);
    check(audience);
    return {n / elapsed, (cpu_seconds(bare.process->pid()) - cpu) / n * 1e6};
  }

  void saturated() {
    auto tenant = server.make_tenant("saturated");
    HttpClient api(server.port(), tenant.api_key);
    Twilio twilio(api);
    saturate(tenant, twilio);  // Everybody is known, every page has been touched.
    BareLoop bare(subscribers, sample);
    std::vector<double> ours, theirs, our_cpu, their_cpu, ratio, cpu_ratio;
    for (std::size_t i = 0; i < from_environment("SARA_BENCH_ROUNDS", 5); ++i) {
      Measured a, b;
      if (i % 2 == 0) a = saturate(tenant, twilio);
      b = saturate(bare);
      if (i % 2 != 0) a = saturate(tenant, twilio);
      ours.push_back(a.per_second);
      theirs.push_back(b.per_second);
      our_cpu.push_back(a.cpu_us);
      their_cpu.push_back(b.cpu_us);
      ratio.push_back(a.per_second / b.per_second);
      cpu_ratio.push_back(a.cpu_us / b.cpu_us);
    }
    Line("live_feed")
        .add("case", "saturated")
        .add("subscribers", static_cast<double>(subscribers), 0)
        .add("frame_bytes", static_cast<double>(sample.size()), 0)
        .add("rounds", static_cast<double>(ours.size()), 0)
        .add("deliveries_per_second", median(ours), 0)
        .add("server_us", median(our_cpu))
        .add("reference_per_second", median(theirs), 0)
        .add("reference_us", median(their_cpu))
        .add("throughput_ratio", median(ratio))
        .add("server_cpu_ratio", median(cpu_ratio))
        .print();
  }

  /// A message every 20 ms: from its posting to each socket.
  void moderate() {
    auto tenant = server.make_tenant("moderate");
    HttpClient api(server.port(), tenant.api_key);
    Twilio twilio(api);
    Audience audience(server.port(), subscribers, handshake(tenant.api_key, server.port()));
    Feeder feeder(server.port(), twilio);
    auto start = audience.slowest();
    audience.subscribe();
    constexpr auto every = std::chrono::milliseconds(20);
    const auto count = from_environment("SARA_BENCH_MODERATE", 250);
    std::vector<Steady::time_point> posted;
    std::vector<double> late, acknowledged;
    audience.on_event = [&](std::int64_t seq) {
      late.push_back(seconds_since(posted[static_cast<std::size_t>(seq - start - 1)]) * 1e3);
    };
    auto next = Steady::now();
    for (auto begin = next; audience.sound() && seconds_since(begin) < 60;) {
      if (posted.size() < count && Steady::now() >= next) {
        posted.push_back(Steady::now());
        next += every;
        feeder.step(posted.size());
      }
      pollfd either[] = {{audience.fd(), POLLIN, 0}, {feeder.fd(), POLLIN, 0}};
      poll(either, 2, 1);
      auto before = feeder.acknowledged();
      feeder.step(posted.size());
      if (feeder.acknowledged() > before)
        acknowledged.push_back(seconds_since(posted[feeder.acknowledged() - 1]) * 1e3);
      audience.read(0);
      if (late.size() == count * subscribers) break;
    }
    check(audience);
    if (late.size() != count * subscribers) complain("not all was delivered at a moderate rate");
    Line("live_feed")
        .add("case", "moderate")
        .add("subscribers", static_cast<double>(subscribers), 0)
        .add("events_per_second", 50, 0)
        .add("p50_ms", percentile(late, 0.5))
        .add("p99_ms", percentile(late, 0.99))
        .add("reference_acknowledged_p50_ms", percentile(acknowledged, 0.5))
        .add("reference_acknowledged_p99_ms", percentile(acknowledged, 0.99))
        .print();
  }

  /// Bytes for each socket of so many that hear nothing but their heartbeat.
  double growth(pid_t pid, std::uint16_t port, const std::string& api_key, std::size_t count,
                bool heartbeat) {
    auto before = resident_bytes(pid);
    Audience audience(port, count, handshake(api_key, port));
    audience.subscribe();
    auto begin = Steady::now();
    while (heartbeat && seconds_since(begin) < 60 && audience.sound() &&
           (audience.pings() < count || audience.marks() < count))
      audience.read(100);
    auto grown = static_cast<double>(resident_bytes(pid) - before);
    if (heartbeat && (audience.pings() < count || audience.marks() < count))
      complain("a socket had no heartbeat");
    check(audience);
    return grown / static_cast<double>(count);
  }

  void idle() {
    const auto count = from_environment("SARA_BENCH_IDLE", 10'000);
    auto tenant = server.make_tenant("idle");
    {
      Audience first(server.port(), 10, handshake(tenant.api_key, server.port()));
    }
    auto ours = growth(server.pid(), server.port(), tenant.api_key, count, true);
    BareLoop bare(count, "");
    auto theirs = growth(bare.process->pid(), bare.port, "nobody", count, false);
    constexpr double must = 6 << 10;
    Line("live_feed")
        .add("case", "idle")
        .add("sockets", static_cast<double>(count), 0)
        .add("bytes_per_socket", ours, 0)
        .add("reference_bytes", theirs, 0)
        .add("promised_bytes", must, 0)
        .add("ratio_to_promise", ours / must)
        .print();
  }
};

}  // namespace

int main() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  Bench bench;
  bench.idle();
  bench.saturated();
  bench.moderate();
  return bench.sound ? 0 : 1;
}
