// The hot path's SQL: one unnest insert per table and group.
#include "storage/journal.hpp"

#include <algorithm>
#include <set>
#include <thread>
#include <unordered_set>

#include "base/fault.hpp"
#include "base/log.hpp"
#include "storage/array.hpp"
#include "storage/conversation.hpp"
#include "storage/delivery.hpp"
#include "storage/row.hpp"

namespace sara::storage {

using namespace domain;

namespace {

const Query last_sequences{"journal.last_sequences", R"sql(
  SELECT t, coalesce((SELECT max(seq) FROM journal WHERE tenant_id = t), 0)
  FROM unnest($1::uuid[]) t)sql"};

const Query find_keys{"journal.find_keys", R"sql(
  SELECT i.t, i.k FROM unnest($1::uuid[], $2::text[]) AS i(t, k)
  WHERE EXISTS (SELECT 1 FROM journal j WHERE j.tenant_id = i.t AND j.dedupe_key = i.k))sql"};

const Query find_idempotency_keys{"journal.find_idempotency_keys", R"sql(
  SELECT i.t, i.k FROM unnest($1::uuid[], $2::text[]) AS i(t, k)
  WHERE EXISTS (SELECT 1 FROM idempotency d WHERE d.tenant_id = i.t AND d.key = i.k
                AND d.created_at_ms > $3))sql"};

const Query append{"journal.append", R"sql(
  INSERT INTO journal (tenant_id, seq, at_ms, conversation_id, integration_id, subject_seq, unread,
                       kind, direction, channel, provider, status, dedupe_key, subject, body,
                       attachments, error, marks, was, raw)
  SELECT t, s, a, c, i, ss, u, k, d, ch, p, st, key, sub, body, att, err, m, w,
         CASE WHEN len > 0 THEN substr($20::bytea, off, len) END
  FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::bigint[],
              $7::int[], $8::smallint[], $9::smallint[], $10::smallint[], $11::smallint[],
              $12::smallint[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
              $18::text[], $19::text[], $21::int[], $22::int[])
    AS x(t, s, a, c, i, ss, u, k, d, ch, p, st, key, sub, body, att, err, m, w, off, len))sql"};

const Query append_failures{"journal.append_failures", R"sql(
  INSERT INTO webhook_failure (tenant_id, seq) SELECT * FROM unnest($1::uuid[], $2::bigint[]))sql"};

const Query mark_applied{"journal.mark_applied", R"sql(
  UPDATE journal j SET kind = 5 FROM unnest($1::uuid[], $2::bigint[]) AS i(t, s)
  WHERE j.tenant_id = i.t AND j.seq = i.s AND j.kind = 6)sql"};

const Query erase_content{"journal.erase_content", R"sql(
  UPDATE journal j SET body = NULL, subject = NULL, attachments = NULL, raw = NULL
  FROM unnest($1::uuid[], $2::bigint[]) AS i(t, s)
  WHERE j.tenant_id = i.t AND j.seq = i.s)sql"};

/// The conversation whose newest message it was need not be the contact's present one.
const Query erase_preview{"journal.erase_preview", R"sql(
  UPDATE conversation c SET last_preview = ''
  FROM unnest($1::uuid[], $2::bigint[]) AS i(t, s)
  JOIN journal j ON j.tenant_id = i.t AND j.seq = i.s
  WHERE c.tenant_id = i.t AND c.id = j.conversation_id AND c.last_seq = i.s)sql"};

const Query put_idempotency_rows{"journal.put_idempotency", R"sql(
  INSERT INTO idempotency (tenant_id, key, request_hash, status, body, created_at_ms)
  SELECT t, k, decode(h, 'hex'), s, b, a
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::bigint[])
    AS i(t, k, h, s, b, a)
  ON CONFLICT (tenant_id, key) DO UPDATE SET request_hash = excluded.request_hash,
    status = excluded.status, body = excluded.body, created_at_ms = excluded.created_at_ms)sql"};

/// What nobody may ask for any more goes when something new comes.
const Query prune_idempotency{"journal.prune_idempotency", R"sql(
  DELETE FROM idempotency WHERE tenant_id = ANY ($1::uuid[]) AND created_at_ms < $2)sql"};

const Query get_idempotency{"journal.get_idempotency", R"sql(
  SELECT encode(request_hash, 'hex'), status, body FROM idempotency
  WHERE tenant_id = $1 AND key = $2 AND created_at_ms > $3)sql"};

const Query one_entry{"journal.one_entry", R"sql(
  SELECT conversation_id, at_ms, dedupe_key FROM journal WHERE tenant_id = $1 AND seq = $2)sql"};

const std::string replay_sql = std::string("SELECT ") + journal_columns + R"sql(
  FROM journal j WHERE j.tenant_id = $1 AND j.seq > $2 ORDER BY j.seq LIMIT $3)sql";
