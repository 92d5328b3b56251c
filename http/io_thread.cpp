// Wiring of one io thread.
#include "http/io_thread.hpp"

#include <boost/asio.hpp>
#include <thread>

#include "http/routes/routes.hpp"
#include "http/server.hpp"

namespace sara::http {

struct EdgeState {
  std::shared_ptr<ServiceShared> service = std::make_shared<ServiceShared>();
  std::shared_ptr<Server::Shared> server = Server::make_shared_state();
};

std::shared_ptr<EdgeState> make_edge_state() { return std::make_shared<EdgeState>(); }
void set_ready(EdgeState& state, bool ready) { state.service->ready = ready; }
void set_fenced(EdgeState& state) { state.service->fenced = true; }

namespace {

ServiceOptions service_options(const EdgeOptions& o) {
  ServiceOptions s;
  s.public_base_url = o.public_base_url;
  s.production = o.production;
  s.write_deadline = o.commit_deadline;
  s.read_deadline = o.read_deadline;
  return s;
}

FeedLimits feed_limits(const EdgeOptions& o) {
  FeedLimits f;
  f.ping = o.live_ping;
  f.pong_timeout = o.live_pong_timeout;
  f.mark = o.live_mark;
  f.write_stall = o.write_stall;
  f.resync_patience = o.live_resync_patience;
  f.queue_bytes_max = o.live_queue_bytes_max;
  f.queue_events_max = o.live_queue_events_max;
  f.held_bytes_max = o.live_held_bytes_max;
  f.replay_events_max = static_cast<Sequence>(o.live_replay_events_max);
  f.ring_events_max = o.live_ring_events_max;
  f.commands_per_second_max = o.live_commands_per_second_max;
  f.message_bytes_max = o.live_message_bytes_max;
  f.sockets_per_tenant_max = o.live_sockets_per_tenant_max;
  return f;
}

Limits server_limits(const EdgeOptions& o) {
  Limits l;
  l.connections_max = o.connections_max;
  l.connections_per_ip_max = o.connections_per_ip_max;
  l.header_timeout = o.header_timeout;
  l.body_timeout = o.body_timeout;
  l.keep_alive = o.keep_alive;
  l.write_stall = o.write_stall;
  l.body_bytes_max = o.body_bytes_max;
  l.webhook_bytes_max = o.webhook_bytes_max;
  l.inbound_parse_bytes_max = o.inbound_parse_bytes_max;
  l.bodies_in_flight_bytes_max = o.bodies_in_flight_bytes_max;
  l.requests_per_connection_max = o.requests_per_connection_max;
  l.requests_per_minute_max = o.requests_per_minute_max;
  l.stranger_requests_per_15_min_max = o.stranger_requests_per_15_min_max;
  l.stranger_quota_on_loopback = o.stranger_quota_on_loopback;
  l.webhooks_per_minute_max = o.webhooks_per_minute_max;
  l.body_rate_grace = o.body_rate_grace;
  l.body_bytes_per_second_min = o.body_bytes_per_second_min;
  // The kernel spreads connections evenly over the threads that listen.
  const auto part = [&](std::size_t whole) { return (whole + o.io_threads - 1) / o.io_threads; };
  l.in_flight_max = part(o.in_flight_max);
  l.in_flight_per_tenant_max = part(o.in_flight_per_tenant_max);
  l.in_flight_shared_max = part(o.in_flight_shared_max);
  l.reads_in_flight_max = part(o.reads_in_flight_max);
  l.admission_wait = o.admission_wait;
  l.commit_deadline = o.commit_deadline;
  l.loop_lag_max = o.loop_lag_max;
  l.memory_bytes_max = o.memory_bytes_max;
  l.give_memory_back = o.give_memory_back;
  return l;
}

Router make_router(Service& service, FeedHub& hub) {
  Router router;
  mount_operation(router, service, hub);
  mount_documents(router);
  mount_webhooks(router, service);
  mount_integrations(router, service);
  mount_inbox(router, service, hub);
  mount_conversations(router, service);
  mount_attachments(router, service);
  mount_contacts(router, service);
  return router;
}

}  // namespace

struct IoThread::Impl {
  Impl(caf::actor_system& system, Handles handles, messages::TenantRegistry& tenants,
       const Clock& clock, std::shared_ptr<EdgeState> s, const EdgeOptions& options)
      : state(std::move(s)),
        bridge(system, io),
        service(bridge, tenants, clock, state->service, service_options(options)),
        hub(service, feed_limits(options)),
        router(make_router(service, hub)),
        server(
            io, router, server_limits(options),
            [this](std::string_view bearer) { return service.authenticate(bearer); },
            state->server) {
    service.directory = std::move(handles.directory);
    service.inbox = std::move(handles.inbox);
    service.writers = std::move(handles.writers);
    service.readers = std::move(handles.readers);
  }

  boost::asio::io_context io{1};
  std::shared_ptr<EdgeState> state;
  Bridge bridge;
  Service service;
  FeedHub hub;
  Router router;
  Server server;
  std::thread thread;
};

IoThread::IoThread(caf::actor_system& system, Handles handles, messages::TenantRegistry& tenants,
                   const Clock& clock, std::shared_ptr<EdgeState> state, EdgeOptions options)
    : impl_(std::make_unique<Impl>(system, std::move(handles), tenants, clock, std::move(state),
                                   options)) {}

IoThread::~IoThread() {
  stop();
  // A socket that survived the drain left a coroutine in the io_context, and that is destroyed
  // after all that the coroutine still knows. The process is about to end: let it be.
  if (impl_->server.connections() > 0) [[maybe_unused]] auto* left = impl_.release();
}

Result<std::uint16_t> IoThread::listen(const std::string& address, std::uint16_t port) {
  return impl_->server.listen(address, port);
}

void IoThread::set_public_base_url(const std::string& url) {
  impl_->service.options.public_base_url = url;
}

void IoThread::start() {
  impl_->thread = std::thread([this] {
    auto guard = boost::asio::make_work_guard(impl_->io);
    impl_->io.run();
  });
}

void IoThread::drain() {
  impl_->server.drain();
  boost::asio::post(impl_->io, [this] { impl_->hub.drain(); });
}

std::size_t IoThread::connections() const { return impl_->server.connections(); }

void IoThread::stop() {
  if (!impl_->thread.joinable()) return;
  boost::asio::post(impl_->io, [this] {
    impl_->server.close_gate();
    impl_->bridge.stop();
    // What the stopped bridge has answered runs to its end first.
    boost::asio::post(impl_->io, [this] { impl_->io.stop(); });
  });
  impl_->thread.join();
}

}  // namespace sara::http
