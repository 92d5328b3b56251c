// The invariants of reliability.md, as queries that must find nothing. $1 is the tenant.
#include "storage/verify.hpp"

#include "storage/registry.hpp"

namespace sara::storage {
namespace {

struct Invariant {
  const char* name;
  const char* meaning;
  Query query;  ///< one row for each violation: where it is
};

const std::vector<Invariant>& invariants() {
  static const std::vector<Invariant> list{
      {"sequence.gap_free",
       "a tenant's journal is numbered from 1 without gaps",
       {"verify.sequence", R"sql(
          SELECT 'events ' || count(*) || ', highest ' || max(seq) || ', lowest ' || min(seq)
          FROM journal WHERE tenant_id = $1
          HAVING count(*) > 0 AND (max(seq) <> count(*) OR min(seq) <> 1))sql"}},
      {"message.provider_id_once",
       "no provider event stands twice in the journal",
       {"verify.duplicates", R"sql(
          SELECT dedupe_key FROM journal WHERE tenant_id = $1 AND dedupe_key IS NOT NULL
          GROUP BY dedupe_key HAVING count(*) > 1)sql"}},
      {"delivery.provider_id_once",
       "no provider message id belongs to two messages",
       {"verify.provider_ids", R"sql(
          SELECT provider || ' ' || provider_message_id FROM delivery
          WHERE tenant_id = $1 AND provider_message_id IS NOT NULL
          GROUP BY provider, provider_message_id HAVING count(*) > 1)sql"}},
      {"status.forward_only",
       "the journal never shows a message's status going back",
       // Ranks: queued 1, sending 2, sent 3, delivered 4, read 5; the rest are ends, 6. A send that
       // was never written may go from sending to queued.
       {"verify.status", R"sql(
          WITH steps AS (
            SELECT subject_seq, seq, status,
                   CASE status WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 WHEN 4 THEN 4 WHEN 5 THEN 5
                        WHEN 11 THEN 2 ELSE 6 END AS rank
            FROM journal WHERE tenant_id = $1 AND kind = 2),
          pairs AS (
            SELECT *, lag(rank) OVER w AS before, lag(status) OVER w AS status_before
            FROM steps WINDOW w AS (PARTITION BY subject_seq ORDER BY seq))
          SELECT 'message ' || subject_seq || ' at event ' || seq FROM pairs
          WHERE before IS NOT NULL AND NOT (
            rank > before
            OR (status = 1 AND status_before = 2)
            OR (status = 8 AND status_before NOT IN (6, 7, 8, 9, 10))))sql"}},
      {"status.as_journaled",
       "a message's state is the last one that the journal tells of",
       {"verify.status_last", R"sql(
          SELECT 'message ' || d.message_seq FROM delivery d
          JOIN journal m ON m.tenant_id = d.tenant_id AND m.seq = d.message_seq
          LEFT JOIN (SELECT DISTINCT ON (subject_seq) subject_seq, status FROM journal
                     WHERE tenant_id = $1 AND kind = 2 ORDER BY subject_seq, seq DESC) l
            ON l.subject_seq = d.message_seq
          WHERE d.tenant_id = $1 AND d.status <> coalesce(l.status, m.status))sql"}},
      {"outbox.explained",
       "each outbound message has its outbox row, and each row its message",
       {"verify.outbox", R"sql(
          SELECT 'message ' || coalesce(d.message_seq, j.seq)
          FROM (SELECT seq FROM journal WHERE tenant_id = $1 AND kind = 1 AND direction = 2) j
          FULL JOIN (SELECT message_seq FROM delivery WHERE tenant_id = $1) d
            ON d.message_seq = j.seq
          WHERE d.message_seq IS NULL OR j.seq IS NULL)sql"}},
      {"outbox.reasons",
       "what failed, or waits for a sender, says why",
       {"verify.outbox_reasons", R"sql(
          SELECT 'message ' || message_seq FROM delivery
          WHERE tenant_id = $1 AND error_code IS NULL
            AND (status IN (6, 7, 8) OR (status = 1 AND provider <> 4)))sql"}},
      {"outbox.settled_has_id",
       "what a provider accepted carries the provider's id",
       {"verify.outbox_ids", R"sql(
          SELECT 'message ' || message_seq FROM delivery
          WHERE tenant_id = $1 AND status IN (3, 4, 5) AND provider_message_id IS NULL)sql"}},
      {"conversation.counters",
       "a conversation's counters equal its messages",
       {"verify.counters", R"sql(
          SELECT 'conversation ' || c.id
          FROM conversation c
          LEFT JOIN (SELECT conversation_id,
                            count(*) FILTER (WHERE direction = 1) AS inbound,
                            count(*) FILTER (WHERE direction = 2) AS outbound
                     FROM journal WHERE tenant_id = $1 AND kind = 1 GROUP BY conversation_id) m
            ON m.conversation_id = c.id
          WHERE c.tenant_id = $1 AND (c.inbound_count <> coalesce(m.inbound, 0)
                                      OR c.outbound_count <> coalesce(m.outbound, 0)))sql"}},
      {"conversation.unread",
       "unread is the number of inbound messages after the last one read",
       {"verify.unread", R"sql(
          SELECT 'conversation ' || c.id FROM conversation c
          WHERE c.tenant_id = $1 AND c.unread <> (
            SELECT count(*) FROM journal j WHERE j.tenant_id = $1 AND j.conversation_id = c.id
            AND j.kind = 1 AND j.direction = 1 AND j.seq > c.read_seq))sql"}},
      {"conversation.last_message",
       "a conversation shows its newest message",
       {"verify.last_message", R"sql(
          SELECT 'conversation ' || c.id FROM conversation c
          WHERE c.tenant_id = $1 AND c.last_seq <> coalesce((
            SELECT max(seq) FROM journal j WHERE j.tenant_id = $1 AND j.conversation_id = c.id
            AND j.kind = 1), 0))sql"}},
      {"conversation.ordered",
       "a conversation that is not at its place in the inbox is one of those still to be moved",
       {"verify.ordered", R"sql(
          SELECT 'conversation ' || c.id FROM conversation c
          WHERE c.tenant_id = $1 AND c.listed_seq <> c.seq
            AND c.seq <= coalesce((SELECT listed_seq FROM conversation_order
                                   WHERE tenant_id = $1), 0))sql"}},
      {"conversation.one_open",
       "a contact has at most one conversation that is not resolved",
       {"verify.one_open", R"sql(
          SELECT 'contact ' || contact_id FROM conversation
          WHERE tenant_id = $1 AND status <> 3 GROUP BY contact_id HAVING count(*) > 1)sql"}},
      {"message.belongs",
       "each message stands in a conversation, and that in a contact",
       {"verify.belongs", R"sql(
          SELECT 'message ' || j.seq FROM journal j
          LEFT JOIN conversation c ON c.tenant_id = $1 AND c.id = j.conversation_id
          LEFT JOIN contact t ON t.tenant_id = $1 AND t.id = c.contact_id
          WHERE j.tenant_id = $1 AND j.kind = 1 AND (c.id IS NULL OR t.id IS NULL))sql"}},
      {"failure.kept",
       "the dead-letter list and the journal tell of the same events",
       {"verify.failures", R"sql(
          SELECT 'event ' || coalesce(f.seq, j.seq)
          FROM (SELECT seq FROM journal WHERE tenant_id = $1 AND kind = 7) j
          FULL JOIN (SELECT seq FROM webhook_failure WHERE tenant_id = $1) f ON f.seq = j.seq
          WHERE f.seq IS NULL OR j.seq IS NULL)sql"}},
  };
  return list;
}

}  // namespace

Result<std::vector<Check>> verify(Connection& db) {
  auto tenants = list_tenants(db);
  if (!tenants) return fail(tenants.error());
  std::vector<Check> checks;
  for (auto& invariant : invariants()) checks.push_back({invariant.name, invariant.meaning, 0, ""});
  for (auto tenant : *tenants) {
    auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
      // These read whole tables: the plans that are best for look-ups are not for them.
      db.execute("SET LOCAL plan_cache_mode = auto; SET LOCAL enable_seqscan = on;"
                 "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on");
      for (std::size_t i = 0; i < checks.size(); ++i) {
        auto rows = db.run(invariants()[i].query, to_string(tenant));
        if (rows.empty()) continue;
        checks[i].violations += static_cast<std::int64_t>(rows.size());
        if (checks[i].example.empty())
          checks[i].example = "tenant " + to_string(tenant) + ": " + rows[0][0].c_str();
      }
    });
    if (!done) return fail(done.error());
  }
  return checks;
}

}  // namespace sara::storage
