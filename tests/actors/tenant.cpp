// The TENANT actor: reports find their message or wait for it, what has no effect is kept once.
#include "actors/tenant.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::actors;
using namespace sara::messages;
using domain::EventKind;
using domain::MessageStatus;

namespace {

struct Stage : Theatre {
  FakeDirectory directory;
  tenant_actor tenant;
  std::vector<ApplyReport> applied;  ///< what conversations were given

  Stage() {
    directory.apply = [this](const ApplyReport& m) -> caf::result<Applied> {
      applied.push_back(m);
      return Applied{1};
    };
    context.directory = spawn(fake_directory, &directory);
    tenant = spawn(actors::tenant, &context, tenant_id);
    sched.run();
  }

  domain::Delivery& delivery(const std::string& id) {
    auto seq = static_cast<Sequence>(rows().deliveries.size()) + 1;
    auto& d = rows().deliveries[seq];
    d.message_seq = seq;
    d.contact_id = ContactId{Uuid{4, 4}};
    d.provider = domain::Provider::sandbox;
    d.status = MessageStatus::sent;
    d.provider_message_id = id;
    d.created_at = noon;
    return d;
  }

  AnswerPtr send(std::vector<ReportedStatus> reports) {
    return post<Applied>(tenant, ReportStatuses{tenant_id, sandbox_id, std::move(reports)});
  }
  AnswerPtr keep(std::vector<KeptEvent> events) {
    return post<Applied>(tenant, KeepEvents{tenant_id, sandbox_id, domain::Provider::sandbox,
                                            std::move(events)});
  }
  /// "webhook.unmatched x/a:sent, ..."
  std::string journal() {
    std::string out;
    for (auto& e : rows().journal)
      out += (out.empty() ? "" : ", ") + std::string(to_string(e.kind)) + " " + e.dedupe_key;
    return out;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Stage, "tenant: a report goes to the conversation that owns its message") {
  auto d = delivery("a");
  auto answer = send({report(MessageStatus::delivered, "a")});
  sched.run();
  CHECK(answer->text == "applied 1");
  REQUIRE(applied.size() == 1);
  CHECK(applied[0].contact_id == d.contact_id);
  CHECK(applied[0].found == d);
  CHECK(applied[0].unmatched_seq == 0);
  CHECK(applied[0].report.dedupe_key == "x/a:delivered");
  CHECK(rows().journal.empty());
}

TEST_CASE_FIXTURE(Stage, "tenant: our own reference finds a message without a provider's id") {
  auto& d = delivery("");
  auto r = report(MessageStatus::delivered, "theirs");
  r.receipt.reference = to_string(message_id(tenant_id, d.message_seq, d.created_at));
  send({r});
  sched.run();
  REQUIRE(applied.size() == 1);
  CHECK(applied[0].found.message_seq == d.message_seq);
  // Another tenant's reference to the same place finds nothing.
  r.receipt.reference =
      to_string(message_id(TenantId{Uuid{2, 2}}, d.message_seq, d.created_at));
  send({r});
  sched.run();
  CHECK(applied.size() == 1);
  CHECK(journal() == "webhook.unmatched x/theirs:delivered");
}

TEST_CASE_FIXTURE(Stage, "tenant: a report whose message is not known yet waits in the journal") {
  auto r = report(MessageStatus::failed, "a");
  r.receipt.error_code = "30003";
  r.receipt.error_detail = "unreachable";
  r.raw = "bytes";
  auto answer = send({r});
  sched.run();
  CHECK(answer->text == "applied 1");
  CHECK(applied.empty());
  REQUIRE(journal() == "webhook.unmatched x/a:failed");
  auto& e = rows().journal[0];
  CHECK(e.subject == "a");
  CHECK(e.status == MessageStatus::failed);
  CHECK(e.provider_code == "30003");
  CHECK(e.error_detail == "unreachable");
  CHECK(e.raw == "bytes");
}

TEST_CASE_FIXTURE(Stage, "tenant: a redelivered report is kept once, in one request or in two") {
  auto r = report(MessageStatus::sent, "a");
  send({r, r, report(MessageStatus::delivered, "a")});
  sched.run();
  auto again = send({r, report(MessageStatus::read, "a")});
  sched.run();
  CHECK(again->text == "applied 1");
  CHECK(journal() ==
        "webhook.unmatched x/a:sent, webhook.unmatched x/a:delivered, webhook.unmatched x/a:read");
}

TEST_CASE_FIXTURE(Stage, "tenant: a message committed meanwhile gets its report all the same") {
  memory.holding = true;
  auto answer = send({report(MessageStatus::sent, "a"), report(MessageStatus::sent, "b")});
  sched.run();
  CHECK(answer->text == "waiting");
  // The message comes after the look-up and before the write.
  delivery("a");
  release();
  CHECK(answer->text == "applied 2");
  REQUIRE(applied.size() == 1);
  CHECK(applied[0].report.dedupe_key == "x/a:sent");
  CHECK(applied[0].found.provider_message_id == "a");
  CHECK(journal() == "webhook.unmatched x/b:sent");
}

TEST_CASE_FIXTURE(Stage, "tenant: known, unknown and repeated reports have one answer") {
  delivery("a");
  delivery("b");
  auto answer = send({report(MessageStatus::sent, "a"), report(MessageStatus::sent, "x"),
                      report(MessageStatus::read, "b"), report(MessageStatus::sent, "x")});
  sched.run();
  CHECK(answer->text == "applied 3");
  CHECK(applied.size() == 2);
  CHECK(journal() == "webhook.unmatched x/x:sent");
}

TEST_CASE_FIXTURE(Stage, "tenant: a watermark goes by its address, and is kept if nobody has it") {
  bool known_here = true;
  directory.apply = [&](const ApplyReport& m) -> caf::result<Applied> {
    applied.push_back(m);
    if (!known_here) return to_caf(Errc::not_found, "nobody");
    return Applied{3};
  };
  auto r = report(MessageStatus::read, "");
  r.receipt.watermark = noon;
  r.receipt.address = "psid";
  r.dedupe_key = "m/mark";
  auto there = send({r});
  sched.run();
  CHECK(there->text == "applied 3");
  CHECK_FALSE(applied[0].contact_id);
  CHECK(rows().journal.empty());
  known_here = false;
  auto nobody = send({r});
  sched.run();
  CHECK(nobody->text == "applied 1");
  CHECK(journal() == "webhook.kept m/mark");
  CHECK(rows().journal[0].body == "status:read");
}

TEST_CASE_FIXTURE(Stage, "tenant: an error anywhere is the answer to the whole request") {
  delivery("a");
  SUBCASE("of the reader") { memory.reads_fail = true; }
  SUBCASE("of the writer") { memory.failures_to_come = 1; }
  SUBCASE("of a conversation") {
    directory.apply = [](const ApplyReport&) -> caf::result<Applied> {
      return to_caf(Errc::unavailable, "restarting");
    };
  }
  auto answer = send({report(MessageStatus::sent, "a"), report(MessageStatus::sent, "x")});
  sched.run();
  CHECK(answer->text == "unavailable");
}

TEST_CASE_FIXTURE(Stage, "tenant: events without effect are kept, unusable ones as failures") {
  auto answer = keep({{"reaction", false, "m/1", "raw 1"},
                      {"no sender", true, "m/2", "raw 2"},
                      {"reaction", false, "m/1", "raw 1"},
                      {"nameless", false, "", ""},
                      {"nameless", false, "", ""}});
  sched.run();
  CHECK(answer->text == "applied 4");
  CHECK(journal() == "webhook.kept m/1, webhook.failed m/2, webhook.kept , webhook.kept ");
  CHECK(rows().journal[1].body == "no sender");
  CHECK(rows().journal[1].raw == "raw 2");
  auto again = keep({{"reaction", false, "m/1", ""}, {"new", false, "m/3", ""}});
  sched.run();
  CHECK(again->text == "applied 1");
  auto nothing = keep({});
  sched.run();
  CHECK(nothing->text == "applied 0");
}

TEST_CASE_FIXTURE(Stage, "tenant: it drains after what it has") {
  memory.holding = true;
  auto answer = send({report(MessageStatus::sent, "a")});
  sched.run();
  caf::anon_send(tenant, Drain{});
  sched.run();
  CHECK(answer->text == "waiting");
  release();
  CHECK(answer->text == "applied 1");
  auto late = send({report(MessageStatus::sent, "b")});
  sched.run();
  CHECK(late->text == "unavailable");
}

TEST_CASE_FIXTURE(Stage, "tenant: it asks to be unloaded when idle, not while it works") {
  memory.holding = true;
  send({report(MessageStatus::sent, "a")});
  sched.run();
  advance(context.settings.tenant_idle * 3, 60s);
  CHECK(directory.unloads == 0);
  release();
  advance(context.settings.tenant_idle * 2, 60s);
  CHECK(directory.unloads > 0);
}
