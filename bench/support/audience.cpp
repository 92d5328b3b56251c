#include "bench/support/audience.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "bench/support/measure.hpp"

namespace sara::bench {
namespace {

constexpr std::size_t buffer_bytes = 1 << 20;
constexpr std::size_t joining_max = 200;  ///< sockets that shake hands at once
constexpr double patience_s = 60;
constexpr std::string_view event_begin = "{\"type\":\"message.created\",\"seq\":";

/// A client's frame: masked, under a mask of zeros.
std::string frame_of(unsigned char kind, std::string_view text) {
  std::string out{static_cast<char>(0x80 | kind), static_cast<char>(0x80 | text.size())};
  out.append(4, '\0');
  return out.append(text);
}

std::int64_t number_after(std::string_view text, std::string_view mark) {
  auto at = text.find(mark);
  std::int64_t value = -1;
  if (at != text.npos)
    std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Audience::Audience(std::uint16_t port, std::size_t count, const std::string& handshake)
    : poll_(epoll_create1(EPOLL_CLOEXEC)), sockets_(count), buffer_(buffer_bytes) {
  auto begin = std::chrono::steady_clock::now();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (std::size_t joined = 0; greeted_ < count;) {
    for (; joined < count && joined - greeted_ < joining_max; ++joined) {
      auto& s = sockets_[joined];
      s.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (s.fd < 0 || connect(s.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        throw std::runtime_error("the audience cannot connect");
      int on = 1;
      setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      epoll_event interest{};
      interest.events = EPOLLIN;
      interest.data.ptr = &s;
      epoll_ctl(poll_, EPOLL_CTL_ADD, s.fd, &interest);
      if (send(s.fd, handshake.data(), handshake.size(), MSG_NOSIGNAL) < 0)
        throw std::runtime_error("the audience cannot shake hands");
    }
    read(1000);
    if (!sound()) throw std::runtime_error(wrong_);
    if (seconds_since(begin) > patience_s) throw std::runtime_error("not all were greeted");
  }
}

Audience::~Audience() {
  for (auto& s : sockets_)
    if (s.fd >= 0) close(s.fd);
  close(poll_);
}

void Audience::subscribe() {
  auto ask = frame_of(1, R"({"type":"subscribe"})");
  for (auto& s : sockets_)
    if (send(s.fd, ask.data(), ask.size(), MSG_NOSIGNAL) < 0) complain("cannot subscribe");
}

std::int64_t Audience::slowest() const {
  auto last = std::min_element(sockets_.begin(), sockets_.end(),
                               [](auto& a, auto& b) { return a.seq < b.seq; });
  return last == sockets_.end() ? 0 : last->seq;
}

void Audience::read(int wait_ms) {
  epoll_event events[256];
  int n = epoll_wait(poll_, events, 256, wait_ms);
  for (int i = 0; i < n; ++i) take(*static_cast<Socket*>(events[i].data.ptr));
}

void Audience::take(Socket& s) {
  auto had = s.left.size();
  if (had > buffer_.size() / 2) return complain("a frame without an end");
  std::memcpy(buffer_.data(), s.left.data(), had);
  auto got = recv(s.fd, buffer_.data() + had, buffer_.size() - had, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    epoll_ctl(poll_, EPOLL_CTL_DEL, s.fd, nullptr);
    return complain("a socket was closed");
  }
  const char* at = buffer_.data();
  std::size_t size = had + static_cast<std::size_t>(got);
  while (std::size_t used = take_frame(s, at, size)) {
    at += used;
    size -= used;
  }
  s.left.assign(at, size);
}

/// Returns how many bytes it was, 0 if it is not whole yet.
std::size_t Audience::take_frame(Socket& s, const char* bytes, std::size_t size) {
  std::string_view all(bytes, size);
  if (!s.open) {
    auto end = all.find("\r\n\r\n");
    if (end == all.npos) return 0;
    if (!all.starts_with("HTTP/1.1 101 ")) complain("refused: " + std::string(all.substr(0, 200)));
    s.open = true;
    return end + 4;
  }
  if (size < 2) return 0;
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::size_t head = 2, length = byte(1);
  if (length >= 126) {
    auto more = length == 126 ? 2u : 8u;
    if (size < head + more) return 0;
    length = 0;
    for (; head < 2 + more; ++head) length = length << 8 | byte(head);
  }
  if (size < head + length) return 0;
  auto text = all.substr(head, length);
  auto kind = byte(0);
  if (kind == 0x89) {
    ++pings_;
    auto pong = frame_of(10, text);
    if (send(s.fd, pong.data(), pong.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
      complain("cannot pong");
  } else if (kind != 0x81) {
    complain("a frame of another kind: " + std::to_string(kind));
  } else if (text.starts_with(event_begin)) {
    std::int64_t seq = 0;
    std::from_chars(text.data() + event_begin.size(), text.data() + text.size(), seq);
    if (seq != s.seq + 1)
      complain("after " + std::to_string(s.seq) + " came " + std::to_string(seq));
    s.seq = seq;
    ++events_;
    if (sample_.empty()) sample_ = all.substr(0, head + length);
    if (on_event) on_event(seq);
  } else if (text.starts_with(R"({"type":"mark")")) {
    ++marks_;
  } else if (text.starts_with(R"({"type":"hello")")) {
    s.seq = number_after(text, "\"seq\":");
    ++greeted_;
  } else {
    complain("unexpected: " + std::string(text.substr(0, 200)));
  }
  return head + length;
}

void Audience::complain(const std::string& what) {
  if (wrong_.empty()) wrong_ = what;
}

}  // namespace sara::bench