const Query replay{"journal.replay", replay_sql.c_str()};

const Query newest{"journal.newest", "SELECT max(seq) FROM journal WHERE tenant_id = $1"};

const std::string messages_sql = std::string("SELECT i.t, ") + journal_columns + ", " +
                                 delivery_columns + R"sql(
  FROM unnest($1::uuid[], $2::bigint[]) AS i(t, s)
  JOIN journal j ON j.tenant_id = i.t AND j.seq = i.s
  LEFT JOIN delivery d ON d.tenant_id = i.t AND d.message_seq = i.s)sql";
const Query messages_by_seq{"journal.messages_by_seq", messages_sql.c_str()};

const std::string unmatched_sql = std::string("SELECT ") + journal_columns + R"sql(
  FROM journal j WHERE j.tenant_id = $1 AND j.dedupe_key >= $2 AND j.dedupe_key < $3
   AND j.kind = 6 ORDER BY j.dedupe_key LIMIT 100)sql";
const Query unmatched{"journal.unmatched", unmatched_sql.c_str()};

const std::string entry_sql = std::string("SELECT ") + journal_columns + R"sql(
  FROM journal j WHERE j.tenant_id = $1 AND j.dedupe_key = $2)sql";
const Query entry_by_key{"journal.entry_by_key", entry_sql.c_str()};

const std::string failures_sql = std::string("SELECT ") + journal_columns + R"sql(
  FROM webhook_failure f JOIN journal j ON j.tenant_id = f.tenant_id AND j.seq = f.seq
  WHERE f.tenant_id = $1 AND f.seq < $2 ORDER BY f.seq DESC LIMIT $3)sql";
const Query failures{"journal.failures", failures_sql.c_str()};

constexpr std::size_t tenants_remembered_max = 100'000;
constexpr int look_first_groups = 16;
constexpr std::size_t tenants_per_tidy = 64;
constexpr std::size_t listed_per_group = 128;
constexpr std::size_t listed_per_tidy = 2048;
constexpr auto idempotency_kept = std::chrono::hours{24};
constexpr int doubt_rounds = 50;
constexpr auto doubt_pause = std::chrono::milliseconds{100};
constexpr Sequence no_limit = INT64_MAX;

using TenantKey = std::pair<TenantId, std::string>;

/// A redelivery key of an entry that outlives it.
struct KeyInGroup {
  TenantId tenant_id;
  std::string_view key;
  bool operator==(const KeyInGroup&) const = default;
  struct Hash {
    std::size_t operator()(const KeyInGroup& k) const {
      return UuidHash{}(k.tenant_id) * 31 + std::hash<std::string_view>{}(k.key);
    }
  };
};

/// Columns of the journal insert, filled row by row.
struct JournalColumns {
  Array tenant, seq, at, conversation, integration, subject_seq, unread, kind, direction, channel,
      provider, status, key, subject, body, attachments, error, marks, was, offset, length;
  std::string raw;

  void add(TenantId tenant_id, const JournalEntry& e, Sequence first) {
    tenant.add(tenant_id);
    seq.add(e.seq);
    at.add(to_millis(e.at));
    conversation.or_null(e.conversation_id);
    integration.or_null(e.integration_id);
    subject_seq.or_null(WriteSet::resolve(e.subject_seq, first));
    unread.or_null(e.unread);
    kind.add(static_cast<std::int64_t>(e.kind));
    direction.add(static_cast<std::int64_t>(e.direction));
    channel.add(static_cast<std::int64_t>(e.channel));
    provider.add(static_cast<std::int64_t>(e.provider));
    status.add(static_cast<std::int64_t>(e.status));
    key.or_null(e.dedupe_key);
    subject.or_null(e.subject);
    body.or_null(e.body);
    attachments.or_null(write_attachments(e.attachments));
    error.or_null(write_error(e));
    marks.or_null(e.conversation_id ? write_marks(e.after, e.channel) : std::string{});
    if (e.conversation_id && e.before != e.after) {
      auto before = write_marks(e.before, e.channel);
      was.add(before.empty() ? std::string_view("{}") : std::string_view(before));
    } else {
      was.null();
    }
    offset.add(static_cast<std::int64_t>(raw.size() + 1));
    length.add(static_cast<std::int64_t>(e.raw.size()));
    raw += e.raw;
  }

