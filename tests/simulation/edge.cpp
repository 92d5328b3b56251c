// The webhook route's way with a batch.
#include "edge.hpp"

namespace sara::simulation {

using namespace messages;
using namespace domain;

namespace {

struct Batch {
  std::size_t open = 1;  ///< one for whoever still hands out commands
  Error error;
  KeepEvents keep;
  std::function<void(Error)> done;
};
using BatchPtr = std::shared_ptr<Batch>;

void finish(Process& process, const BatchPtr& batch, const Error& error) {
  if (error.code != Errc::ok && batch->error.code == Errc::ok) batch->error = error;
  if (--batch->open > 0) return;
  if (batch->error.code != Errc::ok || batch->keep.events.empty()) {
    batch->done(batch->error);
    return;
  }
  process.ask<Applied>(process.context.directory, std::move(batch->keep),
                       [batch](Result<Applied> kept) {
                         batch->done(kept ? Error{} : kept.error());
                       });
}

/// `otherwise` tells where the events go if their target refuses them for good.
template <class Reply, class Command>
void start(Process& process, const BatchPtr& batch, Command command,
           std::vector<KeptEvent> otherwise, std::function<void(const Reply&)> answered) {
  ++batch->open;
  process.ask<Reply>(process.context.directory, std::move(command),
                     [&process, batch, otherwise, answered](Result<Reply> answer) {
                       if (answer) {
                         answered(*answer);
                         finish(process, batch, {});
                         return;
                       }
                       auto error = answer.error();
                       if (error.code == Errc::not_found || error.code == Errc::internal) {
                         for (auto event : otherwise) {
                           event.failed = error.code == Errc::internal;
                           if (event.failed)
                             event.kind_or_reason = "could not be applied: " + error.detail;
                           batch->keep.events.push_back(std::move(event));
                         }
                         error = {};
                       }
                       finish(process, batch, error);
                     });
}

}  // namespace

void apply_webhook(Process& process, WebhookRequest request, std::function<void(Error)> done) {
  auto batch = std::make_shared<Batch>();
  batch->done = std::move(done);
  batch->keep = {request.tenant, request.integration, request.provider, {}};
  ReportStatuses statuses{request.tenant, request.integration, {}};
  std::vector<KeptEvent> unreported;
  for (std::size_t i = 0; i < request.events.size(); ++i) {
    auto& event = request.events[i];
    if (auto* in = std::get_if<Inbound>(&event.what)) {
      start<InboundReceived>(
          process, batch,
          ReceiveInbound{request.tenant, request.integration, *in, event.dedupe_key, event.raw},
          {{"message", false, event.dedupe_key, event.raw}},
          [received = request.received, i](const InboundReceived& m) {
            received(i, m.duplicate);
          });
    } else if (auto* receipt = std::get_if<Receipt>(&event.what)) {
      unreported.push_back({"status:" + receipt->event, false, event.dedupe_key, event.raw});
      statuses.reports.push_back({*receipt, event.dedupe_key, event.raw});
    } else if (auto* gone = std::get_if<Retraction>(&event.what)) {
      start<Applied>(process, batch,
                     RetractMessage{request.tenant, request.integration, *gone, event.dedupe_key,
                                    event.raw, 0},
                     {{"retraction", false, event.dedupe_key, event.raw}},
                     [](const Applied&) {});
    } else if (auto* kept = std::get_if<Kept>(&event.what)) {
      batch->keep.events.push_back({kept->kind, false, event.dedupe_key, event.raw});
    } else {
      batch->keep.events.push_back(
          {std::get<Unusable>(event.what).reason, true, event.dedupe_key, event.raw});
    }
  }
  if (!statuses.reports.empty())
    start<Applied>(process, batch, std::move(statuses), std::move(unreported),
                   [](const Applied&) {});
  finish(process, batch, {});
}

}  // namespace sara::simulation
