#include "bench/support/load.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
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

}  // namespace sara::bench