  void insert(Connection& db) {
    db.run(append, tenant.str(), seq.str(), at.str(), conversation.str(), integration.str(),
           subject_seq.str(), unread.str(), kind.str(), direction.str(), channel.str(),
           provider.str(), status.str(), key.str(), subject.str(), body.str(), attachments.str(),
           error.str(), marks.str(), was.str(), pqxx::binarystring(raw.data(), raw.size()),
           offset.str(), length.str());
  }
};

/// more: what else the statement binds
template <class... More>
std::set<TenantKey> keys_there(Connection& db, const Query& query,
                               const std::vector<TenantKey>& wanted, const More&... more) {
  std::set<TenantKey> found;
  if (wanted.empty()) return found;
  Array tenants, keys;
  for (auto& [tenant, key] : wanted) {
    tenants.add(tenant);
    keys.add(std::string_view(key));
  }
  for (auto row : db.run(query, tenants.str(), keys.str(), more...))
    found.emplace(TenantId{to_uuid(row[0])}, row[1].c_str());
  return found;
}

/// The messages that these entries are about, as they are now.
std::map<std::pair<TenantId, Sequence>, std::pair<JournalEntry, Delivery>> load_messages(
    Connection& db, const std::vector<std::pair<TenantId, Sequence>>& wanted) {
  std::map<std::pair<TenantId, Sequence>, std::pair<JournalEntry, Delivery>> found;
  if (wanted.empty()) return found;
  Array tenants, seqs;
  for (auto& [tenant, seq] : wanted) {
    tenants.add(tenant);
    seqs.add(seq);
  }
  for (auto row : db.run(messages_by_seq, tenants.str(), seqs.str())) {
    auto entry = read_entry(row, 1);
    found[{TenantId{to_uuid(row[0])}, entry.seq}] = {entry,
                                                    read_delivery(row, 1 + journal_column_count)};
  }
  return found;
}

bool about_message(const JournalEntry& e) {
  return e.kind == EventKind::message_status || e.kind == EventKind::message_retracted;
}

/// Attaches to status events the message they are about, to outbound ones their delivery.
void attach_messages(Connection& db, std::vector<JournalEvent>& events) {
  std::vector<std::pair<TenantId, Sequence>> wanted;
  for (auto& event : events) {
    if (about_message(event.entry)) wanted.emplace_back(event.tenant_id, event.entry.subject_seq);
    if (event.entry.kind == EventKind::message_created &&
        event.entry.direction == Direction::outbound && !event.delivery)
      wanted.emplace_back(event.tenant_id, event.entry.seq);
  }
  auto found = load_messages(db, wanted);
  for (auto& event : events) {
    bool about = about_message(event.entry);
    auto there = found.find({event.tenant_id, about ? event.entry.subject_seq : event.entry.seq});
    if (there == found.end()) continue;
    if (about) {
      // The event shows the status it brought, not a later one.
      auto message = there->second.first;
      auto delivery = there->second.second;
      if (event.entry.kind == EventKind::message_status) {
        delivery.status = event.entry.status;
        delivery.error_code = event.entry.error_code;
        delivery.error_detail = event.entry.error_detail;
        delivery.provider_code = event.entry.provider_code;
      }
      event.message = std::make_shared<JournalEntry>(std::move(message));
      event.delivery = std::make_shared<Delivery>(std::move(delivery));
    } else {
      auto delivery = there->second.second;
      delivery.status = event.entry.status;
      event.delivery = std::make_shared<Delivery>(std::move(delivery));
    }
  }
}

const Conversation* conversation_of(const WriteSet& set, ConversationId id) {
  for (auto& c : set.conversations)
    if (c.id == id) return &c;
  return nullptr;
}

}  // namespace

int shard_of(TenantId tenant) {
  return static_cast<int>(UuidHash{}(tenant) % static_cast<std::size_t>(lease_shards));
}

