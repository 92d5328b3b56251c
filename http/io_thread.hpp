// One io thread: its io_context with bridge, service, live feed hub and server. Several share the
// port. Everything of Asio stays behind this door.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/time.hpp"
#include "messages/conversation.hpp"
#include "messages/inbox.hpp"
#include "messages/persistence.hpp"
#include "messages/query.hpp"
#include "messages/tenant.hpp"

namespace sara::http {

/// Whom the edge may ask.
struct Handles {
  messages::directory_actor directory;
  messages::inbox_actor inbox;
  std::vector<messages::persistence_actor> writers;
  std::vector<messages::query_actor> readers;
};

struct EdgeState;         ///< what all io threads share

/// Plain numbers, as the configuration has them.
struct EdgeOptions {
  std::string public_base_url;  ///< may be set later, before serving: set_public_base_url()
  bool production = false;
  std::size_t connections_max = 12'000, connections_per_ip_max = 256;
  Millis header_timeout{10'000}, body_timeout{30'000}, keep_alive{60'000}, write_stall{20'000};
  std::size_t body_bytes_max = 1 << 20, webhook_bytes_max = 4 << 20,
              inbound_parse_bytes_max = 32 << 20, bodies_in_flight_bytes_max = 128 << 20,
              requests_per_connection_max = 10'000, requests_per_minute_max = 1'200,
              stranger_requests_per_15_min_max = 100, webhooks_per_minute_max = 1'200'000,
              body_bytes_per_second_min = 1024;
  bool stranger_quota_on_loopback = false;
  Millis body_rate_grace{5'000};
  /// Of the whole server: each io thread has its part.
  std::size_t in_flight_max = 4096, in_flight_per_tenant_max = 512, in_flight_shared_max = 32,
              reads_in_flight_max = 64;
  std::size_t io_threads = 1;
  Millis admission_wait{500}, loop_lag_max{1'000}, commit_deadline{1'000}, read_deadline{10'000};
  std::size_t memory_bytes_max = 512 << 20;
  std::function<void()> give_memory_back;
  Millis live_ping{20'000}, live_pong_timeout{60'000}, live_mark{10'000},
      live_resync_patience{10'000};
  std::size_t live_queue_bytes_max = 256 << 10, live_queue_events_max = 512,
              live_held_bytes_max = 64 << 20,
              live_replay_events_max = 100'000, live_ring_events_max = 1024,
              live_commands_per_second_max = 20, live_message_bytes_max = 64 << 10,
              live_sockets_per_tenant_max = 10'000;
};

std::shared_ptr<EdgeState> make_edge_state();
void set_ready(EdgeState& state, bool ready);
/// Another process has taken the database over: refuse everything that writes.
void set_fenced(EdgeState& state);

/// Whether a server could listen there now; port 0 always can. Nothing stays bound.
/// errors: unavailable - the address is taken or not ours
Result<void> can_listen(const std::string& address, std::uint16_t port);

class IoThread {
 public:
  IoThread(caf::actor_system& system, Handles handles, messages::TenantRegistry& tenants,
           const Clock& clock, std::shared_ptr<EdgeState> state, EdgeOptions options);
  ~IoThread();

  /// Binds, and starts the thread. Returns the port (0 asks for a free one).
  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  /// Before start(): as providers are told to reach us.
  void set_public_base_url(const std::string& url);
  void start();
  /// No new connections; sockets of the live feed are closed with 1001.
  void drain();
  std::size_t connections() const;
  /// Ends the thread; what is still open is cut.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sara::http
