// Actors on CAF's test coordinator: one thread, we run the scheduler, we advance the clocks.
#pragma once

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "actors/context.hpp"
#include "base/json.hpp"
#include "memory.hpp"
#include "messages/error.hpp"

namespace sara::actors {

using namespace std::chrono_literals;

struct TestConfig : caf::actor_system_config {
  TestConfig() {
    add_message_types<caf::id_block::sara_conversation>();
    add_message_types<caf::id_block::sara_persistence>();
    add_message_types<caf::id_block::sara_query>();
    add_message_types<caf::id_block::sara_inbox>();
    add_message_types<caf::id_block::sara_delivery>();
    set("scheduler.policy", caf::atom("testing"));
    set("logger.inline-output", true);
  }
};

inline const TimePoint noon = parse_rfc3339("2026-01-05T12:00:00Z").value();
inline const TenantId tenant_id{Uuid{1, 1}};
inline const IntegrationId sandbox_id{Uuid{9, 9}};

/// What a request came to, in words: "received", "duplicate", "applied 1", "202", "overloaded".
struct Answer {
  std::string text = "waiting";
  std::string body;
};
using AnswerPtr = std::shared_ptr<Answer>;

inline void take(Answer& a, const messages::InboundReceived& m) {
  a.text = m.duplicate ? "duplicate" : "received";
}
inline void take(Answer& a, const messages::Applied& m) {
  a.text = "applied " + std::to_string(m.count);
}
inline void take(Answer& a, const messages::Answered& m) {
  a.text = std::to_string(m.status);
  a.body = m.body;
}
inline void take(Answer& a, const messages::Listening&) { a.text = "listening"; }
inline void take(Answer& a, const messages::Population& m) {
  a.text = std::to_string(m.conversations);
  if (m.resting > 0) a.text += ", " + std::to_string(m.resting) + " at rest";
}

struct Theatre {
  TestConfig config;
  Memory memory;
  ManualClock clock{noon};
  messages::TenantRegistry registry;
  Context context;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& sched =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  std::vector<caf::strong_actor_ptr> spawned;  ///< a parked promise keeps an actor alive
  caf::actor client;

  template <class... Ts>
  auto spawn(Ts&&... xs) {
    auto handle = system.spawn(std::forward<Ts>(xs)...);
    spawned.push_back(caf::actor_cast<caf::strong_actor_ptr>(handle));
    return handle;
  }

  Theatre() {
    context.clock = &clock;
    context.tenants = &registry;
    auto snapshot = std::make_shared<domain::TenantSnapshot>();
    snapshot->id = tenant_id;
    domain::Integration sandbox;
    sandbox.id = sandbox_id;
    sandbox.provider = domain::Provider::sandbox;
    snapshot->offers.push_back({sandbox, domain::channels_of(sandbox, {})});
    registry.publish(snapshot);
    context.writers.push_back(spawn(fake_persistence, &memory));
    for (int i = 0; i < 2; ++i) context.readers.push_back(spawn(fake_query, &memory));
    // CAF 0.17.6 dereferences a null pointer where a function actor takes no argument.
    auto idle = [](caf::event_based_actor*, int) -> caf::behavior {
      return {[](caf::tick_atom) {}};
    };
    client = spawn(idle, 0);
    sched.run();
  }

  ~Theatre() {
    // What the directory spawned only it can end.
    memory.late_reads = memory.slow_reads = false;
    if (context.directory) caf::anon_send(context.directory, messages::Drain{true});
    release();
    deliver_reads();
    context.writers.clear();
    context.readers.clear();
    context.directory = nullptr;
    context.delivery = nullptr;
    for (auto& p : spawned) caf::anon_send_exit(p, caf::exit_reason::kill);
    sched.run();
    sched.trigger_timeouts();
    sched.run();
  }

  /// Sends at once; the answer comes when the scheduler runs.
  template <class Reply, class Handle, class Command>
  AnswerPtr post(const Handle& to, Command command) {
    auto answer = std::make_shared<Answer>();
    auto* self = dynamic_cast<caf::event_based_actor*>(
        caf::actor_cast<caf::abstract_actor*>(client));
    self->context(nullptr);  // What it ran on last is gone.
    self->request(to, caf::infinite, std::move(command))
        .then([answer](const Reply& r) { take(*answer, r); },
              [answer](const caf::error& e) {
                auto error = messages::from_caf(e);
                answer->text = to_string(error.code);
                answer->body = error.detail;
              });
    return answer;
  }