Result<std::int64_t> take_lease(Connection& connection, const std::string& holder, TimePoint now) {
  std::int64_t epoch = 0;
  auto done = connection.transact({}, false, "", [&](const pqxx::result&) {
    auto rows = connection.execute(
        "UPDATE writer_lease SET epoch = (SELECT max(epoch) + 1 FROM writer_lease), holder = " +
        connection.quote(holder) + ", taken_at_ms = " + std::to_string(to_millis(now)) +
        " RETURNING epoch");
    for (auto row : rows) epoch = std::max(epoch, row[0].as<std::int64_t>());
    fault::point("journal.lease");
    // All shards carry the same epoch, whatever ran between.
    connection.execute("UPDATE writer_lease SET epoch = " + std::to_string(epoch));
  });
  if (!done) return fail(done.error());
  return epoch;
}

GroupWriter::GroupWriter(Connection& connection, Lease lease)
    : db_(connection), lease_(std::move(lease)) {
  std::string shards;
  for (int shard : lease_.shards) shards += (shards.empty() ? "" : ",") + std::to_string(shard);
  fence_ = "SELECT shard FROM writer_lease WHERE shard IN (" + shards +
           ") AND epoch = " + std::to_string(lease_.epoch) + " FOR SHARE";
  db_.guard(fence_, lease_.shards.size());
}

