// Webhooks: POST /webhooks/{provider}/{endpoint}, and GET for Meta's handshake and for Twilio
// numbers that are set to GET. Verified over the raw bytes, answered after the commit.
#include <boost/asio.hpp>

#include "base/fault.hpp"
#include "base/log.hpp"
#include "base/metric.hpp"
#include "base/text.hpp"
#include "http/routes/routes.hpp"

namespace sara::http {

using namespace messages;
using namespace domain;

namespace {

/// What a request's events still wait for, and the first thing that went wrong.
struct Batch {
  explicit Batch(boost::asio::io_context& io) : done(io) {
    done.expires_at(std::chrono::steady_clock::time_point::max());
  }
  std::size_t open = 0;
  Error error;
  KeepEvents keep;  ///< what turned out to be without a place
  std::size_t wake_at = 0;
  boost::asio::steady_timer done;

  void finish(const Error& e) {
    if (e.code != Errc::ok && error.code == Errc::ok) error = e;
    if (--open <= wake_at) done.cancel();
  }
};
using BatchPtr = std::shared_ptr<Batch>;

metric::Counter counted(std::string_view result) {
  return metric::counter("madansara_webhook_requests_total", "webhook requests by result",
                         {{"result", std::string(result)}});
}

/// Waits until at most `left` of the batch's commands are without an answer.
Task<void> wait_for(const BatchPtr& batch, std::size_t left) {
  boost::system::error_code ignored;
  batch->wake_at = left;
  while (batch->open > left)
    co_await batch->done.async_wait(
        boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
}

/// A conversation lets 64 commands wait: a batch may all be one contact's.
constexpr std::size_t under_way_max = 32;

/// One command of a batch. `otherwise` tells where its events go if its target refuses it for good.
template <class Command>
Task<void> tell(Service& s, BatchPtr batch, Command command, std::vector<KeptEvent> otherwise) {
  auto answer = co_await s.bridge.ask(s.directory, s.options.write_deadline, std::move(command));
  Error error;
  if (!answer) error = answer.error();
  if (error.code == Errc::not_found || error.code == Errc::internal) {
    for (auto& event : otherwise) {
      event.failed = error.code == Errc::internal;
      if (event.failed) event.kind_or_reason = "could not be applied: " + error.detail;
      batch->keep.events.push_back(std::move(event));
    }
    error = {};
  }
  batch->finish(error);
}

template <class Command>
void start(Service& s, const BatchPtr& batch, Command command, std::vector<KeptEvent> otherwise) {
  ++batch->open;
  boost::asio::co_spawn(s.bridge.io(),
                        tell(s, batch, std::move(command), std::move(otherwise)),
                        boost::asio::detached);
}

/// Hands every event to whoever owns it and waits until all are committed.
/// errors: unavailable, overloaded - the provider should send the request again
Task<Result<void>> apply(Service& s, const Integration& integration,
                         std::vector<WebhookEvent>& events) {
  auto tenant = integration.tenant_id;
  // The usual case, one message, takes the short way.
  if (events.size() == 1 && std::holds_alternative<Inbound>(events[0].what)) {
    auto& event = events[0];
    ReceiveInbound command{tenant, integration.id, std::move(std::get<Inbound>(event.what)),
                           event.dedupe_key, event.raw};
    auto answer =
        co_await s.bridge.ask(s.directory, s.options.write_deadline, std::move(command));
    if (answer) co_return Result<void>{};
    if (answer.error().code != Errc::internal) co_return fail(answer.error());
    KeepEvents keep{tenant, integration.id, integration.provider, {}};
    keep.events.push_back({"could not be applied: " + answer.error().detail, true,
                           event.dedupe_key, std::move(event.raw)});
    auto kept = co_await s.bridge.ask(s.directory, s.options.write_deadline, std::move(keep));
    if (!kept) co_return fail(kept.error());
    co_return Result<void>{};
  }

  auto batch = std::make_shared<Batch>(s.bridge.io());
  batch->keep = {tenant, integration.id, integration.provider, {}};
  ReportStatuses statuses{tenant, integration.id, {}};
  std::vector<KeptEvent> unreported;
  for (auto& event : events) {
    co_await wait_for(batch, under_way_max);
    // The request will be refused: what has not begun is left to its redelivery.
    if (batch->error.code != Errc::ok) break;
    if (auto* in = std::get_if<Inbound>(&event.what)) {
      std::vector<KeptEvent> otherwise{{"message", false, event.dedupe_key, event.raw}};
      start(s, batch,
            ReceiveInbound{tenant, integration.id, std::move(*in), event.dedupe_key,
                           std::move(event.raw)},
            std::move(otherwise));
    } else if (auto* receipt = std::get_if<Receipt>(&event.what)) {
      unreported.push_back({"status:" + receipt->event, false, event.dedupe_key, event.raw});
      statuses.reports.push_back({std::move(*receipt), event.dedupe_key, std::move(event.raw)});
    } else if (auto* gone = std::get_if<Retraction>(&event.what)) {
      std::vector<KeptEvent> otherwise{{"retraction", false, event.dedupe_key, event.raw}};
      start(s, batch,
            RetractMessage{tenant, integration.id, std::move(*gone), event.dedupe_key,
                           std::move(event.raw), 0},
            std::move(otherwise));
    } else if (auto* kept = std::get_if<Kept>(&event.what)) {
      batch->keep.events.push_back({kept->kind, false, event.dedupe_key, std::move(event.raw)});
    } else {
      auto& reason = std::get<Unusable>(event.what).reason;
      batch->keep.events.push_back({reason, true, event.dedupe_key, std::move(event.raw)});
    }
  }
  if (!statuses.reports.empty()) start(s, batch, std::move(statuses), std::move(unreported));
  co_await wait_for(batch, 0);
  if (batch->error.code != Errc::ok) co_return fail(batch->error);
  if (!batch->keep.events.empty()) {
    KeepEvents keep = std::move(batch->keep);
    auto kept = co_await s.bridge.ask(s.directory, s.options.write_deadline, std::move(keep));
    if (!kept) co_return fail(kept.error());
  }
  co_return Result<void>{};
}

const Integration* integration_at(const TenantSnapshot& tenant, std::string_view endpoint,
                                  Provider provider) {
  for (auto& offer : tenant.offers)
    if (offer.integration.endpoint == endpoint && offer.integration.provider == provider)
      return &offer.integration;
  return nullptr;
}

bool is_multipart(const Request& r) {
  return r.header("content-type").rfind("multipart/", 0) == 0;
}

constexpr std::size_t batch_bytes_max = 4u << 20;

Task<Response> receive(Service& s, Request& r) {
  static auto accepted = counted("accepted");
  static auto refused = counted("refused");
  static auto shed = counted("shed");
  auto provider = parse_provider(r.param("provider"));
  Error unknown{Errc::not_found, "there is no such webhook endpoint", {}};
  if (!provider) co_return problem(unknown, r);
  std::string endpoint(r.param("endpoint"));
  auto tenant = co_await s.tenant_of_endpoint(endpoint);
  if (!tenant)
    co_return problem(tenant.error().code == Errc::not_found ? unknown : tenant.error(), r);
  const Integration* integration = integration_at(**tenant, endpoint, *provider);
  if (integration == nullptr) co_return problem(unknown, r);
  if (r.body.size() > batch_bytes_max && !is_multipart(r)) {
    Error error{Errc::too_large, "a webhook has at most 4 MiB", {}};
    co_return problem(error, r);
  }
  auto codec = s.codec(*integration);
  if (!codec) co_return problem(codec.error(), r);
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);

  std::string url = s.options.public_base_url + r.target;
  providers::WebhookRequest request;
  request.method = r.method;
  request.public_url = url;
  request.query = r.raw_query;
  request.content_type = r.header("content-type");
  request.body = r.body;
  request.header = [&r](std::string_view name) { return r.header(text::lower_ascii(name)); };
  if (r.method == "GET" && r.query_value("MessageSid") == std::nullopt) {
    auto answer = (*codec)->handshake(request);
    if (!answer) co_return problem(answer.error(), r);
    Response response;
    response.content_type = answer->content_type;
    response.body = answer->body;
    co_return response;
  }
  auto events = (*codec)->receive(request, s.clock.now());
  if (!events) {
    refused.add();
    log::info("webhook.refused", {{"provider", to_string(*provider)},
                                  {"tenant", sara::to_string(integration->tenant_id)},
                                  {"reason", sara::to_string(events.error().code)},
                                  {"request", r.request_id}});
    co_return problem(events.error(), r);
  }
  // The snapshot (and the integration in it) is held by `tenant` until the commit.
  auto applied = co_await apply(s, *integration, *events);
  if (!applied) {
    shed.add();
    co_return problem(applied.error(), r);
  }
  fault::point("webhook.applied");
  accepted.add();
  auto reply = (*codec)->accepted();
  Response response;
  response.content_type = std::move(reply.content_type);
  response.body = std::move(reply.body);
  co_return response;
}

}  // namespace

void mount_webhooks(Router& router, Service& service) {
  auto handler = [&service](Request& r) { return receive(service, r); };
  const Owner owner = [&service](const Request& r) {
    auto tenant = service.tenants.find_by_endpoint(std::string(r.param("endpoint")));
    return tenant ? tenant->id : TenantId{};
  };
  router.post("/webhooks/{provider}/{endpoint}", Scope::open, Body::webhook, handler).owner = owner;
  // Inbound mail may be larger; what is no mail is held to 4 MiB all the same.
  router
      .post("/webhooks/sendgrid/{endpoint}", Scope::open, Body::multipart,
            [&service](Request& r) {
              r.params.emplace_back("provider", "sendgrid");
              return receive(service, r);
            })
      .owner = owner;
  auto& by_get = router.get("/webhooks/{provider}/{endpoint}", Scope::open, handler);
  by_get.traffic = domain::Traffic::webhook;
  by_get.owner = owner;
}

}  // namespace sara::http
