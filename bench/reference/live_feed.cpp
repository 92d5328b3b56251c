// The bare loop that live_feed is held against: it sends the same frame bytes to as many loopback
// sockets, one send() each, and does nothing else. Its only work between is to write the next seq
// into the frame.
//
// usage: reference_live_feed SOCKETS FRAME_FILE
// Prints "listening PORT". Answers each handshake with 101 and `hello`; when all SOCKETS have
// subscribed, sends until they hang up, then waits for the next. FRAME_FILE: one event's frame as
// the server has sent it. With an empty frame it only holds the sockets. Ends with its standard
// input.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

[[noreturn]] void die(const char* why) {
  std::fprintf(stderr, "reference_live_feed: %s\n", why);
  std::_Exit(1);
}

int listen_somewhere() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0 || listen(fd, 4096) != 0)
    die("cannot listen");
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  std::printf("listening %d\n", ntohs(at.sin_port));
  std::fflush(stdout);
  return fd;
}

/// Where the digits of the frame's seq stand.
struct Digits {
  explicit Digits(const std::string& frame) {
    constexpr char mark[] = "\"seq\":";
    auto at = frame.find(mark);
    if (at == frame.npos) die("a frame without seq");
    begin = at + sizeof mark - 1;
    while (begin + count < frame.size() && std::isdigit(static_cast<unsigned char>(
                                               frame[begin + count])))
      ++count;
  }
  /// The smallest number of so many digits: the first seq.
  long long first() const {
    long long value = 1;
    for (std::size_t i = 1; i < count; ++i) value *= 10;
    return value;
  }
  void write(std::string& frame, long long seq) const {
    auto text = std::to_string(seq);
    if (text.size() != count) die("too many events for the digits of the seq");
    frame.replace(begin, count, text);
  }
  std::size_t begin = 0, count = 0;
};

/// Sends events until a socket is gone.
void send_events(const std::vector<int>& sockets, std::string frame) {
  Digits digits(frame);
  for (auto seq = digits.first();; ++seq) {
    digits.write(frame, seq);
    for (int fd : sockets)
      if (send(fd, frame.data(), frame.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(frame.size()))
        return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) die("usage: SOCKETS FRAME_FILE");
  const auto wanted = static_cast<std::size_t>(std::atoll(argv[1]));
  std::ifstream file(argv[2], std::ios::binary);
  std::string frame((std::istreambuf_iterator<char>(file)), {});
  // A million events fit behind the seq that the frame came with.
  if (!frame.empty()) {
    Digits digits(frame);
    auto missing = digits.count < 8 ? 8 - digits.count : 0;
    frame.replace(digits.begin, digits.count, std::string(digits.count + missing, '1'));
    // Its length stands in two bytes behind 126: the usual event has more than 125 bytes.
    if (static_cast<unsigned char>(frame[1]) != 126) die("an event of another size than usual");
    auto length = frame.size() - 4;
    frame[2] = static_cast<char>(length >> 8);
    frame[3] = static_cast<char>(length & 255);
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  auto hello_text = R"({"type":"hello","seq":)" +
                    std::to_string(frame.empty() ? 0 : Digits(frame).first() - 1) + "}";
  const std::string hello = "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81" +
                            std::string(1, static_cast<char>(hello_text.size())) + hello_text;

  int poll = epoll_create1(EPOLL_CLOEXEC), door = listen_somewhere();
  auto watch = [&](int fd) {
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.fd = fd;
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &interest);
  };
  watch(door);
  watch(STDIN_FILENO);
  std::vector<int> sockets;
  std::size_t subscribed = 0;
  std::vector<epoll_event> events(512);
  char bytes[4096];
  for (;;) {
    int n = epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == STDIN_FILENO) return 0;
      if (fd == door) {
        int fresh = accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
        if (fresh < 0) die("cannot accept");
        int on = 1;
        setsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fresh);
        continue;
      }
      auto got = recv(fd, bytes, sizeof bytes, 0);
      if (got > 0 && std::memcmp(bytes, "GET ", 4) == 0) {
        sockets.push_back(fd);
        if (send(fd, hello.data(), hello.size(), MSG_NOSIGNAL) < 0) die("cannot greet");
      } else if (got > 0) {
        ++subscribed;
      } else {
        std::erase(sockets, fd);
        close(fd);
      }
    }
    if (subscribed < wanted || frame.empty()) continue;
    send_events(sockets, frame);
    for (int fd : sockets) close(fd);
    sockets.clear();
    subscribed = 0;
  }
}