Result<void> GroupWriter::attempt(std::span<WriteSet* const> sets, std::vector<Outcome>& outcomes,
                                  TimePoint now, std::vector<JournalEvent>* events,
                                  bool look_first) {
  std::vector<TenantId> tenants;
  for (auto* set : sets) tenants.push_back(set->tenant_id);
  std::sort(tenants.begin(), tenants.end());
  tenants.erase(std::unique(tenants.begin(), tenants.end()), tenants.end());

  std::unordered_map<TenantId, Sequence> next;
  std::vector<JournalEvent> made;
  ConversationColumns conversations;
  InboxOrder::Step listed;

  auto done = db_.transact(tenants, false, fence_, [&](const pqxx::result& fenced) {
    if (static_cast<std::size_t>(fenced.size()) != lease_.shards.size())
      throw BrokenWork{{Errc::stale, "another server writes to this database now", {}},
                       Failure::fenced};

    fault::point("journal.begun");
    // Where each tenant's numbering stands.
    std::vector<TenantId> unknown;
    for (auto tenant : tenants)
      if (auto there = next_.find(tenant); there != next_.end())
        next[tenant] = there->second;
      else
        unknown.push_back(tenant);
    if (!unknown.empty()) {
      Array list;
      for (auto tenant : unknown) list.add(tenant);
      for (auto row : db_.run(last_sequences, list.str()))
        next[TenantId{to_uuid(row[0])}] = to_int(row[1]) + 1;
      order_.load(db_, unknown);
    }
    std::vector<std::pair<TenantId, Sequence>> newest;
    for (auto& [tenant, sequence] : next) newest.emplace_back(tenant, sequence - 1);

    // What is there already, and what shares a key inside this group.
    std::vector<TenantKey> keys, idempotency_keys;
    std::vector<std::tuple<TenantId, Provider, std::string>> waiting;
    for (auto* set : sets) {
      for (auto& entry : set->entries) {
        if (look_first && !entry.dedupe_key.empty())
          keys.emplace_back(set->tenant_id, entry.dedupe_key);
        if (entry.kind == EventKind::webhook_unmatched)
          waiting.emplace_back(set->tenant_id, entry.provider, entry.subject);
      }
      if (!set->idempotency.key.empty())
        idempotency_keys.emplace_back(set->tenant_id, set->idempotency.key);
    }
    auto there = keys_there(db_, find_keys, keys);
    auto answered = keys_there(db_, find_idempotency_keys, idempotency_keys,
                               to_millis(now - idempotency_kept));
    auto known_messages = recent_messages_.among(db_, waiting);
    std::unordered_set<KeyInGroup, KeyInGroup::Hash> in_group;
    std::vector<KeyInGroup> mine;

    JournalColumns journal;
    ContactColumns contacts;
    DeliveryColumns deliveries;
    Array failure_tenant, failure_seq, applied_tenant, applied_seq, erased_tenant, erased_seq;
    Array ik_tenant, ik_key, ik_hash, ik_status, ik_body, ik_at;
    bool any = false;

    for (std::size_t i = 0; i < sets.size(); ++i) {
      auto& set = *sets[i];
      auto& outcome = outcomes[i] = Outcome{};
      if (!answered.empty() && answered.contains({set.tenant_id, set.idempotency.key})) {
        outcome.error = {Errc::idempotency_running, "this key has just been used; ask again", {}};
        continue;
      }
      mine.clear();
      for (auto& entry : set.entries) {
        if (entry.dedupe_key.empty()) continue;
        KeyInGroup key{set.tenant_id, entry.dedupe_key};
        if (!there.empty() && there.contains({set.tenant_id, entry.dedupe_key}))
          outcome.duplicates.push_back(entry.dedupe_key);
        else if (in_group.contains(key))
          outcome.again = true;
        else if (entry.kind == EventKind::webhook_unmatched &&
                 known_messages.contains({set.tenant_id, entry.provider, entry.subject}))
          outcome.matched.push_back(entry.dedupe_key);
        mine.push_back(key);
      }
      if (outcome.again || !outcome.duplicates.empty() || !outcome.matched.empty()) continue;
      in_group.insert(mine.begin(), mine.end());
      any = true;

      Sequence& number = next[set.tenant_id];
      const Sequence first = number;
      outcome.first_seq = first;
      for (auto& entry : set.entries) {
        entry.seq = number++;
        journal.add(set.tenant_id, entry, first);
        if (entry.kind == EventKind::webhook_failed) {
          failure_tenant.add(set.tenant_id);
          failure_seq.add(entry.seq);
        }
        if (entry.kind == EventKind::message_retracted) {
          erased_tenant.add(set.tenant_id);
          erased_seq.add(WriteSet::resolve(entry.subject_seq, first));
        }
      }
      if (set.contact_is_new || set.contact_changed)
        contacts.add(set.tenant_id, *set.contact, set.new_identities);
      const Sequence last = number - 1;
      for (auto& conversation : set.conversations)
        conversations.add(set.tenant_id, conversation, first, last);
      for (auto& delivery : set.deliveries) deliveries.add(set.tenant_id, delivery, first);
      for (auto seq : set.applied_unmatched) {
        applied_tenant.add(set.tenant_id);
        applied_seq.add(seq);
      }
      if (!set.idempotency.key.empty()) {
        ik_tenant.add(set.tenant_id);
        ik_key.add(std::string_view(set.idempotency.key));
        ik_hash.add(std::string_view(set.idempotency.request_hash));
        ik_status.add(static_cast<std::int64_t>(set.idempotency.status));
        ik_body.add(std::string_view(set.render_answer ? set.render_answer(first)
                                                       : set.idempotency.body));
        ik_at.add(to_millis(now));
      }
    }
    if (!any) return;
    if (!journal.seq.empty()) journal.insert(db_);
    fault::point("journal.entries");
    contacts.save(db_);
    fault::point("journal.contacts");
    conversations.save(db_);
    fault::point("journal.conversations");
    deliveries.save(db_);
    fault::point("journal.deliveries");
    if (!failure_seq.empty()) db_.run(append_failures, failure_tenant.str(), failure_seq.str());
    if (!failure_seq.empty()) fault::point("journal.failures");
    if (!applied_seq.empty()) db_.run(mark_applied, applied_tenant.str(), applied_seq.str());
    if (!erased_seq.empty()) {
      db_.run(erase_content, erased_tenant.str(), erased_seq.str());
      fault::point("journal.erased");
      db_.run(erase_preview, erased_tenant.str(), erased_seq.str());
    }
    if (!ik_key.empty()) {
      db_.run(prune_idempotency, ik_tenant.str(), to_millis(now - idempotency_kept));
      db_.run(put_idempotency_rows, ik_tenant.str(), ik_key.str(), ik_hash.str(), ik_status.str(),
              ik_body.str(), ik_at.str());
      fault::point("journal.idempotency");
    }

    listed = order_.advance(db_, newest, listed_per_group, now);
    if (events == nullptr) return;
    for (std::size_t i = 0; i < sets.size(); ++i) {
      if (outcomes[i].first_seq == 0) continue;
      auto& set = *sets[i];
      for (auto& entry : set.entries) {
        JournalEvent event;
        event.tenant_id = set.tenant_id;
        event.entry = entry;
        event.entry.raw.clear();
        event.entry.subject_seq = WriteSet::resolve(entry.subject_seq, outcomes[i].first_seq);
        event.contact = entry.conversation_id ? set.contact : nullptr;
        if (auto* c = conversation_of(set, entry.conversation_id))
          event.conversation = std::make_shared<Conversation>(
              as_of(*c, event.entry, outcomes[i].first_seq));
        made.push_back(std::move(event));
      }
    }
    attach_messages(db_, made);
  });
  // In doubt: whoever settles it knows whether these events are to be told.
  if (!done && db_.failure() != Failure::commit_in_doubt) return done;

  if (next_.size() > tenants_remembered_max) {
    next_.clear();
    order_.forget_all();
  }
  for (auto& [tenant, seq] : next) next_[tenant] = seq;
  order_.committed(listed);
  for (auto& [tenant, id] : conversations.updated()) order_.moved(tenant, id);
  if (events != nullptr)
    events->insert(events->end(), std::make_move_iterator(made.begin()),
                   std::make_move_iterator(made.end()));
  return done;
}

