// The outbox worker: nothing leaves before `sending` is committed, and what fails is tried again.
#include "actors/delivery.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::actors;
using namespace sara::messages;
using domain::MessageStatus;

namespace {

struct Stage : Theatre {
  FakeDirectory directory;
  std::string story;  ///< "sending 1, sandbox 1, sent 1"
  MessageStatus stored = MessageStatus::queued;
  int failures_to_come = 0;         ///< commits that answer unavailable ...
  bool lose_answers = false;        ///< ... although they were made
  int provider_failures_to_come = 0;
  std::string refusal;              ///< the provider's
  std::vector<SandboxSend> sends;
  std::vector<domain::Delivery> outcomes;
  delivery_actor worker;

  void note(const std::string& what) { story += (story.empty() ? "" : ", ") + what; }

  Stage() {
    directory.settle = [this](const SettleDelivery& m) -> caf::result<Applied> {
      auto name = std::string(to_string(m.outcome.status)) + " " +
                  std::to_string(m.outcome.message_seq);
      bool failing = failures_to_come > 0;
      if (failing) --failures_to_come;
      if (failing && !lose_answers) {
        note("no " + name);
        return to_caf(Errc::unavailable, "no database");
      }
      // As Thread::settle: forward, or told twice.
      bool same = !outcomes.empty() && outcomes.back() == m.outcome;
      if (!same && !advances(stored, m.outcome.status)) return Applied{0};
      stored = m.outcome.status;
      outcomes.push_back(m.outcome);
      note((failing ? "lost " : "") + name);
      if (failing) return to_caf(Errc::unavailable, "no answer");
      return Applied{1};
    };
    context.directory = spawn(fake_directory, &directory);
    auto provider = [](sandbox_actor::pointer, Stage* stage) -> sandbox_actor::behavior_type {
      return {[stage](const SandboxSend& m) -> caf::result<SandboxAccepted> {
                stage->sends.push_back(m);
                stage->note("sandbox " + m.body);
                if (stage->provider_failures_to_come > 0) {
                  --stage->provider_failures_to_come;
                  return to_caf(Errc::unavailable, "no answer");
                }
                if (!stage->refusal.empty()) return SandboxAccepted{"", stage->refusal};
                return SandboxAccepted{"sbx_" + m.message_id, ""};
              },
              [](caf::tick_atom) {}};
    };
    DeliveryOptions options;
    options.sandbox = spawn(provider, this);
    options.in_flight_max = 2;
    worker = spawn(actors::delivery, &context, options);
    sched.run();
  }

  static DueItem item(Sequence seq, MessageStatus status = MessageStatus::queued) {
    DueItem i;
    i.tenant_id = tenant_id;
    i.delivery.message_seq = seq;
    i.delivery.provider = domain::Provider::sandbox;
    i.delivery.integration_id = sandbox_id;
    i.delivery.channel = domain::Channel::sms;
    i.delivery.address = "+15550100777";
    i.delivery.status = status;
    i.delivery.created_at = noon;
    i.body = std::to_string(seq);
    return i;
  }
  void due(const std::vector<DueItem>& items) {
    caf::anon_send(worker, DueItems{std::make_shared<std::vector<DueItem>>(items)});
  }
};

}  // namespace

TEST_CASE_FIXTURE(Stage, "delivery: sending is committed before the provider is asked") {
  due({item(1)});
  sched.run();
  CHECK(story == "sending 1, sandbox 1, sent 1");
  CHECK(outcomes.at(0).attempt == 1);
  CHECK(outcomes.at(1).provider_message_id ==
        "sbx_" + to_string(message_id(tenant_id, 1, noon)));
  CHECK(outcomes.at(1).sent_at == noon);
  CHECK(sends.at(0).address == "+15550100777");
  CHECK_FALSE(sends.at(0).accepted_before);
}

TEST_CASE_FIXTURE(Stage, "delivery: a message handed over twice is sent once") {
  due({item(1), item(1)});
  due({item(1)});
  sched.run();
  due({item(1)});
  sched.run();
  CHECK(story == "sending 1, sandbox 1, sent 1");
}

