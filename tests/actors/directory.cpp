// The DIRECTORY with real conversations and tenants behind it, under every order of events that a
// seed can think of: no message lost, none doubled, none out of order.
#include "runtime/directory.hpp"

#include <cstdlib>
#include <set>

#include "support.hpp"

using namespace sara;
using namespace sara::actors;
using namespace sara::messages;

namespace {

struct Stage : Theatre {
  Stage() {
    context.settings.conversation_idle = 1s;
    context.directory = spawn(runtime::directory, &context);
    sched.run();
  }

  AnswerPtr receive(const ReceiveInbound& m) {
    return post<InboundReceived>(context.directory, m);
  }
  AnswerPtr receive(const std::string& body) { return receive(inbound(body)); }
  std::string conversations() {
    auto answer = post<Population>(context.directory, GetPopulation{});
    sched.run();
    return answer->text;
  }
  AnswerPtr watermark(const std::string& address) {
    ApplyReport m;
    m.tenant_id = tenant_id;
    m.report = report(domain::MessageStatus::read, "");
    m.report.receipt.address = address;
    m.report.receipt.watermark = clock.now();
    m.report.dedupe_key = "x/mark " + address;
    return post<Applied>(context.directory, m);
  }
  AnswerPtr reply(ConversationId id, const std::string& body) {
    SendReply m;
    m.tenant_id = tenant_id;
    m.conversation_id = id;
    m.reply.body = body;
    return post<Answered>(context.directory, m);
  }
};

/// Bodies are "<contact>.<number>": true if every contact's numbers come as 0, 1, 2, ...
bool in_order(const Memory::Rows& rows, std::map<std::string, int>& counts) {
  bool good = true;
  for (auto& e : rows.journal) {
    if (e.kind != domain::EventKind::message_created) continue;
    auto dot = e.body.find('.');
    good &= std::stoi(e.body.substr(dot + 1)) == counts[e.body.substr(0, dot)]++;
  }
  return good;
}

/// SARA_SEED repeats one run; without it a fixed handful is run.
std::vector<unsigned> seeds(unsigned count) {
  if (auto* seed = std::getenv("SARA_SEED")) return {static_cast<unsigned>(std::atoi(seed))};
  std::vector<unsigned> out;
  for (unsigned i = 1; i <= count; ++i) out.push_back(i);
  return out;
}

}  // namespace

TEST_CASE_FIXTURE(Stage, "directory: 64 parallel first messages make one contact") {
  std::vector<AnswerPtr> answers;
  for (int i = 0; i < 64; ++i) answers.push_back(receive(std::to_string(i)));
  sched.run();
  for (auto& a : answers) CHECK(a->text == "received");
  CHECK(rows().contacts.size() == 1);
  CHECK(rows().addresses.size() == 1);
  CHECK(rows().conversations.size() == 1);
  CHECK(rows().conversations.begin()->second.inbound_count == 64);
  CHECK(rows().contacts.begin()->second.identities.at(0).address == "+15550100777");
}

TEST_CASE_FIXTURE(Stage, "directory: two hundred redeliveries of one message make one row") {
  std::vector<AnswerPtr> answers;
  for (int i = 0; i < 200; ++i) answers.push_back(receive("same"));
  sched.run();
  int received = 0;
  for (auto& a : answers) {
    CHECK((a->text == "received" || a->text == "duplicate"));
    received += a->text == "received";
  }
  CHECK(received == 1);
  CHECK(rows().journal.size() == 1);
}

TEST_CASE_FIXTURE(Stage, "directory: addresses are looked up together, and each once") {
  memory.late_reads = true;
  std::vector<AnswerPtr> answers;
  for (auto* address : {"+15550100001", "+15550100002", "+15550100001"})
    answers.push_back(receive(inbound("hi", std::string("x/") + address, address)));
  sched.run();
  deliver_reads();
  deliver_reads();
  CHECK(texts(answers) == "received, received, duplicate");
  CHECK(rows().contacts.size() == 2);
}

TEST_CASE_FIXTURE(Stage, "directory: tenants and channels do not meet") {
  auto other = inbound("other");
  other.tenant_id = TenantId{Uuid{2, 2}};
  receive("mine");
  receive(other);
  auto mail = inbound("mail");
  mail.inbound.channel = domain::Channel::whatsapp;
  receive(mail);
  sched.run();
  CHECK(rows().contacts.size() == 2);
  CHECK(memory.tenants[other.tenant_id].contacts.size() == 1);
  CHECK(conversations() == "3");
}

