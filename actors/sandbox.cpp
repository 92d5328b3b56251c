// The sandbox provider. It keeps nothing: its message ids come from ours, so that the same message
// handed over twice is the same message, and a restart only asks for the callbacks again.
#include <map>

#include "actors/delivery.hpp"
#include "base/crypto.hpp"
#include "base/fault.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "messages/error.hpp"

namespace sara::actors {

using namespace messages;
using namespace domain;

namespace {

constexpr Millis latency_default{150};
constexpr int callback_attempts_max = 20;
constexpr auto post_deadline = std::chrono::seconds(30);

struct Callback {
  TenantId tenant_id;
  IntegrationId integration_id;
  std::string message_id;  ///< ours
  std::string provider_message_id;
  int stage = 0;  ///< into `stages`
  bool fails = false;
  int attempt = 0;
};

constexpr MessageStatus stages[] = {MessageStatus::sent, MessageStatus::delivered,
                                    MessageStatus::read};
constexpr int stage_count = 3;

struct Provider : std::enable_shared_from_this<Provider> {
  Provider(sandbox_actor::pointer actor, Context* c, outbound_actor out)
      : self(actor), context(c), outbound(std::move(out)) {}

  sandbox_actor::pointer self;
  Context* context;
  outbound_actor outbound;
  std::multimap<TimePoint, Callback> due;
  caf::actor_clock::time_point armed{};  ///< when the next tick comes; epoch: none is on its way

  const Integration* integration(const Callback& c, TenantPtr& keep) const {
    keep = context->tenants->find(c.tenant_id);
    return keep ? keep->find(c.integration_id) : nullptr;
  }

  Millis latency_of(const Integration& i) const {
    if (auto doc = json::parse(i.settings))
      if (auto ms = doc->root()["latency_ms"].integer()) return Millis{*ms};
    return latency_default;
  }

  SandboxAccepted accept(const SandboxSend& m) {
    Callback c{m.tenant_id, m.integration_id, m.message_id, "sbx_" + m.message_id, 0, false, 0};
    TenantPtr keep;
    auto* account = integration(c, keep);
    if (account == nullptr) return {"", "the sandbox integration is gone"};
    if (auto doc = json::parse(account->settings))
      if (auto rate = doc->root()["failure_rate"].number()) c.fails = random_fraction() < *rate;
    fault::point("sandbox.accepted");
    schedule(c, latency_of(*account));
    return {c.provider_message_id, ""};
  }

  void schedule(Callback c, Millis after) {
    due.emplace(context->clock->now() + after, std::move(c));
    arm();
  }

  /// One timer at a time: if each tick armed its own successor, a provider that is never idle would
  /// gather as many timers as it ever had callbacks, all firing at once.
  void arm() {
    if (due.empty()) return;
    auto wait = std::max(due.begin()->first - context->clock->now(), Millis{0}) + Millis{1};
    auto at = self->clock().now() + wait;
    if (armed != caf::actor_clock::time_point{} && armed <= at) return;
    armed = at;
    self->delayed_send(self, wait, caf::tick_atom_v);
  }

  void tick() {
    // A timer that an earlier one has overtaken ends here.
    if (armed <= self->clock().now()) armed = {};
    auto now = context->clock->now();
    while (!due.empty() && due.begin()->first <= now) {
      auto c = std::move(due.begin()->second);
      due.erase(due.begin());
      post(std::move(c));
    }
    // The timer's clock and the calendar's may disagree: never leave one behind.
    arm();
  }

  std::string body_of(const Callback& c) const {
    bool failed = c.fails && c.stage > 0;
    std::string_view status = failed ? "failed" : to_string(stages[c.stage]);
    std::string out;
    json::Writer w(out);
    w.begin_object().key("events").begin_array().begin_object();
    w.member("type", "status");
    w.member("id", c.provider_message_id + "." + std::string(status));
    w.member("message_id", c.provider_message_id).member("status", status);
    w.member("at_ms", to_millis(context->clock->now())).member("reference", c.message_id);
    if (failed) {
      w.key("error").begin_object().member("code", "sandbox_failure");
      w.member("detail", "the sandbox was told to fail some messages").end_object();
    }
    w.end_object().end_array().end_object();
    return out;
  }

  void post(Callback c) {
    TenantPtr keep;
    auto* account = integration(c, keep);
    if (account == nullptr) return;
    auto secret = account->credentials.find("secret");
    if (secret == account->credentials.end()) return;
    PostCallback request;
    request.url = context->local_url + "/webhooks/sandbox/" + account->endpoint;
    request.body = body_of(c);
    crypto::HmacKey key(crypto::HmacKey::Hash::sha256, secret->second);
    request.signature = "sha256=" + crypto::to_hex(key.sign(request.body));
    auto latency = latency_of(*account);
    auto provider = shared_from_this();
    self->request(outbound, post_deadline, std::move(request))
        .then([provider, c, latency](
                  const CallbackPosted& p) { provider->posted(c, p.status, latency); },
              [provider, c, latency](const caf::error&) { provider->posted(c, 0, latency); });
  }

  void posted(Callback c, int status, Millis latency) {
    if (status / 100 == 2) {
      fault::point("sandbox.reported");
      bool last = c.stage + 1 == stage_count || (c.fails && c.stage > 0);
      if (last) return;
      ++c.stage;
      c.attempt = 0;
      schedule(std::move(c), latency);
      return;
    }
    if (++c.attempt >= callback_attempts_max) {
      log::warn("sandbox.callback_given_up", {{"status", status}});
      return;
    }
    schedule(std::move(c), std::min(Millis{200} * (1 << std::min(c.attempt, 8)), Millis{30'000}));
  }
};

}  // namespace

sandbox_actor::behavior_type sandbox(sandbox_actor::pointer self, Context* context,
                                     outbound_actor outbound) {
  auto provider = std::make_shared<Provider>(self, context, std::move(outbound));
  return {
      [provider](const SandboxSend& m) { return provider->accept(m); },
      [provider](caf::tick_atom) { provider->tick(); },
  };
}

}  // namespace sara::actors
