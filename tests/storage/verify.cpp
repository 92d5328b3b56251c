// `verify` is silent on what the writer wrote, and names each kind of damage that is done to it.
#include "storage/verify.hpp"

#include <map>

#include "support.hpp"

using namespace sara;
using namespace sara::storage;
using domain::MessageStatus;

namespace {

/// Tenants with a small honest history: inbound, echoes, a reply, reports, a failure.
struct History : World {
  TenantId tell() {
    auto id = new_tenant();
    Person a(*this, id, "+15550100001");
    a.says("hi").says("again").commit();
    a.echoed("e1").commit();
    a.is_reported(MessageStatus::delivered, "e1").commit();
    a.is_reported(MessageStatus::read, "e1").commit();
    a.is_answered("reply").commit();
    Person b(*this, id, "+15550100002");
    b.says("hello").echoed("e2").commit();
    b.is_reported(MessageStatus::failed, "e2").commit();
    auto failed = unmatched(id, "x", MessageStatus::sent);
    failed.entries[0].kind = domain::EventKind::webhook_failed;
    REQUIRE(commit({&failed}));
    return id;
  }

  /// How often each invariant is violated, those that are not left out.
  std::map<std::string, std::int64_t> broken() {
    std::map<std::string, std::int64_t> out;
    for (auto& check : must(verify(db))) {
      CHECK(!check.meaning.empty());
      if (check.violations > 0) out[check.name] = check.violations;
    }
    return out;
  }
};

}  // namespace

TEST_CASE_FIXTURE(History, "verify: an honest history breaks nothing") {
  tell();
  tell();
  CHECK(broken().empty());
  CHECK(verify(db)->size() >= 14);
}

TEST_CASE_FIXTURE(History, "verify: each kind of damage is found by its name") {
  REQUIRE(sql("DROP INDEX journal_dedupe; DROP INDEX delivery_provider_message") == "");
  struct Case {
    const char* finds;
    const char* damage;
  };
  const std::string copy_row =
      "INSERT INTO journal (tenant_id, seq, at_ms, kind, direction, channel, provider, status,"
      " dedupe_key, subject_seq) SELECT tenant_id, seq + 100, at_ms, 5, 0, 2, 4, 0, dedupe_key,"
      " NULL FROM journal WHERE seq = 1";
  for (auto& c : {
           Case{"sequence.gap_free", "DELETE FROM journal WHERE kind = 2"},
           Case{"sequence.gap_free", "UPDATE journal SET seq = seq + 1000 WHERE seq = 1"},
           Case{"message.provider_id_once", copy_row.c_str()},
           Case{"delivery.provider_id_once",
                "UPDATE delivery SET provider_message_id = 'e1' WHERE status = 6"},
           Case{"status.forward_only",
                "UPDATE journal SET status = 3 WHERE kind = 2 AND status = 5"},
           Case{"status.as_journaled", "UPDATE delivery SET status = 4 WHERE status = 5"},
           Case{"outbox.explained", "DELETE FROM delivery WHERE status = 1"},
           Case{"outbox.explained",
                "UPDATE delivery SET message_seq = message_seq + 500 WHERE status = 1"},
           Case{"outbox.reasons", "UPDATE delivery SET error_code = NULL WHERE status = 6"},
           Case{"outbox.reasons", "UPDATE delivery SET provider = 1 WHERE status = 1"},
           Case{"outbox.settled_has_id",
                "UPDATE delivery SET provider_message_id = NULL WHERE status = 5"},
           Case{"conversation.counters",
                "UPDATE conversation SET inbound_count = inbound_count + 1"},
           Case{"conversation.counters", "UPDATE conversation SET outbound_count = 0"},
           Case{"conversation.unread", "UPDATE conversation SET unread = unread - 1"},
           Case{"conversation.last_message", "UPDATE conversation SET last_seq = 1"},
           Case{"conversation.one_open",
                "INSERT INTO conversation SELECT (c).* FROM (SELECT jsonb_populate_record("
                "NULL::conversation, to_jsonb(conversation) || jsonb_build_object('id',"
                " gen_random_uuid(), 'unread', 0, 'inbound_count', 0, 'outbound_count', 0,"
                " 'last_seq', 0)) AS c FROM conversation LIMIT 1) x"},
           Case{"message.belongs", "DELETE FROM contact"},
           Case{"message.belongs", "DELETE FROM conversation"},
           Case{"failure.kept", "DELETE FROM webhook_failure"},
           Case{"failure.kept", "UPDATE webhook_failure SET seq = 1"},
       }) {
    CAPTURE(c.damage);
    auto damaged = tell();
    auto before = broken();
    REQUIRE(sql(c.damage, {damaged}) == "");
    CHECK(broken()[c.finds] > before[c.finds]);
  }
}

TEST_CASE_FIXTURE(History, "verify: the damage of one tenant is not another's") {
  tell();
  auto damaged = tell();
  sql("UPDATE conversation SET unread = 7", {damaged});
  for (auto& check : must(verify(db))) {
    bool found = check.name == "conversation.unread";
    CHECK(check.violations == (found ? 2 : 0));
    if (found) CHECK(check.example.find(to_string(damaged)) != std::string::npos);
  }
}
