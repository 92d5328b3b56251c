// A server with a small route table on a thread of its own, and a blocking client that says exactly
// the bytes it is given. Every wait has a deadline; none is a sleep.
#pragma once

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/text.hpp"
#include "http/server.hpp"

namespace sara::http::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr auto patience = 20s;

/// True as soon as `condition` holds; false if it does not in time.
template <class Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

/// Limits that look at their times often, so that a test of a short one is short.
inline Limits quick() {
  Limits limits;
  limits.sweep = 2ms;
  return limits;
}

class Loopback {
 public:
  explicit Loopback(Limits limits = quick()) : gate_(io_), large_(16 << 20, 'x') {
    gate_.expires_at(asio::steady_timer::time_point::max());
    mount();
    server_ = std::make_unique<Server>(
        io_, router_, limits,
        [](std::string_view bearer) { return authenticate(std::string{bearer}); },
        Server::make_shared_state());
    const auto port = server_->listen("127.0.0.1", 0);
    REQUIRE(port);
    port_ = *port;
    thread_ = std::thread{[this] { io_.run(); }};
  }
  ~Loopback() {
    asio::post(io_, [this] {
      gate_.cancel();
      server_.reset();
    });
    // What is left to run are sessions that end; their sockets are closed.
    work_.reset();
    thread_.join();
  }

  std::uint16_t port() const { return port_; }
  Server& server() { return *server_; }
  /// Lets the requests go on that wait in /gate.
  void open_gate() {
    asio::post(io_, [this] { gate_.cancel(); });
  }
  /// "POST /echo body" for each request that reached a handler.
  std::vector<std::string> handled() {
    const std::lock_guard lock{mutex_};
    return handled_;
  }

 private:
  static asio::awaitable<Result<Principal>> authenticate(std::string bearer) {
    static const std::map<std::string, Role> keys{
        {"owner-key", Role::owner}, {"agent-key", Role::agent}, {"viewer-key", Role::viewer}};
    if (bearer == "lost-key") co_return fail(Errc::unavailable, "the database is away");
    const auto it = keys.find(bearer);
    if (it == keys.end()) co_return fail(Errc::unauthenticated, "no such key");
    Principal principal;
    principal.role = it->second;
    co_return principal;
  }

  void note(const Request& r) {
    const std::lock_guard lock{mutex_};
    handled_.push_back(r.method + " " + r.path + (r.body.empty() ? "" : " " + r.body));
  }

  asio::awaitable<Response> echo(Request& r) {
    note(r);
    auto answer = Response::json(200, std::move(r.body));
    answer.headers.emplace_back("X-Param", r.param("id"));
    co_return answer;
  }
  asio::awaitable<Response> wait_at_gate(Request& r) {
    note(r);
    boost::system::error_code ignored;
    co_await gate_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return Response::text(200, "through");
  }
  asio::awaitable<Response> throw_up(Request& r) {
    note(r);
    throw std::runtime_error("the secret of the house");
    co_return Response{};
  }
  asio::awaitable<Response> large(Request& r) {
    note(r);
    Response answer;
    answer.static_body = large_;
    co_return answer;
  }
  asio::awaitable<Response> inject(Request&) {
    auto answer = Response::text(200, "ok");
    answer.headers.emplace_back("X-Bad", "a\r\nX-Injected: b");
    co_return answer;
  }
  asio::awaitable<Response> empty(Request&) {
    Response answer;
    answer.status = 204;
    co_return answer;
  }
  asio::awaitable<void> live(Handover connection) {
    const std::string text = "took " + connection.request.path + " and " + connection.behind;
    boost::system::error_code ignored;
    co_await asio::async_write(connection.socket, asio::buffer(text),
                               asio::redirect_error(asio::use_awaitable, ignored));
  }

