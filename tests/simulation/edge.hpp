// What http/ does between a request and its answer, without HTTP: http/routes/webhook.cpp's way
// with a webhook's events, and http/service.cpp's with an idempotency key.
#pragma once

#include "process.hpp"

namespace sara::simulation {

struct WebhookRequest {
  TenantId tenant;
  IntegrationId integration;
  domain::Provider provider = domain::Provider::none;
  std::vector<domain::WebhookEvent> events;
  /// An inbound message of it was answered; its index, and whether it was known already.
  std::function<void(std::size_t, bool duplicate)> received = [](std::size_t, bool) {};
};
/// done: with no error, every event is committed (200); with one, the provider shall send again.
void apply_webhook(Process& process, WebhookRequest request, std::function<void(Error)> done);

/// A request of the API that may carry an idempotency key: the answer that is stored for the key,
/// or the work's. errors: as the work's; idempotency_running; unavailable
template <class Command>
void send_once(Process& process, Command command,
               std::function<void(Result<messages::Answered>)> done) {
  using namespace messages;
  auto work = [&process, done](Command c) {
    process.ask<Answered>(process.context.directory, std::move(c), done);
  };
  if (command.idempotency.key.empty()) {
    work(std::move(command));
    return;
  }
  std::pair<TenantId, std::string> mine{command.tenant_id, command.idempotency.key};
  if (!process.idempotency_running.insert(mine).second) {
    done(fail(Errc::idempotency_running, "the first request with this key is still running"));
    return;
  }
  process.ask<IdempotencyPtr>(
      process.context.reader(), FindIdempotency{mine.first, mine.second},
      [&process, mine, done, command](Result<IdempotencyPtr> found) {
        auto release = [&process, mine, done](Result<Answered> answer) {
          process.idempotency_running.erase(mine);
          done(std::move(answer));
        };
        if (!found)
          release(fail(found.error()));
        else if (!*found)
          process.ask<Answered>(process.context.directory, command, release);
        else if ((*found)->request_hash != command.idempotency.request_hash)
          release(fail(Errc::idempotency_reused, "this key was used with another request"));
        else
          release(Answered{(*found)->status, (*found)->body});
      });
}

}  // namespace sara::simulation