  /// Lets what the writer held go to the database, and runs.
  void release() {
    memory.holding = false;
    caf::anon_send(context.writers.front(), caf::flush_atom_v);
    sched.run();
  }
  /// Lets the readers answer what they read.
  void deliver_reads() {
    for (int i = 0; i < 100; ++i)
      for (auto& reader : context.readers) caf::anon_send(reader, messages::Ping{});
    sched.run();
  }

  /// Moves both clocks, a step at a time, and runs what becomes due.
  void advance(Millis total, Millis step = 50ms) {
    for (sched.run(); total.count() > 0; total -= step) {
      clock.advance(step);
      sched.advance_time(step);
      sched.run();
    }
  }

  /// Runs everything in an order that the seed decides: any actor that is ready may be the next,
  /// and each handles one message. Mailboxes stay in order, as they always do.
  void run_shuffled(std::mt19937& random) {
    while (sched.has_job()) {
      auto at = std::uniform_int_distribution<std::size_t>(0, sched.jobs.size() - 1)(random);
      std::swap(sched.jobs[0], sched.jobs[at]);
      sched.run_once();
    }
  }

  Memory::Rows& rows() { return memory.tenants[tenant_id]; }
  /// The bodies of all messages, in commit order.
  std::string bodies() {
    std::string out;
    for (auto& e : rows().journal)
      if (e.kind == domain::EventKind::message_created) out += (out.empty() ? "" : " ") + e.body;
    return out;
  }
};

/// A DIRECTORY that keeps nothing: it counts, and asks a test what became of what.
struct FakeDirectory {
  int unloads = 0;
  std::function<caf::result<messages::Applied>(const messages::SettleDelivery&)> settle;
  std::function<caf::result<messages::Applied>(const messages::ApplyReport&)> apply;
};
inline messages::directory_actor::behavior_type fake_directory(messages::directory_actor::pointer,
                                                               FakeDirectory* fake) {
  using namespace messages;
  auto no = [](auto answer) -> caf::result<decltype(answer)> {
    return to_caf(Errc::internal, "not here");
  };
  return {
      [=](const ReceiveInbound&) { return no(InboundReceived{}); },
      [=](const ApplyReport& m) { return fake->apply ? fake->apply(m) : no(Applied{}); },
      [=](const RetractMessage&) { return no(Applied{}); },
      [=](const SendReply&) { return no(Answered{}); },
      [=](const OpenConversation&) { return no(Answered{}); },
      [=](const SettleDelivery& m) { return fake->settle ? fake->settle(m) : no(Applied{}); },
      [=](const ReportStatuses&) { return no(Applied{}); },
      [=](const KeepEvents&) { return no(Applied{}); },
      [=](const WantUnload&) { ++fake->unloads; },
      [](const GetPopulation&) { return Population{}; },
      [](const Drain&) {},
  };
}

inline messages::ReceiveInbound inbound(std::string body, std::string key,
                                        std::string address = "+15550100777") {
  messages::ReceiveInbound m;
  m.tenant_id = tenant_id;
  m.integration_id = sandbox_id;
  m.inbound.channel = domain::Channel::sms;
  m.inbound.provider = domain::Provider::sandbox;
  m.inbound.address = std::move(address);
  m.inbound.body = std::move(body);
  m.dedupe_key = std::move(key);
  return m;
}
inline messages::ReceiveInbound inbound(const std::string& body) {
  return inbound(body, "x/" + body);
}

inline messages::ReceiveInbound echo(const std::string& body) {
  auto m = inbound(body);
  m.inbound.echo = true;
  m.inbound.provider_message_id = body;
  return m;
}

inline messages::ReportedStatus report(domain::MessageStatus status, std::string id) {
  messages::ReportedStatus r;
  r.receipt.channel = domain::Channel::sms;
  r.receipt.provider = domain::Provider::sandbox;
  r.receipt.provider_message_id = id;
  r.receipt.status = status;
  r.receipt.event = to_string(status);
  r.dedupe_key = "x/" + id + ":" + std::string(to_string(status));
  return r;
}

inline std::string texts(const std::vector<AnswerPtr>& answers) {
  std::string out;
  for (auto& a : answers) out += (out.empty() ? "" : ", ") + a->text;
  return out;
}

}  // namespace sara::actors