Result<bool> GroupWriter::is_there(const WriteSet& set, Sequence first) {
  if (set.entries.empty() || first == 0) return false;
  bool found = false;
  // The transaction in doubt may still be under way in Postgres: this lock waits for its end.
  auto lock = fence_.substr(0, fence_.rfind("FOR SHARE")) + "FOR UPDATE";
  auto done = db_.transact({set.tenant_id}, false, lock, [&](const pqxx::result&) {
    auto rows = db_.run(one_entry, to_string(set.tenant_id), first);
    auto& entry = set.entries.front();
    found = rows.size() == 1 && ConversationId{to_uuid(rows[0][0])} == entry.conversation_id &&
            to_int(rows[0][1]) == to_millis(entry.at) &&
            to_string_or_empty(rows[0][2]) == entry.dedupe_key;
  });
  if (!done) return fail(done.error());
  return found;
}

Result<std::vector<Outcome>> GroupWriter::commit(std::span<WriteSet* const> sets, TimePoint now,
                                                 std::vector<JournalEvent>* events) {
  std::vector<Outcome> outcomes(sets.size());
  const auto told = events == nullptr ? 0 : events->size();
  const bool looked_first = look_first_ > 0;
  if (looked_first) --look_first_;
  auto done = attempt(sets, outcomes, now, events, looked_first);
  // What this process believed of the numbering may be wrong now; the database knows.
  if (!done)
    for (auto* set : sets) forget(set->tenant_id);
  if (!done && !looked_first && db_.failure() == Failure::conflict) {
    // The unique index is the judge, and it has found a redelivery: now it pays to ask for them.
    look_first_ = look_first_groups;
    done = attempt(sets, outcomes, now, events, true);
    if (!done)
      for (auto* set : sets) forget(set->tenant_id);
  }
  if (done) {
    remember_messages(sets, outcomes, now);
    return outcomes;
  }
  auto failure = db_.failure();
  if (failure == Failure::fenced) return fail(done.error());
  if (failure == Failure::commit_in_doubt) {
    // The connection went during COMMIT: ask for the group's first row on a new one.
    std::size_t i = 0;
    while (i < sets.size() && (outcomes[i].first_seq == 0 || sets[i]->entries.empty())) ++i;
    if (i < sets.size()) {
      // A Postgres that restarts takes a moment; to say "not written" of what is written would
      // make a client send it twice.
      for (int round = 0; round < doubt_rounds; ++round) {
        auto there = is_there(*sets[i], outcomes[i].first_seq);
        if (there) {
          if (*there) {
            remember_messages(sets, outcomes, now);
            return outcomes;
          }
          break;
        }
        std::this_thread::sleep_for(doubt_pause);
      }
    }
    if (events != nullptr) events->erase(events->begin() + static_cast<long>(told), events->end());
    return fail(done.error());
  }
  if (sets.size() > 1 && (failure == Failure::data || failure == Failure::conflict)) {
    log::warn("persistence.group_split", {{"sets", sets.size()}});
    for (std::size_t i = 0; i < sets.size(); ++i) {
      auto one = commit(sets.subspan(i, 1), now, events);
      if (one) {
        outcomes[i] = one->front();
        continue;
      }
      outcomes[i] = Outcome{};
      outcomes[i].error = one.error();
      if (db_.failure() == Failure::fenced) return fail(one.error());
    }
    return outcomes;
  }
  if (sets.size() == 1 && (failure == Failure::data || failure == Failure::conflict)) {
    outcomes[0] = Outcome{};
    outcomes[0].error = done.error();
    return outcomes;
  }
  return fail(done.error());
}

