// Clients that take their time: a thousand of each kind are cut when their time is over, while
// others are served and the server stays small. Limits are shortened so that the test is short.
#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "tests/support/inbox.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;
using namespace std::chrono_literals;

namespace {

/// How one kind of client behaves.
struct Kind {
  std::string name;
  std::string opening;      ///< what it says at once
  std::string drip = {};    ///< what it says again and again, from a pause to the next
  bool reads = true;
  std::string told = {};    ///< how the answer begins that it is owed, if it is owed one
};

struct Client {
  int fd = -1;
  const Kind* kind = nullptr;
  std::string received;
  bool cut = false;
};

std::int64_t resident_mb(pid_t pid) { return resident_bytes(pid) >> 20; }

/// Many clients on one thread.
class Crowd {
 public:
  Crowd(std::uint16_t port, const std::vector<Kind>& kinds, std::size_t each)
      : poll_(epoll_create1(EPOLL_CLOEXEC)), clients_(kinds.size() * each) {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      auto& c = clients_[i];
      c.kind = &kinds[i % kinds.size()];
      c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (!c.kind->reads) {
        int small = 4096;
        setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
      }
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        throw std::runtime_error("the crowd cannot connect: " + std::to_string(errno));
      epoll_event interest{};
      // Who does not read still hears of the end.
      interest.events = c.kind->reads ? EPOLLIN | EPOLLRDHUP : EPOLLRDHUP;
      interest.data.ptr = &c;
      epoll_ctl(poll_, EPOLL_CTL_ADD, c.fd, &interest);
      say(c, c.kind->opening);
      if (i % 256 == 0) look(0ms);
    }
  }
  ~Crowd() {
    for (auto& c : clients_) close(c.fd);
    close(poll_);
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  void drip() {
    for (auto& c : clients_)
      if (!c.cut) say(c, c.kind->drip);
  }

  /// Takes what has come, for at most that long.
  void look(std::chrono::milliseconds at_most) {
    std::vector<epoll_event> events(1024);
    int n = epoll_wait(poll_, events.data(), 1024, static_cast<int>(at_most.count()));
    for (int i = 0; i < n; ++i) {
      auto& event = events[static_cast<std::size_t>(i)];
      auto& c = *static_cast<Client*>(event.data.ptr);
      char bytes[4096];
      auto got = c.kind->reads ? recv(c.fd, bytes, sizeof bytes, MSG_DONTWAIT) : 0;
      if (got > 0) c.received.append(bytes, static_cast<std::size_t>(got));
      if (got > 0 || (got < 0 && errno == EAGAIN)) continue;
      c.cut = true;
      epoll_ctl(poll_, EPOLL_CTL_DEL, c.fd, nullptr);
    }
  }

  std::size_t left(const Kind& kind) const {
    return count([&](auto& c) { return c.kind == &kind && !c.cut; });
  }
  std::size_t left() const {
    return count([](auto& c) { return !c.cut; });
  }
  /// Those that were not told what they are owed, or were told something that they are not.
  std::size_t wronged(const Kind& kind) const {
    return count([&](auto& c) {
      if (c.kind != &kind || !kind.reads) return false;
      return kind.told.empty() ? !c.received.empty() : !c.received.starts_with(kind.told);
    });
  }

 private:
  template <class Is>
  std::size_t count(Is is) const {
    return static_cast<std::size_t>(std::count_if(clients_.begin(), clients_.end(), is));
  }
  static void say(Client& c, const std::string& bytes) {
    if (!bytes.empty()) [[maybe_unused]]
      auto n = send(c.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  int poll_;
  std::vector<Client> clients_;
};

/// A client's frame; the mask is zero, so the text stands as it is.
std::string frame(const std::string& text) {
  std::string out{'\x81', static_cast<char>(0x80 | text.size())};
  return out + std::string(4, '\0') + text;
}

/// A thousand of each kind, or as many as we may have files for. SARA_SLOW_CLIENTS says another
/// number.
std::size_t number_of_each(std::size_t kinds) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const char* wanted = std::getenv("SARA_SLOW_CLIENTS");
  auto each = wanted ? static_cast<std::size_t>(std::atoll(wanted)) : std::size_t{1000};
  return std::min<std::size_t>(each, (files.rlim_cur - 200) / kinds);
}

}  // namespace

TEST_CASE("slow client: a thousand of each kind are cut on time while others are served") {
  Server server({{"MADANSARA_LIMITS_HEADER_TIMEOUT_S", "3"},
                 {"MADANSARA_LIMITS_BODY_RATE_GRACE_S", "2"},
                 {"MADANSARA_LIMITS_KEEP_ALIVE_S", "3"},
                 {"MADANSARA_LIMITS_WRITE_STALL_S", "3"},
                 {"MADANSARA_LIVE_PING_S", "1"},
                 {"MADANSARA_LIVE_PONG_TIMEOUT_S", "4"},
                 {"MADANSARA_LIVE_RESYNC_PATIENCE_S", "1"}});
  Shop shop(server);
  Twilio twilio(shop.api);
  const std::string host = "Host: 127.0.0.1\r\n";
  const std::string key = "Authorization: Bearer " + shop.tenant.api_key + "\r\n";
  const std::string upgrade = "GET /api/v1/inbox/live HTTP/1.1\r\n" + host + key +
                              "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string document = "GET /openapi.json HTTP/1.1\r\n" + host + "\r\n";
  std::string documents;
  for (int i = 0; i < 8; ++i) documents += document;
  const std::vector<Kind> kinds{
      {"says nothing", "", "", true, ""},
      {"a head, byte by byte", "GET /health HTTP/1.1\r\n" + host + "X-Slow: ", "a", true,
       "HTTP/1.1 408"},
      {"a head that stops", "GET /health HTTP/1.1\r\nHo", "", true, "HTTP/1.1 408"},
      {"a handshake that stops", upgrade, "", true, "HTTP/1.1 408"},
      {"a body, byte by byte",
       "POST " + twilio.integration.path + " HTTP/1.1\r\n" + host +
           "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n",
       "a", true, "HTTP/1.1 408"},
      {"a body that stops",
       "POST /api/v1/contacts HTTP/1.1\r\n" + host + key +
           "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"na",
       "", true, "HTTP/1.1 408"},
      {"TLS where there is none", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
       "", true, "HTTP/1.1 400"},
      {"keeps the connection and asks no more", "GET /health HTTP/1.1\r\n" + host + "\r\n", "",
       true, "HTTP/1.1 200"},
      {"does not read what it asked for", documents, "", false, ""},
      {"a live feed that answers no ping", upgrade + "\r\n", "", true, "HTTP/1.1 101"},
      {"a live feed that is never read", upgrade + "\r\n" + frame(R"({"type":"subscribe"})"), "",
       false, ""},
  };
  const auto each = number_of_each(kinds.size());
  REQUIRE(each >= 10);
  const auto before = resident_mb(server.pid());
  Crowd crowd(server.port(), kinds, each);

  std::size_t served = 0, unserved = 0;
  std::int64_t largest_mb = 0;
  auto serve_others = [&](const std::string& body) {
    auto answer = shop.api.send(twilio.message("SM" + unique(), "+15550100777", body));
    (answer.status == 200 ? served : unserved) += 1;
    (HttpClient(server.port()).get("/health").status == 200 ? served : unserved) += 1;
    largest_mb = std::max(largest_mb, resident_mb(server.pid()));
  };
  // Something to be heard by those who never read.
  const std::string much(60'000, 'x');
  auto deadline = within(60s);
  auto next_drip = Clock::now();
  while (crowd.left() > 0 && Clock::now() < deadline) {
    if (Clock::now() >= next_drip) {
      crowd.drip();
      serve_others(much);
      next_drip = Clock::now() + 250ms;
    }
    crowd.look(20ms);
  }
  for (const auto& kind : kinds) {
    CAPTURE(kind.name);
    CHECK(crowd.left(kind) == 0);
    CHECK(crowd.wronged(kind) == 0);
  }
  CHECK(served >= 2);
  CHECK(unserved == 0);
  MESSAGE(each, " of each kind; memory ", before, " MB, then at most ", largest_mb, " MB");
  if (memory_is_ours) CHECK(largest_mb < 512);
  // All of them are gone, not only silent.
  CHECK(eventually(20s, [&] {
    auto text = HttpClient(server.port()).get("/metrics").body;
    auto at = text.find("\nhttp_connections ");
    return at != text.npos && std::atoi(text.c_str() + at + 18) <= 3;
  }));
}