TEST_CASE_FIXTURE(Stage, "delivery: without its commit nothing leaves; it is tried again") {
  failures_to_come = 3;
  due({item(1)});
  sched.run();
  CHECK(story == "no sending 1");
  CHECK(sends.empty());
  advance(30s);
  CHECK(story == "no sending 1, no sending 1, no sending 1, sending 1, sandbox 1, sent 1");
  CHECK(outcomes.at(0).attempt == 1);
}

TEST_CASE_FIXTURE(Stage, "delivery: a commit whose answer was lost does not strand the message") {
  failures_to_come = 1;
  lose_answers = true;
  due({item(1)});
  sched.run();
  CHECK(story == "lost sending 1");
  advance(30s);
  CHECK(story == "lost sending 1, sending 1, sandbox 1, sent 1");
}

TEST_CASE_FIXTURE(Stage, "delivery: a result that could not be recorded is asked for again") {
  due({item(1)});
  sched.run_once();  // The worker asks for the commit.
  sched.run_once();
  failures_to_come = 1;
  sched.run();
  CHECK(story == "sending 1, sandbox 1, no sent 1");
  advance(30s);
  // The same message id: the sandbox takes it for the same message.
  CHECK(story == "sending 1, sandbox 1, no sent 1, sandbox 1, sent 1");
  CHECK(sends.at(0).message_id == sends.at(1).message_id);
}

TEST_CASE_FIXTURE(Stage, "delivery: a provider that does not answer is asked again") {
  provider_failures_to_come = 1;
  due({item(1)});
  sched.run();
  advance(30s);
  CHECK(story == "sending 1, sandbox 1, sandbox 1, sent 1");
}

TEST_CASE_FIXTURE(Stage, "delivery: a refusal for good is recorded as failed, with its reason") {
  refusal = "the sandbox integration is gone";
  due({item(1)});
  sched.run();
  CHECK(story == "sending 1, sandbox 1, failed 1");
  CHECK(outcomes.back().error_code == "provider_refused");
  CHECK(outcomes.back().error_detail == refusal);
  advance(30s);
  CHECK(sends.size() == 1);
}

TEST_CASE_FIXTURE(Stage, "delivery: what was being sent when the process died is sent on") {
  stored = MessageStatus::sending;
  due({item(1, MessageStatus::sending)});
  sched.run();
  CHECK(story == "sandbox 1, sent 1");
  CHECK_FALSE(sends.at(0).accepted_before);
}

TEST_CASE_FIXTURE(Stage, "delivery: a message whose state has gone on is left alone") {
  stored = MessageStatus::delivered;
  due({item(1)});
  sched.run();
  CHECK(story == "");
  advance(30s);
  CHECK(sends.empty());
}

TEST_CASE_FIXTURE(Stage, "delivery: messages of providers without a sender wait in the table") {
  auto other = item(1);
  other.delivery.provider = domain::Provider::twilio;
  due({other});
  sched.run();
  advance(30s);
  CHECK(story == "");
}

TEST_CASE_FIXTURE(Stage, "delivery: only so many are under way at once, and all get their turn") {
  std::size_t waiting = 0;
  std::size_t most = 0;
  int settled = 0;
  directory.settle = [&](const SettleDelivery& m) -> caf::result<Applied> {
    waiting += m.outcome.status == MessageStatus::sending;
    most = std::max(most, waiting);
    if (m.outcome.status == MessageStatus::sent) {
      --waiting;
      ++settled;
    }
    return Applied{1};
  };
  std::vector<DueItem> items;
  for (Sequence seq = 1; seq <= 20; ++seq) items.push_back(item(seq));
  due(items);
  std::mt19937 random(7);
  run_shuffled(random);
  CHECK(settled == 20);
  CHECK(most == 2);
}

TEST_CASE_FIXTURE(Stage, "delivery: after a drain nothing more leaves") {
  caf::anon_send(worker, Drain{true});
  due({item(1)});
  sched.run();
  advance(1s);
  CHECK(story == "");
}

TEST_CASE_FIXTURE(Stage, "delivery: a calendar that jumps back holds nothing up") {
  failures_to_come = 1;
  due({item(1)});
  sched.run();
  clock.advance(-1h);
  advance(30s);
  CHECK(story == "no sending 1, sending 1, sandbox 1, sent 1");
}