TEST_CASE_FIXTURE(Stage, "directory: a watermark of somebody unknown is not found") {
  auto answer = watermark("+15550100999");
  sched.run();
  CHECK(answer->text == "not_found");
  CHECK(rows().contacts.empty());
  CHECK(conversations() == "0");
}

TEST_CASE_FIXTURE(Stage, "directory: a watermark beside a first message finds the contact") {
  memory.late_reads = true;
  auto mark = watermark("+15550100777");
  auto message = receive("hi");
  sched.run();
  deliver_reads();
  deliver_reads();
  CHECK(texts({mark, message}) == "applied 1, received");
  CHECK(rows().contacts.size() == 1);
}

TEST_CASE_FIXTURE(Stage, "directory: a conversation is found by its id, active or not") {
  receive("hi");
  sched.run();
  auto id = rows().conversations.begin()->first;
  auto active = reply(id, "one");
  sched.run();
  advance(3s);
  CHECK(conversations() == "0");
  auto passive = reply(id, "two");
  auto nobody = reply(ConversationId{Uuid{5, 5}}, "three");
  sched.run();
  CHECK(texts({active, passive, nobody}) == "202, 202, not_found");
  CHECK(bodies() == "hi one two");
}

TEST_CASE_FIXTURE(Stage, "directory: the idle are unloaded, and come back as they were") {
  receive("hi");
  advance(900ms);
  CHECK(conversations() == "1");
  advance(2s);
  CHECK(conversations() == "0");
  auto answer = receive("back");
  sched.run();
  CHECK(answer->text == "received");
  CHECK(conversations() == "1");
  CHECK(rows().contacts.size() == 1);
  CHECK(rows().conversations.begin()->second.unread == 2);
}

TEST_CASE_FIXTURE(Stage, "directory: the quiet rest, and wake without the database") {
  context.settings.conversation_rest = 200ms;
  receive("hi");
  advance(500ms);
  CHECK(conversations() == "1, 1 at rest");
  memory.reads_fail = true;
  receive("there");
  sched.run();
  CHECK(conversations() == "1");
  CHECK(bodies() == "hi there");
  CHECK(rows().conversations.begin()->second.unread == 2);
  SUBCASE("the idle time goes on and forgets it") {
    advance(900ms);
    CHECK(conversations() == "1, 1 at rest");
    advance(400ms);
    CHECK(conversations() == "0");
    memory.reads_fail = false;
    receive("again");
    sched.run();
    CHECK(bodies() == "hi there again");
    CHECK(rows().contacts.size() == 1);
  }
  SUBCASE("every message begins it anew") {
    for (auto* body : {"1", "2", "3", "4"}) {
      advance(800ms);
      CHECK(conversations() == "1, 1 at rest");
      receive(body);
      sched.run();
    }
    CHECK(bodies() == "hi there 1 2 3 4");
  }
  SUBCASE("a stop forgets it") {
    advance(500ms);
    caf::anon_send(context.directory, Drain{true});
    sched.run();
    auto answer = receive("late");
    sched.run();
    CHECK(answer->text == "unavailable");
  }
}

TEST_CASE_FIXTURE(Stage, "directory: who fails does not rest: the next message reads it afresh") {
  context.settings.conversation_rest = 200ms;
  receive("hi");
  sched.run();
  memory.failures_to_come = 1;
  auto lost = receive("lost");
  sched.run();
  CHECK(lost->text == "unavailable");
  auto reloads = memory.reloads;
  auto answer = receive("there");
  sched.run();
  CHECK(answer->text == "received");
  CHECK(memory.reloads > reloads);
  CHECK(bodies() == "hi there");
}

TEST_CASE_FIXTURE(Stage, "directory: an error of the reader is answered, and the next try works") {
  memory.reads_fail = true;
  auto first = receive("hi");
  auto id = reply(ConversationId{Uuid{5, 5}}, "x");
  sched.run();
  CHECK(texts({first, id}) == "unavailable, unavailable");
  memory.reads_fail = false;
  auto second = receive("hi");
  sched.run();
  CHECK(second->text == "received");
}

TEST_CASE_FIXTURE(Stage, "directory: a failed first commit leaves no contact") {
  memory.failures_to_come = 1;
  auto first = receive("hi");
  sched.run();
  CHECK(first->text == "unavailable");
  CHECK(rows().contacts.empty());
  auto second = receive("hi");
  sched.run();
  CHECK(second->text == "received");
  CHECK(rows().contacts.size() == 1);
}

