// Operation: health, readiness, metrics, the actors' population.
#include "base/metric.hpp"
#include "http/routes/routes.hpp"

namespace sara::http {

using namespace messages;

namespace {

Task<Response> alive(Request&) { co_return Response::json(200, "{\"status\":\"ok\"}"); }

/// Ready: recovery is done, the database answers, nobody has taken it over.
Task<Response> ready(Service& s, Request& r) {
  Error error{Errc::unavailable, "", {}};
  if (!s.shared->ready) {
    error.detail = "the server is starting or stopping";
    co_return problem(error, r);
  }
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);
  Ping ping;
  auto pong = co_await s.bridge.ask(s.reader(), std::chrono::seconds(2), std::move(ping));
  if (!pong || !pong->ok) {
    error.detail = "the database cannot be reached";
    co_return problem(error, r);
  }
  co_return Response::json(200, "{\"status\":\"ready\"}");
}

Task<Response> metrics(Request&) {
  auto response = Response::text(200, metric::expose());
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  co_return response;
}

Task<Response> actors(Service& s, FeedHub& hub, Request& r) {
  GetPopulation query;
  auto p = co_await s.bridge.ask(s.directory, s.options.read_deadline, std::move(query));
  if (!p) co_return problem(p.error(), r);
  Response response;
  json::Writer w(response.body);
  auto number = [&](std::string_view name, std::uint64_t value) {
    w.member(name, static_cast<std::int64_t>(value));
  };
  w.begin_object();
  number("tenants", p->tenants);
  number("conversations", p->conversations);
  number("resting", p->resting);
  number("parked", p->parked);
  number("activations", p->activations);
  number("passivations", p->passivations);
  number("restarts", p->restarts);
  number("bridge_pending", s.bridge.pending());
  number("live_sockets", hub.sockets());
  w.end_object();
  co_return response;
}

}  // namespace

void mount_operation(Router& router, Service& s, FeedHub& hub) {
  auto when_ready = [&s](Request& r) { return ready(s, r); };
  router.get("/health", Scope::open, [](Request& r) { return alive(r); });
  router.get("/healthz", Scope::open, [](Request& r) { return alive(r); });
  router.get("/ready", Scope::open, when_ready);
  router.get("/readyz", Scope::open, when_ready);
  router.get("/metrics", Scope::open, [](Request& r) { return metrics(r); });
  router
      .get("/debug/actors", Scope::credential, [&s, &hub](Request& r) { return actors(s, hub, r); })
      .traffic = domain::Traffic::operation;
}

}  // namespace sara::http