  void mount() {
    const auto to = [this](asio::awaitable<Response> (Loopback::*method)(Request&)) -> Handler {
      return [this, method](Request& r) { return (this->*method)(r); };
    };
    router_.get("/hello", Scope::open, to(&Loopback::echo));
    router_.post("/echo", Scope::open, Body::json, to(&Loopback::echo));
    router_.post("/hook", Scope::open, Body::webhook, to(&Loopback::echo));
    router_.post("/mail", Scope::open, Body::multipart, to(&Loopback::echo));
    router_.get("/items/{id}", Scope::read, to(&Loopback::echo));
    router_.post("/items", Scope::write, Body::json, to(&Loopback::echo));
    router_.remove("/items/{id}", Scope::credential, to(&Loopback::echo));
    router_.get("/gate", Scope::open, to(&Loopback::wait_at_gate));
    router_.post("/slow-hook", Scope::open, Body::webhook, to(&Loopback::wait_at_gate));
    router_.get("/throw", Scope::open, to(&Loopback::throw_up));
    router_.get("/large", Scope::open, to(&Loopback::large));
    router_.get("/inject", Scope::open, to(&Loopback::inject));
    router_.get("/empty", Scope::open, to(&Loopback::empty));
    const UpgradeHandler upgrade = [this](Handover c) { return live(std::move(c)); };
    router_.websocket("/live", upgrade);
    router_.websocket("/guarded-live", upgrade, Scope::read);
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  asio::steady_timer gate_;
  Router router_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<std::string> handled_;
  const std::string large_;
  std::uint16_t port_ = 0;
};

struct Answer {
  int status = 0;                              ///< 0: the connection ended before an answer
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
};

class Client {
 public:
  explicit Client(const Loopback& server) : socket_(io_) {
    socket_.connect({asio::ip::make_address("127.0.0.1"), server.port()});
    // A receive time-out instead of hanging for ever, should the server never answer.
    const timeval time{std::chrono::seconds{patience}.count(), 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  }
  /// Errors are not the client's concern: what matters is what comes back.
  Client& send(std::string_view bytes) {
    boost::system::error_code ignored;
    asio::write(socket_, asio::buffer(bytes), ignored);
    return *this;
  }
  Client& finish() {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    return *this;
  }
  Answer answer(bool with_body = true) {
    Answer result;
    std::string::size_type end;
    while ((end = buffer_.find("\r\n\r\n")) == buffer_.npos) {
      if (!receive()) return result;
    }
    const auto head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    result.status = std::stoi(head.substr(9, 3));
    for (auto at = head.find("\r\n") + 2; at < head.size();) {
      const auto line = head.substr(at, head.find("\r\n", at) - at);
      at += line.size() + 2;
      const auto colon = line.find(": ");
      result.headers[text::lower_ascii(line.substr(0, colon))] = line.substr(colon + 2);
    }
    const auto length = result.header("content-length");
    const auto bytes = with_body && !length.empty() ? std::stoul(length) : 0;
    while (buffer_.size() < bytes && receive()) {
    }
    result.body = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    return result;
  }
  /// Everything until the server closes.
  std::string rest() {
    while (receive()) {
    }
    return std::exchange(buffer_, {});
  }
  bool closed() { return rest().empty() && !timed_out_; }

 private:
  bool receive() {
    std::array<char, 16384> bytes;
    const auto n = ::recv(socket_.native_handle(), bytes.data(), bytes.size(), 0);
    timed_out_ = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (n <= 0) return false;
    buffer_.append(bytes.data(), static_cast<std::size_t>(n));
    return true;
  }

  asio::io_context io_;
  tcp::socket socket_;
  std::string buffer_;
  bool timed_out_ = false;
};

inline std::string get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
inline std::string post(const std::string& target, const std::string& body,
                        const std::string& fields = "Content-Type: application/json\r\n") {
  return "POST " + target +
         " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         fields + "\r\n" + body;
}
inline std::string post_chunked(const std::string& target, const std::string& chunks) {
  return "POST " + target +
         " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
         "Content-Type: application/json\r\n\r\n" +
         chunks;
}
/// "404 not-found"
inline std::string kind(const Answer& answer) {
  const std::string mark = "\"type\":\"/problems/";
  const auto at = answer.body.find(mark);
  if (at == answer.body.npos) return std::to_string(answer.status);
  const auto begin = at + mark.size();
  return std::to_string(answer.status) + " " +
         answer.body.substr(begin, answer.body.find('"', begin) - begin);
}

}  // namespace sara::http::test
