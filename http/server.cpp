#include "http/server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "base/metric.hpp"
#include "http/answer.hpp"
#include "http/session.hpp"

namespace sara::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr int backlog = 4096;
constexpr int send_buffer_bytes = 128 * 1024;  // The kernel doubles it, for its own needs.
constexpr std::size_t turned_away_max = 256;  // Beyond it, nobody is told why.
constexpr std::chrono::milliseconds accept_pause{100};

/// The kernel or the process has no room for another socket just now.
bool is_exhaustion(const ErrorCode& error) {
  return error == asio::error::no_descriptors || error == asio::error::no_memory ||
         error == asio::error::no_buffer_space ||
         error == boost::system::errc::too_many_files_open_in_system;
}

void bind_and_listen(tcp::acceptor& acceptor, const tcp::endpoint& endpoint, bool share,
                     ErrorCode& error) {
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && share) {
    const int on = 1;
    if (::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
      error.assign(errno, boost::system::system_category());
    }
  }
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(backlog, error);
}

Error cannot_listen(const std::string& address, std::uint16_t port, const ErrorCode& error) {
  return {Errc::unavailable,
          "cannot listen on " + address + " port " + std::to_string(port) + ": " + error.message(),
          {}};
}

}  // namespace

Result<void> can_listen(const std::string& address, std::uint16_t port) {
  ErrorCode error;
  const auto ip = asio::ip::make_address(address, error);
  asio::io_context io{1};
  tcp::acceptor probe{io};
  if (!error) bind_and_listen(probe, {ip, port}, false, error);
  if (error) return fail(cannot_listen(address, port, error));
  return {};
}

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(asio::io_context& context, const Router& router, Limits limits, Authenticate auth,
       std::shared_ptr<Shared> shared)
      : io(context),
        edge(std::make_shared<Edge>(router, limits, std::move(auth), std::move(shared))),
        acceptor(context),
        timer(context) {
    edge->gate = std::make_unique<Gate>(context, limits);
    for (std::size_t i = 1; i < answers.size(); ++i) {
      answers[i] = metric::counter("http_answers_total", "Answers, by class of status code.",
                                   {{"class", std::to_string(i) + "xx"}});
    }
  }

  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  static asio::awaitable<void> accept(std::shared_ptr<Impl> self);
  void welcome(tcp::socket socket, const tcp::endpoint& peer);
  void arm_sweep();
  void sweep();
  void tell_time();
  void drain();
  void stop();

  asio::io_context& io;
  std::shared_ptr<Edge> edge;
  tcp::acceptor acceptor;
  asio::steady_timer timer;
  std::array<metric::Counter, 6> answers;
  metric::Gauge connections =
      metric::gauge("http_connections", "Open connections, WebSockets included.");
  metric::Gauge body_bytes =
      metric::gauge("http_bodies_in_flight_bytes", "Bytes of request bodies not yet answered.");
  metric::Counter turned_away =
      metric::counter("http_connections_refused_total", "Connections over a limit.");
  metric::Counter held_back = metric::counter(
      "madansara_accept_held_back_total", "Times that accepting paused for want of capacity.");
  metric::Counter pauses = metric::counter(
      "http_accept_pauses_total", "Times that accepting paused for want of a file descriptor.");
};

Result<std::uint16_t> Server::Impl::listen(const std::string& address, std::uint16_t port) {
  const auto refused = [&](const ErrorCode& error) {
    return fail(cannot_listen(address, port, error));
  };
  ErrorCode error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return refused(error);
  tcp::endpoint endpoint{ip, port};

  // SO_REUSEPORT would also share the port with a stranger: the first of us binds without it.
  auto& known = edge->shared->listening;
  const std::lock_guard lock{edge->shared->mutex};
  if (std::find(known.begin(), known.end(), endpoint) == known.end()) {
    tcp::acceptor probe{io};
    bind_and_listen(probe, endpoint, false, error);
    if (error) return refused(error);
    endpoint = probe.local_endpoint();
    known.push_back(endpoint);
  }
  bind_and_listen(acceptor, endpoint, true, error);
  if (!error) acceptor.non_blocking(true, error);
  if (error) return refused(error);
  edge->now = std::chrono::steady_clock::now();
  tell_time();
  arm_sweep();
  asio::co_spawn(io, accept(shared_from_this()), asio::detached);
  return endpoint.port();
}

