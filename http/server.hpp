// The listener: accepts connections on every io thread, runs a session for each, and drains.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "http/router.hpp"

namespace sara::http {

/// Limits of reliability.md, section 7. Each is a configuration key.
struct Limits {
  std::size_t connections_max = 12'000;
  std::size_t connections_per_ip_max = 256;  ///< not for loopback
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds keep_alive{60'000};
  std::chrono::milliseconds write_stall{20'000};
  std::size_t body_bytes_max = 1 << 20;
  std::size_t webhook_bytes_max = 4 << 20;
  std::size_t inbound_parse_bytes_max = 32 << 20;
  std::size_t bodies_in_flight_bytes_max = 128 << 20;
  std::size_t requests_per_connection_max = 10'000;
  std::size_t requests_per_minute_max = 0;            ///< of one API key; 0: no quota
  std::size_t stranger_requests_per_15_min_max = 0;  ///< refused ones of one address; 0: no quota
  bool stranger_quota_on_loopback = false;  ///< else a proxy's clients would share one bucket
  std::size_t webhooks_per_minute_max = 0;  ///< of one tenant; beyond: 503; 0: no such limit
  std::size_t memory_bytes_max = 512 << 20;
  std::function<void()> give_memory_back;  ///< what is free goes to the system; may be none
  std::size_t in_flight_max = 4096;             ///< requests admitted and not yet answered
  std::size_t in_flight_per_tenant_max = 512;
  std::size_t in_flight_shared_max = 32;        ///< of all, while several tenants are active
  std::size_t reads_in_flight_max = 64;
  std::chrono::milliseconds admission_wait{500};     ///< for a place; then: 503
  std::chrono::milliseconds commit_deadline{1'000};  ///< what cannot be done in it is refused
  std::chrono::milliseconds loop_lag_max{1'000};     ///< of the event loop: it is full then
  std::size_t pipelined_max = 16;  ///< answered in a row before other connections get a turn
  std::chrono::milliseconds body_rate_grace{5'000};
  std::size_t body_bytes_per_second_min = 1024;  ///< once the grace is over
  std::chrono::milliseconds linger{2'000};       ///< reading on after a refusal, so that it arrives
  std::chrono::milliseconds sweep{250};          ///< how often all these times are looked at
};

/// Turns "Authorization: Bearer ..." into a principal. Runs on the io thread.
/// errors: unauthenticated; unavailable - the credential cannot be looked up now
using Authenticate =
    std::function<boost::asio::awaitable<Result<Principal>>(std::string_view bearer)>;

/// Whether a server could listen there now; port 0 always can. Nothing stays bound.
/// errors: unavailable - the address is taken or not ours
Result<void> can_listen(const std::string& address, std::uint16_t port);

/// One server on one io_context that is run by exactly one thread. With several io threads, make
/// one each: they share the port by SO_REUSEPORT and the counters by `Shared`.
class Server {
 public:
  struct Shared;  ///< counters across io threads: connections, bodies in flight
  static std::shared_ptr<Shared> make_shared_state();

  Server(boost::asio::io_context& io, const Router& router, Limits limits, Authenticate auth,
         std::shared_ptr<Shared> shared);
  /// Cuts what is still open. On the io thread, or after it has ended.
  ~Server();

  /// Binds and starts accepting. port 0: the kernel picks one. Returns the port.
  /// errors: unavailable - the address is taken or not ours
  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  /// No new connections; answers carry "Connection: close"; idle connections are closed. From any
  /// thread.
  void drain();
  /// Whoever waits for a place is refused, and whoever comes. On the io thread.
  void close_gate();
  /// Open connections, WebSockets included, for the drain to wait on. From any thread.
  std::size_t connections() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sara::http