TEST_CASE_FIXTURE(Stage, "directory: a contact that was never stored can be met again") {
  memory.poison = "bad";
  auto bad = receive("bad");
  sched.run();
  CHECK(bad->text == "internal");
  // The idle conversation of a contact that no row knows: it asks to be unloaded, and while it
  // drains the next message comes.
  memory.poison.clear();
  // Its idle timer was armed before the message came, and armed again for that.
  for (int i = 0; i < 2; ++i) {
    clock.advance(1s);
    sched.advance_time(1s);
    sched.run_once();
  }
  sched.run_once();  // The conversation has asked, and the directory says: drain.
  auto next = receive("good");
  sched.run();
  CHECK(next->text == "received");
  CHECK(rows().contacts.size() == 1);
  CHECK(bodies() == "good");
}

TEST_CASE_FIXTURE(Stage, "directory: a thread that has grown since it was read is read again") {
  receive("1");
  sched.run();
  auto id = rows().conversations.begin()->first;
  advance(3s);
  REQUIRE(conversations() == "0");
  // The reply's look-up reads the thread as it is now, and answers late.
  memory.late_reads = true;
  auto late = reply(id, "late");
  sched.run();
  // Meanwhile the conversation comes to life by its address, writes, and is unloaded.
  memory.late_reads = false;
  auto message = receive("2");
  sched.run();
  CHECK(message->text == "received");
  advance(3s);
  REQUIRE(conversations() == "0");
  deliver_reads();
  sched.run();
  CHECK(late->text == "202");
  CHECK(rows().conversations.begin()->second.inbound_count == 2);
  CHECK(rows().conversations.begin()->second.unread == 2);
  CHECK(bodies() == "1 2 late");
}

TEST_CASE_FIXTURE(Stage, "directory: what a crash left with the writer is waited for") {
  receive("1");
  sched.run();
  memory.holding = true;
  receive("2");
  sched.run();
  receive("bounced");
  sched.run_once();  // The directory has handed it over.
  auto* conversation = dynamic_cast<caf::local_actor*>(sched.jobs.front());
  REQUIRE(conversation != nullptr);
  caf::anon_send_exit(caf::strong_actor_ptr{conversation->ctrl()}, caf::exit_reason::kill);
  sched.run();
  // The next incarnation may not build on what was before "2".
  auto next = receive("3");
  auto again = receive("2");
  sched.run();
  CHECK(texts({next, again}) == "waiting, waiting");
  release();
  CHECK(texts({next, again}) == "received, duplicate");
  CHECK(bodies().substr(0, 5) == "1 2 3");
  CHECK(rows().conversations.begin()->second.inbound_count ==
        static_cast<std::int64_t>(rows().journal.size()));
}

TEST_CASE_FIXTURE(Stage, "directory: what waits for an address is bounded") {
  context.settings.parked_max = 3;
  memory.late_reads = true;
  std::vector<AnswerPtr> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(receive(std::to_string(i)));
  sched.run();
  CHECK(texts(answers) == "waiting, waiting, waiting, overloaded, overloaded");
  deliver_reads();
  CHECK(texts(answers) == "received, received, received, overloaded, overloaded");
  memory.late_reads = false;
  auto after = receive("after");
  sched.run();
  CHECK(after->text == "received");
}

TEST_CASE_FIXTURE(Stage, "directory: a stop finishes what it has and answers all") {
  std::vector<AnswerPtr> answers;
  receive("known");
  sched.run();
  memory.holding = true;
  answers.push_back(receive("in flight"));
  sched.run();
  answers.push_back(receive("waits"));
  sched.run();
  memory.late_reads = true;
  answers.push_back(receive(inbound("unknown", "x/u", "+15550100001")));
  answers.push_back(reply(ConversationId{Uuid{5, 5}}, "unknown"));
  sched.run();
  auto directory = context.directory;
  caf::anon_send(directory, Drain{true});
  sched.run();
  answers.push_back(receive("too late"));
  sched.run();
  release();
  deliver_reads();
  CHECK(texts(answers) == "received, received, unavailable, unavailable, unavailable");
  CHECK(bodies() == "known in flight waits");
  auto gone = receive("gone");
  sched.run();
  CHECK(gone->text == "unavailable");
}

