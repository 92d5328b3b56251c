// The CONVERSATION actor: one set in flight, acknowledged after its commit, reloaded after failure.
#include "actors/conversation.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::actors;
using namespace sara::messages;

namespace {

struct Stage : Theatre {
  std::shared_ptr<domain::Thread> thread = std::make_shared<domain::Thread>();
  conversation_actor conversation;
  FakeDirectory directory;
  RestingPlacePtr rest;

  Stage() {
    auto contact = std::make_shared<domain::Contact>();
    contact->id = ContactId{Uuid{2, 2}};
    contact->identities.push_back({domain::Channel::sms, "+15550100777", true});
    thread->contact = contact;
    context.directory = spawn(fake_directory, &directory);
    activate();
  }

  void activate() {
    auto stored = memory.thread(tenant_id, thread->contact->id);
    conversation = spawn(actors::conversation, &context, tenant_id,
                         stored ? stored : std::shared_ptr<const domain::Thread>(thread), rest);
    sched.run();
  }

  AnswerPtr receive(const ReceiveInbound& m) { return post<InboundReceived>(conversation, m); }
  AnswerPtr receive(const std::string& body) { return receive(inbound(body)); }
  AnswerPtr apply(const ReportedStatus& r, Sequence unmatched = 0) {
    ApplyReport m;
    m.tenant_id = tenant_id;
    m.contact_id = thread->contact->id;
    m.integration_id = sandbox_id;
    m.report = r;
    if (auto* found = rows().delivery_with(r.receipt.provider, r.receipt.provider_message_id))
      m.found = *found;
    m.unmatched_seq = unmatched;
    return post<Applied>(conversation, m);
  }
  /// A status whose message nobody knew when it came.
  void wait_in_journal(const ReportedStatus& r) {
    domain::WriteSet set;
    set.tenant_id = tenant_id;
    domain::JournalEntry e;
    e.kind = domain::EventKind::webhook_unmatched;
    e.provider = r.receipt.provider;
    e.channel = r.receipt.channel;
    e.status = r.receipt.status;
    e.subject = r.receipt.provider_message_id;
    e.dedupe_key = r.dedupe_key;
    set.entries.push_back(e);
    REQUIRE(memory.write(set));
  }
  AnswerPtr reply(const std::string& body, const std::string& key = "") {
    SendReply m;
    m.tenant_id = tenant_id;
    if (!rows().conversations.empty()) m.conversation_id = rows().conversations.begin()->first;
    m.reply.body = body;
    m.idempotency = {key, "00ff"};
    return post<Answered>(conversation, m);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Stage, "conversation: nobody is answered before the commit") {
  memory.holding = true;
  auto answer = receive("hi");
  sched.run();
  CHECK(answer->text == "waiting");
  CHECK(rows().journal.empty());
  release();
  CHECK(answer->text == "received");
  CHECK(bodies() == "hi");
}

TEST_CASE_FIXTURE(Stage, "conversation: one set is in flight, the rest goes with the next") {
  memory.holding = true;
  std::vector<AnswerPtr> answers{receive("1")};
  sched.run();
  for (auto* body : {"2", "3", "4"}) answers.push_back(receive(body));
  sched.run();
  CHECK(memory.batch.size() == 1);
  release();
  CHECK(texts(answers) == "received, received, received, received");
  CHECK(memory.set_sizes == std::vector<std::size_t>{1, 3});
  CHECK(bodies() == "1 2 3 4");
  CHECK(rows().conversations.begin()->second.unread == 4);
}

TEST_CASE_FIXTURE(Stage, "conversation: a redelivery waits for the commit of the first copy") {
  memory.holding = true;
  auto first = receive("hi");
  sched.run();
  auto second = receive("hi");
  auto third = receive("hi");
  sched.run();
  CHECK(texts({first, second, third}) == "waiting, waiting, waiting");
  release();
  CHECK(texts({first, second, third}) == "received, duplicate, duplicate");
  CHECK(bodies() == "hi");
  CHECK(rows().conversations.begin()->second.unread == 1);
}

TEST_CASE_FIXTURE(Stage, "conversation: copies inside one set are one message") {
  memory.holding = true;
  receive("before");
  sched.run();
  std::vector<AnswerPtr> copies{receive("a"), receive("b"), receive("a"), receive("a")};
  sched.run();
  SUBCASE("it commits") {
    release();
    CHECK(texts(copies) == "received, received, duplicate, duplicate");
    CHECK(bodies() == "before a b");
  }
  SUBCASE("it does not") {
    memory.poison = "a";
    release();
    CHECK(texts(copies) == "internal, received, internal, internal");
    CHECK(bodies() == "before b");
  }
}

TEST_CASE_FIXTURE(Stage, "conversation: what is stored already is acknowledged, the rest stored") {
  receive("old");
  sched.run();
  // A new incarnation remembers nothing: only the database knows.
  activate();
  memory.holding = true;
  auto first = receive("new 1");
  sched.run();
  std::vector<AnswerPtr> answers{first, receive("new 2"), receive("old"), receive("new 3")};
  release();
  CHECK(texts(answers) == "received, received, duplicate, received");
  CHECK(bodies() == "old new 1 new 2 new 3");
  CHECK(rows().conversations.begin()->second.unread == 4);
  CHECK(rows().conversations.begin()->second.inbound_count == 4);
}

TEST_CASE_FIXTURE(Stage, "conversation: a large set of redeliveries is acknowledged") {
  for (int i = 0; i < 60; ++i) receive(std::to_string(i));
  sched.run();
  activate();
  memory.holding = true;
  receive("first");
  sched.run();
  std::vector<AnswerPtr> answers;
  for (int i = 0; i < 60; ++i) answers.push_back(receive(std::to_string(i)));
  release();
  for (auto& a : answers) CHECK(a->text == "duplicate");
  CHECK(rows().journal.size() == 61);
}

TEST_CASE_FIXTURE(Stage, "conversation: a failed commit answers everyone unavailable, and quits") {
  receive("kept");
  sched.run();
  memory.holding = true;
  std::vector<AnswerPtr> answers{receive("a")};
  sched.run();
  answers.push_back(receive("b"));
  answers.push_back(reply("c"));
  sched.run();
  memory.failures_to_come = 1;
  release();
  CHECK(texts(answers) == "unavailable, unavailable, unavailable");
  auto late = receive("d");
  sched.run();
  CHECK(late->text == "unavailable");
  CHECK(bodies() == "kept");
  // The next incarnation begins with what is stored.
  activate();
  auto again = receive("a");
  sched.run();
  CHECK(again->text == "received");
  CHECK(rows().conversations.begin()->second.unread == 2);
}

TEST_CASE_FIXTURE(Stage, "conversation: a commit in doubt doubles nothing") {
  memory.failures_to_come = 1;
  memory.lose_answers = true;
  auto lost = receive("hi");
  sched.run();
  CHECK(lost->text == "unavailable");
  CHECK(bodies() == "hi");
  activate();
  auto redelivered = receive("hi");
  sched.run();
  CHECK(redelivered->text == "duplicate");
  CHECK(bodies() == "hi");
}

TEST_CASE_FIXTURE(Stage, "conversation: a value that the database refuses fails alone") {
  memory.poison = "bad";
  memory.holding = true;
  receive("0");
  sched.run();
  std::vector<AnswerPtr> answers{receive("1"), receive("bad"), receive("2"), reply("3")};
  release();
  CHECK(answers[0]->text == "received");
  CHECK(answers[1]->text == "internal");
  CHECK(answers[2]->text == "received");
  CHECK(bodies() == "0 1 2");  // There was no conversation yet when the reply was asked for.
  auto after = receive("4");
  sched.run();
  CHECK(after->text == "received");
  CHECK(rows().conversations.begin()->second.unread == 4);
}

TEST_CASE_FIXTURE(Stage, "conversation: the queue is bounded and says so") {
  context.settings.conversation_queue_max = 5;
  memory.holding = true;
  std::vector<AnswerPtr> answers;
  for (int i = 0; i < 8; ++i) answers.push_back(receive(std::to_string(i)));
  sched.run();
  // One is in flight, five wait.
  CHECK(texts(answers) ==
        "waiting, waiting, waiting, waiting, waiting, waiting, overloaded, overloaded");
  release();
  CHECK(bodies() == "0 1 2 3 4 5");
}

TEST_CASE_FIXTURE(Stage, "conversation: a reply is answered when its outbox row is committed") {
  receive("hi");
  sched.run();
  memory.holding = true;
  auto answer = reply("hello");
  sched.run();
  CHECK(answer->text == "waiting");
  release();
  CHECK(answer->text == "202");
  auto message = json::parse(answer->body);
  REQUIRE(message);
  CHECK(message->root()["status"].string_or("") == "queued");
  CHECK(message->root()["seq"].integer() == 2);
  CHECK(rows().deliveries.at(2).status == domain::MessageStatus::queued);
}

TEST_CASE_FIXTURE(Stage, "conversation: a reply to a conversation that has ended is a conflict") {
  receive("hi");
  sched.run();
  SendReply m;
  m.tenant_id = tenant_id;
  m.conversation_id = ConversationId{Uuid{99, 99}};
  m.reply.body = "hello";
  auto answer = post<Answered>(conversation, m);
  sched.run();
  CHECK(answer->text == "conflict");
  CHECK(rows().deliveries.empty());
}

TEST_CASE_FIXTURE(Stage, "conversation: an answer is remembered with its effect, one a set") {
  receive("hi");
  sched.run();
  memory.holding = true;
  receive("x");
  sched.run();
  auto one = reply("one", "key 1");
  auto two = reply("two", "key 2");
  release();
  CHECK(texts({one, two}) == "202, 202");
  CHECK(rows().answered.at("key 1").body == one->body);
  CHECK(rows().answered.at("key 2").body == two->body);
  CHECK(rows().answered.at("key 1").status == 202);
}

TEST_CASE_FIXTURE(Stage, "conversation: a key that has been used refuses its own request only") {
  receive("hi");
  sched.run();
  reply("one", "key");
  sched.run();
  memory.holding = true;
  receive("x");
  sched.run();
  std::vector<AnswerPtr> answers{receive("a"), reply("again", "key"), receive("b")};
  release();
  CHECK(texts(answers) == "received, idempotency_running, received");
  CHECK(bodies() == "hi one x a b");
}

TEST_CASE_FIXTURE(Stage, "conversation: statuses that came before their message are applied") {
  auto early = report(domain::MessageStatus::delivered, "echo 1");
  wait_in_journal(early);
  receive(echo("echo 1"));
  sched.run();
  CHECK(rows().deliveries.at(2).status == domain::MessageStatus::delivered);
  CHECK(rows().journal.at(0).kind == domain::EventKind::webhook_kept);
  // Its redelivery is known by the row that kept it.
  auto again = apply(early);
  sched.run();
  CHECK(again->text == "applied 0");
}

TEST_CASE_FIXTURE(Stage, "conversation: a status that waited finds its message settled by now") {
  wait_in_journal(report(domain::MessageStatus::complained, "echo 1"));
  memory.late_reads = true;
  receive(echo("echo 1"));
  sched.run();
  apply(report(domain::MessageStatus::read, "echo 1"));
  sched.run();
  REQUIRE(rows().deliveries.at(2).status == domain::MessageStatus::read);
  deliver_reads();
  CHECK(rows().deliveries.at(2).status == domain::MessageStatus::complained);
  CHECK(rows().journal.at(0).kind == domain::EventKind::webhook_kept);
}

TEST_CASE_FIXTURE(Stage, "conversation: it drains after what it has and looks up") {
  receive(echo("echo 1"));
  sched.run();
  SUBCASE("a set in flight and one that waits") {
    memory.holding = true;
    std::vector<AnswerPtr> answers{receive("a")};
    sched.run();
    answers.push_back(receive("b"));
    caf::anon_send(conversation, Drain{});
    sched.run();
    CHECK(texts(answers) == "waiting, waiting");
    release();
    CHECK(texts(answers) == "received, received");
  }
  SUBCASE("a message to withdraw, being looked up") {
    memory.late_reads = true;
    RetractMessage m;
    m.tenant_id = tenant_id;
    m.integration_id = sandbox_id;
    m.retraction.provider = domain::Provider::sandbox;
    m.retraction.provider_message_id = "echo 1";
    m.dedupe_key = "x/echo 1:unsend";
    auto answer = post<Applied>(conversation, m);
    caf::anon_send(conversation, Drain{});
    sched.run();
    CHECK(answer->text == "waiting");
    deliver_reads();
    CHECK(answer->text == "applied 1");
    CHECK(rows().journal.back().kind == domain::EventKind::message_retracted);
  }
  auto gone = receive("too late");
  sched.run();
  CHECK(gone->text == "unavailable");
}

TEST_CASE_FIXTURE(Stage, "conversation: a failed commit answers those it looks up for, too") {
  memory.late_reads = true;
  RetractMessage m;
  m.tenant_id = tenant_id;
  m.dedupe_key = "x/1:unsend";
  auto answer = post<Applied>(conversation, m);
  memory.failures_to_come = 1;
  receive("hi");
  sched.run();
  CHECK(answer->text == "unavailable");
}

TEST_CASE_FIXTURE(Stage, "conversation: a message to withdraw that nobody knows is not found") {
  RetractMessage m;
  m.tenant_id = tenant_id;
  m.retraction.provider = domain::Provider::sandbox;
  m.retraction.provider_message_id = "never";
  m.dedupe_key = "x/never:unsend";
  auto answer = post<Applied>(conversation, m);
  sched.run();
  CHECK(answer->text == "not_found");
  CHECK(rows().journal.empty());
}

TEST_CASE_FIXTURE(Stage, "conversation: an outcome told twice is agreed to and no second event") {
  receive("hi");
  sched.run();
  reply("hello");
  sched.run();
  auto outcome = rows().deliveries.at(2);
  outcome.status = domain::MessageStatus::sending;
  outcome.attempt = 1;
  std::vector<AnswerPtr> answers;
  for (int i = 0; i < 2; ++i) {
    answers.push_back(post<Applied>(conversation, SettleDelivery{tenant_id, outcome}));
    sched.run();
  }
  CHECK(texts(answers) == "applied 1, applied 1");
  CHECK(rows().journal.size() == 3);
}

TEST_CASE_FIXTURE(Stage, "conversation: it asks to be unloaded when it has been idle") {
  context.settings.conversation_idle = 1s;
  activate();
  advance(900ms);
  receive("hi");
  advance(1050ms);
  CHECK(directory.unloads == 0);
  advance(1s);
  CHECK(directory.unloads == 1);
}
