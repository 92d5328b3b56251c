// A request, Connection: close, and everything that comes back.
#include "runtime/demo_client.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "base/text.hpp"

namespace sara::runtime {
namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

int connect_to(const std::string& host, const std::string& port) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &wanted, &found) != 0) return -1;
  std::unique_ptr<addrinfo, FreeAddresses> list(found);
  for (auto* one = found; one != nullptr; one = one->ai_next) {
    int fd = socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
    if (fd < 0) continue;
    if (connect(fd, one->ai_addr, one->ai_addrlen) == 0) {
      timeval patience{20, 0};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      return fd;
    }
    close(fd);
  }
  return -1;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    auto n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// Everything up to the other side's close; what came before a failure is kept.
std::string read_all(int fd) {
  std::string out;
  char part[16384];
  for (ssize_t n = 0; (n = recv(fd, part, sizeof part, 0)) > 0;)
    out.append(part, static_cast<std::size_t>(n));
  return out;
}

std::string unchunked(std::string_view text) {
  std::string out;
  for (;;) {
    std::size_t size = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size, 16);
    auto line = text.find("\r\n");
    if (error != std::errc{} || size == 0 || line == text.npos) return out;
    out += text.substr(line + 2, size);
    text.remove_prefix(std::min(text.size(), line + 2 + size + 2));
  }
}

}  // namespace

Result<DemoClient> DemoClient::make(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  if (!url.starts_with(scheme)) return fail(invalid("--url", "must begin with http://"));
  auto authority = url.substr(scheme.size());
  authority = authority.substr(0, authority.find('/'));
  auto colon = authority.rfind(':');
  DemoClient client;
  client.host_ = authority.substr(0, colon);
  client.port_ = colon == authority.npos ? "80" : authority.substr(colon + 1);
  if (client.host_.empty()) return fail(invalid("--url", "has no host"));
  return client;
}

Result<DemoAnswer> DemoClient::send(
    std::string_view method, std::string_view target,
    const std::vector<std::pair<std::string, std::string>>& headers, std::string_view body) const {
  Socket socket(connect_to(host_, port_));
  if (socket.fd() < 0) return fail(Errc::unavailable, "no server at " + host_ + ":" + port_);
  std::string request = std::string(method) + " " + std::string(target) +
                        " HTTP/1.1\r\nHost: " + host_ + ":" + port_ + "\r\nConnection: close\r\n";
  for (auto& [name, value] : headers) request += name + ": " + value + "\r\n";
  if (!body.empty() || method != "GET")
    request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  request += "\r\n";
  request += body;
  if (!write_all(socket.fd(), request)) return fail(Errc::unavailable, "the connection broke");
  auto reply = read_all(socket.fd());
  auto end = reply.find("\r\n\r\n");
  if (end == reply.npos || reply.size() < 12) return fail(Errc::unavailable, "no answer");
  DemoAnswer answer;
  std::from_chars(reply.data() + 9, reply.data() + 12, answer.status);
  auto head = text::lower_ascii(std::string_view(reply).substr(0, end));
  answer.body = reply.substr(end + 4);
  if (head.find("transfer-encoding: chunked") != head.npos) answer.body = unchunked(answer.body);
  return answer;
}

}  // namespace sara::runtime
