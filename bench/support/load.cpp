#include "bench/support/load.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <stdexcept>

#include "bench/support/measure.hpp"

namespace sara::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::minutes(2);

struct Connection {
  int fd = -1;
  std::size_t request = 0;
  std::string received;
  Clock::time_point sent;
};

}  // namespace

int connect_to(std::uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
    throw std::runtime_error("the load cannot connect");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int whole_answer(const std::string& received) {
  auto end = received.find("\r\n\r\n");
  if (end == std::string::npos) return 0;
  std::size_t length = 0;
  if (auto at = received.find("Content-Length: "); at < end)
    std::from_chars(received.data() + at + 16, received.data() + end, length);
  if (received.size() < end + 4 + length) return 0;
  return std::atoi(received.c_str() + 9);
}

std::string wire(const test::Ask& ask, std::uint16_t port) {
  std::string out = ask.method + " " + ask.target + " HTTP/1.1\r\nHost: 127.0.0.1:" +
                    std::to_string(port) + "\r\n";
  for (auto& [name, value] : ask.headers) out += name + ": " + value + "\r\n";
  return out + "Content-Length: " + std::to_string(ask.body.size()) + "\r\n\r\n" + ask.body;
}

std::size_t Answers::count(int wanted) const {
  return static_cast<std::size_t>(std::count(status.begin(), status.end(), wanted));
}

Answers send_all(std::uint16_t port, std::size_t connections,
                 const std::vector<std::string>& requests) {
  Answers answers;
  answers.status.resize(requests.size());
  answers.seconds.resize(requests.size());
  int poll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Connection> all(std::min(connections, requests.size()));
  std::size_t next = 0, open = 0;
  auto begin = Clock::now();

  auto send_next = [&](Connection& c) {
    if (next == requests.size()) {
      close(c.fd);
      c.fd = -1;
      --open;
      return;
    }
    c.request = next++;
    c.received.clear();
    c.sent = Clock::now();
    auto& bytes = requests[c.request];
    // A request of some kilobytes always fits into an idle socket's buffer.
    if (send(c.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("the load cannot send");
  };
  auto join = [&](Connection& c) {
    c.fd = connect_to(port);
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.ptr = &c;
    epoll_ctl(poll, EPOLL_CTL_ADD, c.fd, &interest);
  };
  for (auto& c : all) {
    join(c);
    ++open;
  }
  begin = Clock::now();
  for (auto& c : all) send_next(c);

  std::vector<epoll_event> events(256);
  char bytes[16384];
  while (open > 0 && Clock::now() - begin < patience) {
    int n = epoll_wait(poll, events.data(), static_cast<int>(events.size()), 1000);
    for (int i = 0; i < n; ++i) {
      auto& c = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      auto got = recv(c.fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got <= 0) {
        close(c.fd);
        join(c);
        send_next(c);
        continue;
      }
      c.received.append(bytes, static_cast<std::size_t>(got));
      int status = whole_answer(c.received);
      if (status == 0) continue;
      answers.status[c.request] = status;
      answers.seconds[c.request] = seconds_since(c.sent);
      if (c.received.find("\r\nConnection: close\r\n") != std::string::npos) {
        close(c.fd);
        join(c);
      }
      send_next(c);
    }
  }
  answers.elapsed = seconds_since(begin);
  for (auto& c : all)
    if (c.fd >= 0) close(c.fd);
  close(poll);
  return answers;
}

namespace {

/// One stream at work.
struct Sender {
  struct Line {
    int fd = -1;
    Sender* of = nullptr;
    std::size_t request = 0;
    double due = 0;
    bool busy = false;
    bool counts = false;
    std::string received;
  };
  const Stream* stream = nullptr;
  Flow flow;
  std::vector<Line> lines;
  std::vector<Line*> idle;
  std::deque<double> waiting;      ///< when those were due that have no connection yet
  std::deque<std::size_t> again;   ///< refused requests
  std::size_t fresh = 0;           ///< the first request that was never sent
  std::size_t arrivals = 0;
  std::size_t open = 0;            ///< requests without an answer

  bool has_request() const { return !again.empty() || fresh < stream->requests->size(); }
  std::size_t take_request() {
    // Redeliveries come later, as with providers.
    if (fresh < stream->requests->size()) return fresh++;
    auto first = again.front();
    again.pop_front();
    return first;
  }
};

void watch(int poll, Sender::Line& line) {
  epoll_event interest{};
  interest.events = EPOLLIN;
  interest.data.ptr = &line;
  epoll_ctl(poll, EPOLL_CTL_ADD, line.fd, &interest);
}

/// As many as the system lets us have: a flood has more connections than a program usually opens.
void allow_many_files() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

/// Sends what is due, as far as there are connections.
void send_due(Sender& s, double now, double settle) {
  while (!s.waiting.empty() && !s.idle.empty() && s.has_request()) {
    auto& line = *s.idle.back();
    s.idle.pop_back();
    line.due = s.waiting.front();
    s.waiting.pop_front();
    line.request = s.take_request();
    line.busy = true;
    line.counts = now >= settle;
    line.received.clear();
    auto& bytes = (*s.stream->requests)[line.request];
    if (send(line.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("the load cannot send");
    s.flow.sent += line.counts;
    ++s.open;
  }
}

void take_answer(Sender::Line& line, int status, double now) {
  auto& s = *line.of;
  --s.open;
  bool refused = status == 503 || status == 429;
  if (refused) s.again.push_back(line.request);
  if (!line.counts) return;
  if (status == 200) {
    ++s.flow.good;
    s.flow.seconds.push_back(now - line.due);
    s.flow.answered_at.push_back(now);
    return;
  }
  s.flow.last_not_good_at = now;
  if (refused) {
    ++s.flow.refused;
    s.flow.refused_without_retry_after +=
        line.received.find("\r\nRetry-After: ") == std::string::npos;
  } else if (status >= 500) {
    ++s.flow.other_5xx;
  } else {
    ++s.flow.failed;
  }
}

}  // namespace

std::vector<Flow> send_at_rate(std::uint16_t port, const std::vector<Stream>& streams,
                               double seconds, double settle,
                               const std::function<void()>& settled) {
  constexpr double patience_s = 5;
  allow_many_files();
  int poll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Sender> senders(streams.size());
  for (std::size_t i = 0; i < streams.size(); ++i) {
    auto& s = senders[i];
    s.stream = &streams[i];
    s.lines.resize(streams[i].connections);
    for (auto& line : s.lines) {
      line.fd = connect_to(port);
      line.of = &s;
      watch(poll, line);
      s.idle.push_back(&line);
    }
  }
  auto begin = Clock::now();
  std::vector<epoll_event> events(1024);
  char bytes[16384];
  bool told = !settled;
  auto under_way = [&] {
    return std::any_of(senders.begin(), senders.end(), [](auto& s) { return s.open > 0; });
  };
  for (double now = 0; now < seconds || (under_way() && now < seconds + patience_s);
       now = seconds_since(begin)) {
    double next = seconds;
    if (!told && now >= settle) {
      told = true;
      settled();
    }
    for (auto& s : senders) {
      auto due = static_cast<std::size_t>(std::min(now, seconds) * s.stream->per_second);
      for (; s.arrivals < due; ++s.arrivals) {
        auto at = static_cast<double>(s.arrivals) / s.stream->per_second;
        s.waiting.push_back(at);
        s.flow.due += at >= settle;
      }
      if (now < seconds) send_due(s, now, settle);
      next = std::min(next, static_cast<double>(s.arrivals + 1) / s.stream->per_second);
    }
    auto pause = now < seconds ? std::clamp(next - now, 0.0, 0.05) : 0.05;
    timespec wait{0, static_cast<long>(pause * 1e9)};
    int n = epoll_pwait2(poll, events.data(), static_cast<int>(events.size()), &wait, nullptr);
    now = seconds_since(begin);
    for (int i = 0; i < n; ++i) {
      auto& line = *static_cast<Sender::Line*>(events[static_cast<std::size_t>(i)].data.ptr);
      auto& s = *line.of;
      auto got = recv(line.fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got > 0) line.received.append(bytes, static_cast<std::size_t>(got));
      int status = got > 0 ? whole_answer(line.received) : -1;
      if (status == 0) continue;
      bool ended = status < 0 ||
                   line.received.find("\r\nConnection: close\r\n") != std::string::npos;
      if (std::exchange(line.busy, false)) {
        take_answer(line, status, now);
        s.idle.push_back(&line);
      }
      if (ended) {
        close(line.fd);
        line.fd = connect_to(port);
        watch(poll, line);
      }
    }
  }
  std::vector<Flow> flows;
  for (auto& s : senders) {
    s.flow.failed += s.open;
    for (auto& line : s.lines) close(line.fd);
    flows.push_back(std::move(s.flow));
  }
  close(poll);
  return flows;
}

}  // namespace sara::bench