TEST_CASE("directory: passivation under fire loses, doubles and reorders nothing") {
  constexpr int contacts = 4;
  constexpr int per_contact = 150;
  std::uint64_t reloads = 0;
  for (auto seed : seeds(18)) {
    INFO("SARA_SEED=", seed);
    Stage stage;
    stage.context.settings.conversation_idle = 1ms;
    // The later ones rest between.
    if (seed > 12) {
      stage.context.settings.conversation_idle = 3ms;
      stage.context.settings.conversation_rest = 1ms;
    }
    stage.memory.slow_reads = true;
    std::mt19937 random(seed);
    std::vector<AnswerPtr> answers;
    std::vector<int> sent(contacts, 0);
    int left = contacts * per_contact;
    while (left > 0 || stage.sched.has_job() || stage.conversations() != "0") {
      // A few messages, a few steps, a little time: idle conversations drain in between.
      for (int n = random() % 3 == 0; n > 0 && left > 0;) {
        auto who = static_cast<std::size_t>(random() % contacts);
        if (sent[who] == per_contact) continue;
        auto body = std::to_string(who) + "." + std::to_string(sent[who]++);
        answers.push_back(stage.receive(
            inbound(body, "x/" + body, "+1555010" + std::to_string(1000 + who))));
        --n;
        --left;
      }
      for (auto steps = random() % 8; steps > 0 && stage.sched.has_job(); --steps) {
        auto at = random() % stage.sched.jobs.size();
        std::swap(stage.sched.jobs[0], stage.sched.jobs[at]);
        stage.sched.run_once();
      }
      if (random() % 2 == 0) {
        stage.clock.advance(1ms);
        stage.sched.advance_time(1ms);
      }
      if (left == 0) {
        stage.run_shuffled(random);
        stage.clock.advance(10ms);
        stage.sched.advance_time(10ms);
      }
    }
    std::map<std::string, int> counts;
    CHECK(in_order(stage.rows(), counts));
    CHECK(counts.size() == contacts);
    for (auto& [who, count] : counts) CHECK(count == per_contact);
    CHECK(stage.rows().contacts.size() == contacts);
    for (auto& [id, c] : stage.rows().conversations) CHECK(c.inbound_count == per_contact);
    for (auto& a : answers) CHECK(a->text == "received");
    reloads += stage.memory.reloads;
  }
  // It was worth it: conversations did come and go.
  CHECK(reloads > 1000);
}

TEST_CASE("directory: whatever the database does, what was acknowledged is there once") {
  constexpr int contacts = 6;
  constexpr int per_contact = 40;
  for (auto seed : seeds(12)) {
    INFO("SARA_SEED=", seed);
    Stage stage;
    stage.context.settings.conversation_idle = 2ms;
    stage.memory.slow_reads = true;
    std::mt19937 random(seed);
    // As a provider does: what is not acknowledged comes again.
    std::map<std::string, AnswerPtr> open;
    for (int i = 0; i < contacts * per_contact; ++i)
      open[std::to_string(i % contacts) + "." + std::to_string(i / contacts)];
    for (int round = 0; !open.empty(); ++round) {
      REQUIRE(round < 100'000);
      auto there = open.begin();
      std::advance(there, static_cast<std::ptrdiff_t>(random() % open.size()));
      auto& [body, answer] = *there;
      if (answer && (answer->text == "received" || answer->text == "duplicate")) {
        open.erase(there);
        continue;
      }
      // Not yet acknowledged, or refused, or simply sent twice.
      answer = stage.receive(inbound(body, "x/" + body, "+1555010100" + body.substr(0, 1)));
      if (random() % 8 == 0) {
        stage.memory.failures_to_come = static_cast<int>(random() % 3);
        stage.memory.lose_answers = random() % 2 == 0;
      }
      for (auto steps = random() % 20; steps > 0 && stage.sched.has_job(); --steps) {
        auto at = random() % stage.sched.jobs.size();
        std::swap(stage.sched.jobs[0], stage.sched.jobs[at]);
        stage.sched.run_once();
      }
      if (random() % 4 == 0) {
        stage.clock.advance(1ms);
        stage.sched.advance_time(1ms);
      }
    }
    stage.run_shuffled(random);
    std::set<std::string> bodies;
    for (auto& e : stage.rows().journal) CHECK(bodies.insert(e.body).second);
    CHECK(bodies.size() == contacts * per_contact);
    CHECK(stage.rows().contacts.size() == contacts);
    for (auto& [id, c] : stage.rows().conversations) {
      CHECK(c.inbound_count == per_contact);
      CHECK(c.unread == per_contact);
    }
  }
}