asio::awaitable<void> Server::Impl::accept(std::shared_ptr<Impl> self) {
  asio::steady_timer pause{self->io};
  while (self->acceptor.is_open()) {
    ErrorCode error;
    // Who is there already comes first; newcomers wait in the kernel's queue.
    if (!self->edge->gate->accepts_connections() && !self->edge->draining) {
      self->held_back.add();
      pause.expires_after(accept_pause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    tcp::endpoint peer;
    auto socket = co_await self->acceptor.async_accept(
        peer, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      self->welcome(std::move(socket), peer);
    } else if (is_exhaustion(error)) {
      self->pauses.add();
      log::warn("http.accept_paused", {{"why", error.message()}});
      pause.expires_after(accept_pause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

void Server::Impl::welcome(tcp::socket socket, const tcp::endpoint& peer) {
  ErrorCode error;
  socket.non_blocking(true, error);
  if (!error) socket.set_option(tcp::no_delay(true), error);
  // Left alone, the kernel keeps up to 4 MiB for each client that does not read.
  if (!error) socket.set_option(tcp::socket::send_buffer_size(send_buffer_bytes), error);
  if (error) return;
  auto place = Place::take(edge, peer.address());
  if (!place) {
    turned_away.add();
    const auto guests = edge->open.load();
    if (edge->sessions.size() > guests + turned_away_max) return;
  }
  auto session = std::make_unique<Session>(edge, std::move(socket), peer.address().to_string(),
                                           std::move(place));
  asio::co_spawn(io, Session::serve(std::move(session)), asio::detached);
}

void Server::Impl::arm_sweep() {
  timer.expires_after(edge->limits.sweep);
  timer.async_wait([weak = weak_from_this()](const ErrorCode& error) {
    if (const auto self = weak.lock(); self && !error) {
      self->sweep();
      self->arm_sweep();
    }
  });
}

void Server::Impl::sweep() {
  const auto now = std::chrono::steady_clock::now();
  const auto stood_still = now - edge->now - edge->limits.sweep;
  edge->gate->measure(now, stood_still);
  edge->now = now;
  tell_time();
  if (stood_still > std::chrono::seconds{1}) {
    for (auto* session : edge->sessions) session->postpone(stood_still);
  }
  for (auto* session : edge->sessions) session->sweep(now);
  for (std::size_t i = 1; i < answers.size(); ++i) {
    if (edge->answers[i] > 0) answers[i].add(static_cast<double>(edge->answers[i]));
    edge->answers[i] = 0;
  }
  connections.set(static_cast<double>(edge->shared->connections.load()));
  body_bytes.set(static_cast<double>(edge->shared->body_bytes.load()));
}

void Server::Impl::tell_time() {
  edge->date = http_date(to_millis(system_clock().now()) / 1000);
}

/// Who has connected already is still served: what waits in the kernel's queue comes first.
void Server::Impl::drain() {
  edge->draining = true;
  ErrorCode error;
  while (acceptor.is_open() && !error) {
    tcp::endpoint peer;
    auto socket = acceptor.accept(peer, error);
    if (!error) welcome(std::move(socket), peer);
  }
  acceptor.close(error);
  for (auto* session : edge->sessions) session->drain();
}

void Server::Impl::stop() {
  ErrorCode ignored;
  edge->draining = true;
  acceptor.close(ignored);
  timer.cancel();
  edge->gate->close();
  for (auto* session : edge->sessions) session->cut();
}

std::shared_ptr<Server::Shared> Server::make_shared_state() {
  return std::make_shared<Shared>();
}

Server::Server(asio::io_context& io, const Router& router, Limits limits, Authenticate auth,
               std::shared_ptr<Shared> shared)
    : impl_(std::make_shared<Impl>(io, router, limits, std::move(auth), std::move(shared))) {}

Server::~Server() {
  impl_->stop();
}

Result<std::uint16_t> Server::listen(const std::string& address, std::uint16_t port) {
  return impl_->listen(address, port);
}

void Server::drain() {
  asio::dispatch(impl_->io, [impl = impl_] { impl->drain(); });
}

void Server::close_gate() {
  impl_->edge->gate->close();
}

std::size_t Server::connections() const {
  return impl_->edge->open.load();
}

}  // namespace sara::http