void GroupWriter::forget(TenantId tenant) {
  next_.erase(tenant);
  order_.forget(tenant);
}

void GroupWriter::remember_messages(std::span<WriteSet* const> sets,
                                    const std::vector<Outcome>& outcomes, TimePoint now) {
  for (std::size_t i = 0; i < sets.size(); ++i)
    if (outcomes[i].first_seq != 0)
      recent_messages_.add(sets[i]->tenant_id, sets[i]->deliveries, now);
}

bool GroupWriter::tidy(TimePoint now) {
  auto tenants = order_.behind(tenants_per_tidy);
  if (tenants.empty()) return false;
  InboxOrder::Step listed;
  auto done = db_.transact(tenants, false, "", [&](const pqxx::result&) {
    std::vector<std::pair<TenantId, Sequence>> newest;
    for (auto tenant : tenants)
      if (auto there = next_.find(tenant); there != next_.end())
        newest.emplace_back(tenant, there->second - 1);
    listed = order_.advance(db_, newest, listed_per_tidy, now);
  });
  if (!done) {
    for (auto tenant : tenants) forget(tenant);
    return false;
  }
  order_.committed(listed);
  return !order_.behind(1).empty();
}

Result<std::vector<JournalEvent>> replay_journal(Connection& db, TenantId tenant, Sequence after,
                                                 int limit, Sequence& last_seq) {
  std::vector<JournalEvent> events;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    // The newest number first: a commit between the two reads only makes the page longer.
    last_seq = to_int(db.run(newest, to_string(tenant))[0][0]);
    std::vector<ConversationId> wanted;
    for (auto row : db.run(replay, to_string(tenant), after, limit)) {
      JournalEvent event;
      event.tenant_id = tenant;
      event.entry = read_entry(row);
      if (event.entry.conversation_id) wanted.push_back(event.entry.conversation_id);
      events.push_back(std::move(event));
    }
    auto rows = load_rows(db, tenant, wanted);
    for (auto& event : events) {
      auto there = rows.find(event.entry.conversation_id);
      if (there == rows.end()) continue;
      event.contact = there->second.first;
      auto then = *there->second.second;
      then.marks = event.entry.after;
      then.unread = event.entry.unread;
      event.conversation = std::make_shared<Conversation>(as_of(then, event.entry, 0));
    }
    attach_messages(db, events);
  });
  if (!done) return fail(done.error());
  return events;
}

Result<std::vector<JournalEntry>> find_unmatched(Connection& db, TenantId tenant,
                                                 Provider provider,
                                                 const std::string& provider_message_id) {
  std::vector<JournalEntry> entries;
  // Keys of a message's statuses are "<prefix><id>:<status>"; ';' is the character after ':'.
  std::string from = std::string(dedupe_prefix(provider)) + provider_message_id + ":";
  std::string to = from;
  to.back() = ';';
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(unmatched, to_string(tenant), from, to))
      entries.push_back(read_entry(row));
  });
  if (!done) return fail(done.error());
  return entries;
}

Result<std::vector<JournalEntry>> find_entry(Connection& db, TenantId tenant,
                                             const std::string& dedupe_key) {
  std::vector<JournalEntry> entries;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(entry_by_key, to_string(tenant), dedupe_key))
      entries.push_back(read_entry(row));
  });
  if (!done) return fail(done.error());
  return entries;
}

Result<std::vector<JournalEntry>> list_failures(Connection& db, TenantId tenant, Sequence before,
                                                int limit) {
  std::vector<JournalEntry> entries;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(failures, to_string(tenant), before == 0 ? no_limit : before, limit))
      entries.push_back(read_entry(row));
  });
  if (!done) return fail(done.error());
  return entries;
}

Result<IdempotencyRecord> find_idempotency(Connection& db, TenantId tenant,
                                           const std::string& key, TimePoint now) {
  Result<IdempotencyRecord> record = fail(Errc::not_found, "no such key");
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    auto rows = db.run(get_idempotency, to_string(tenant), key,
                       to_millis(now - idempotency_kept));
    if (rows.empty()) return;
    record = IdempotencyRecord{key, to_string_or_empty(rows[0][0]),
                               static_cast<int>(to_int(rows[0][1])),
                               to_string_or_empty(rows[0][2])};
  });
  if (!done) return fail(done.error());
  return record;
}

}  // namespace sara::storage
