// SQL of contacts and conversations.
#include "storage/conversation.hpp"

#include "base/fault.hpp"
#include "base/text.hpp"
#include "storage/delivery.hpp"
#include "storage/registry.hpp"
#include "storage/row.hpp"

namespace sara::storage {

using namespace domain;

namespace {

// What is usual for a conversation travels as NULL, which costs nothing (storage/array.hpp).
const Query insert_conversations{"conversation.insert", R"sql(
  INSERT INTO conversation (tenant_id, id, contact_id, seq, listed_seq, unread, inbound_count,
    outbound_count, read_seq, opened_at_ms, resolved_at_ms, updated_at_ms, last_seq, last_at_ms,
    sla_due_at_ms, sentiment, last_direction, last_channel, status, channel, urgency_rank, flagged,
    sla_breached, assigned_to, intent, urgency, state, labels, reach, last_preview)
  SELECT t, i, co, s, s, coalesce(un, 0), coalesce(ic, 0), coalesce(oc, 0), coalesce(rs, 0), op,
    coalesce(re, 0), up, coalesce(ls, 0), coalesce(la, 0), coalesce(sd, 0), se, ld, lc,
    coalesce(st, 0), ch, coalesce(ur, 0), coalesce(fl, false), coalesce(sb, false), ass, inte, urg,
    sta, lab::text[], rea, coalesce(pre, '')
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
    $13::bigint[], $14::bigint[], $15::float8[], $16::smallint[], $17::smallint[],
    $18::smallint[], $19::smallint[], $20::smallint[], $21::bool[], $22::bool[], $23::text[],
    $24::text[], $25::text[], $26::text[], $27::text[], $28::text[], $29::text[])
    AS x(t, i, co, s, un, ic, oc, rs, op, re, up, ls, la, sd, se, ld, lc, st, ch, ur, fl, sb, ass,
         inte, urg, sta, lab, rea, pre))sql"};

// No indexed column changes, so that the row stays on its page; listed_seq follows later
// (storage/inbox.hpp). The sequence before it is the fence against a second owner.
const Query update_conversations{"conversation.update", R"sql(
  UPDATE conversation c SET
    seq = s, unread = coalesce(un, 0), inbound_count = coalesce(ic, 0),
    outbound_count = coalesce(oc, 0), read_seq = coalesce(rs, 0),
    resolved_at_ms = coalesce(re, 0), updated_at_ms = up, last_seq = coalesce(ls, 0),
    last_at_ms = coalesce(la, 0), sla_due_at_ms = coalesce(sd, 0), sentiment = se,
    last_direction = ld, last_channel = lc, status = coalesce(st, 0), channel = ch,
    urgency_rank = coalesce(ur, 0), flagged = coalesce(fl, false),
    sla_breached = coalesce(sb, false), assigned_to = ass, intent = inte, urgency = urg,
    state = sta, labels = lab::text[], reach = rea, last_preview = coalesce(pre, '')
  FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
    $13::bigint[], $14::float8[], $15::smallint[], $16::smallint[], $17::smallint[],
    $18::smallint[], $19::smallint[], $20::bool[], $21::bool[], $22::text[], $23::text[],
    $24::text[], $25::text[], $26::text[], $27::text[], $28::text[])
    AS x(t, i, s, before, un, ic, oc, rs, re, up, ls, la, sd, se, ld, lc, st, ch, ur, fl, sb, ass,
         inte, urg, sta, lab, rea, pre)
  WHERE c.tenant_id = t AND c.id = i AND c.seq = before)sql"};

const Query save_contacts{"contact.save", R"sql(
  INSERT INTO contact (tenant_id, id, created_at_ms, updated_at_ms, external_id, name)
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    updated_at_ms = excluded.updated_at_ms, name = excluded.name)sql"};

const Query add_identities{"contact.add_identities", R"sql(
  INSERT INTO identity (tenant_id, contact_id, channel, verified, address)
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bool[], $5::text[]))sql"};

const Query find_addresses{"contact.find_addresses", R"sql(
  SELECT x.n, i.contact_id
  FROM unnest($1::uuid[], $2::smallint[], $3::text[]) WITH ORDINALITY AS x(t, c, a, n)
  JOIN identity i ON i.tenant_id = x.t AND i.channel = x.c AND i.address = x.a)sql"};

const Query contacts_by_id{"contact.by_ids", R"sql(
  SELECT c.tenant_id, c.id, c.created_at_ms, c.updated_at_ms, c.external_id, c.name
  FROM unnest($1::uuid[], $2::uuid[]) AS x(t, i)
  JOIN contact c ON c.tenant_id = x.t AND c.id = x.i)sql"};

const Query identities_by_contact{"contact.identities", R"sql(
  SELECT i.tenant_id, i.contact_id, i.channel, i.address, i.verified
  FROM unnest($1::uuid[], $2::uuid[]) AS x(t, c)
  JOIN identity i ON i.tenant_id = x.t AND i.contact_id = x.c
  ORDER BY i.channel, i.address)sql"};

const std::string newest_sql = std::string("SELECT x.t, ") + conversation_columns + R"sql(
  FROM unnest($1::uuid[], $2::uuid[]) AS x(t, i)
  CROSS JOIN LATERAL (SELECT * FROM conversation n WHERE n.tenant_id = x.t AND n.contact_id = x.i
                      ORDER BY n.opened_at_ms DESC LIMIT 1) c)sql";
const Query newest_conversations{"conversation.newest", newest_sql.c_str()};

const std::string outstanding_sql = std::string("SELECT x.t, ") + delivery_columns + R"sql(
  FROM unnest($1::uuid[], $2::uuid[]) AS x(t, i)
  JOIN delivery d ON d.tenant_id = x.t AND d.contact_id = x.i AND d.status IN (1, 2, 3, 4, 11)
  ORDER BY d.message_seq)sql";
const Query outstanding_of{"conversation.outstanding", outstanding_sql.c_str()};

const Query contact_of{"conversation.contact",
                       "SELECT contact_id FROM conversation WHERE tenant_id = $1 AND id = $2"};

const std::string by_ids_sql = std::string("SELECT ") + conversation_columns + R"sql(
  FROM conversation c WHERE c.tenant_id = $1 AND c.id = ANY ($2::uuid[]))sql";
const Query conversations_by_id{"conversation.by_ids", by_ids_sql.c_str()};

// Each filter is off when its parameter is null.
constexpr const char* inbox_filter = R"sql( c.tenant_id = $1
    AND ($2::smallint IS NULL OR c.status = $2) AND ($3::smallint IS NULL OR c.channel = $3)
    AND ($4::text IS NULL OR c.intent = $4) AND ($5::text IS NULL OR c.urgency = $5)
    AND ($6::text IS NULL OR coalesce(c.assigned_to, '') = $6)
    AND ($7::bool IS NULL OR c.flagged = $7) AND ($8::bool IS NULL OR c.sla_breached = $8)
    AND ($9::text IS NULL OR $9 = ANY (c.labels))
    AND ($10::text IS NULL OR c.last_preview ILIKE $10
         OR EXISTS (SELECT 1 FROM contact t WHERE t.tenant_id = c.tenant_id
                    AND t.id = c.contact_id AND t.name ILIKE $10)
         OR EXISTS (SELECT 1 FROM identity i WHERE i.tenant_id = c.tenant_id
                    AND i.contact_id = c.contact_id AND i.address ILIKE $10)))sql";

// By time: most conversations stand where the index says; those that have moved since are found by
// the newest events and merged in (storage/inbox.hpp). There is no key but the sequence ($11).
std::string inbox_by_time(const char* order, const char* compare) {
  auto behind = [&](const char* column) {
    return std::string(" AND ($11::bigint IS NOT NULL) AND ($12::bigint = 0 OR ") + column + " " +
           compare + " $12)";
  };
  return std::string("SELECT ") + conversation_columns + R"sql(
  FROM ((SELECT c.* FROM conversation c WHERE)sql" +
         inbox_filter + behind("c.listed_seq") + R"sql( AND c.listed_seq = c.seq
         ORDER BY c.listed_seq )sql" +
         order + R"sql( LIMIT $13)
        UNION ALL
        (SELECT c.* FROM (SELECT DISTINCT j.conversation_id AS id FROM journal j
                          WHERE j.tenant_id = $1 AND j.conversation_id IS NOT NULL
                            AND j.seq > coalesce((SELECT o.listed_seq FROM conversation_order o
                                                  WHERE o.tenant_id = $1), 0)) m
         JOIN conversation c ON c.id = m.id WHERE)sql" +
         inbox_filter + behind("c.seq") + R"sql( AND c.listed_seq <> c.seq
         ORDER BY c.seq )sql" +
         order + R"sql( LIMIT $13)) c
  ORDER BY c.seq )sql" +
         order + " LIMIT $13";
}

// By anything else: a key, and the sequence behind it.
std::string inbox_by_key(const char* key, const char* order, const char* compare) {
  return std::string("SELECT ") + conversation_columns + " FROM conversation c WHERE" +
         inbox_filter + " AND ($12::bigint = 0 OR (" + key + ", c.seq) " + compare +
         " ($11::bigint, $12::bigint)) ORDER BY " + order + " LIMIT $13";
}
const std::string newest_first = inbox_by_time("DESC", "<");
const std::string oldest_first = inbox_by_time("ASC", ">");
// Conversations without a due time come last.
const std::string due_first = inbox_by_key(
    "CASE WHEN c.sla_due_at_ms = 0 THEN 9000000000000000 ELSE c.sla_due_at_ms END",
    "CASE WHEN c.sla_due_at_ms = 0 THEN 9000000000000000 ELSE c.sla_due_at_ms END, c.seq", ">");
const std::string urgent_first =
    inbox_by_key("c.urgency_rank::bigint", "c.urgency_rank DESC, c.seq DESC", "<");
const Query inbox_newest{"inbox.newest", newest_first.c_str()};
const Query inbox_oldest{"inbox.oldest", oldest_first.c_str()};
const Query inbox_due{"inbox.sla_due", due_first.c_str()};
const Query inbox_urgent{"inbox.urgency", urgent_first.c_str()};

const std::string list_sql = std::string("SELECT ") + journal_columns + ", " + delivery_columns +
                             R"sql(
  FROM journal j LEFT JOIN delivery d ON d.tenant_id = j.tenant_id AND d.message_seq = j.seq
  WHERE j.tenant_id = $1 AND j.conversation_id = $2 AND j.kind = 1 AND j.seq > $3
  ORDER BY j.seq LIMIT $4)sql";
const Query messages{"conversation.messages", list_sql.c_str()};

const std::string message_sql = std::string("SELECT ") + journal_columns + ", " +
                                delivery_columns + R"sql(, j.raw
  FROM journal j LEFT JOIN delivery d ON d.tenant_id = j.tenant_id AND d.message_seq = j.seq
  WHERE j.tenant_id = $1 AND j.seq = $2 AND j.kind = 1)sql";
const Query message{"conversation.message", message_sql.c_str()};

const Query contact_list{"contact.list", R"sql(
  SELECT c.id FROM contact c
  WHERE c.tenant_id = $1 AND ($2::text IS NULL OR c.name ILIKE $2 OR EXISTS (
          SELECT 1 FROM identity i WHERE i.tenant_id = $1 AND i.contact_id = c.id
          AND i.address ILIKE $2))
    AND ($3::uuid[] IS NULL OR c.id = ANY ($3)) AND ($4::text IS NULL OR c.external_id = $4)
    AND ($5::uuid IS NULL OR c.id < $5)
  ORDER BY c.id DESC LIMIT $6)sql"};

// The key of identities is (tenant, channel, address): a look on each channel finds them.
const Query contacts_at{"contact.at_address", R"sql(
  SELECT contact_id FROM identity
  WHERE tenant_id = $1 AND channel = ANY ($2::smallint[]) AND address = $3)sql"};

/// For reads with filters that may be off: planned with their values each time. A plan that fits
/// all of them reads and sorts every row of the tenant.
constexpr const char* plan_afresh = "SET LOCAL plan_cache_mode = force_custom_plan";

const Query holder_of_identity{"contact.holder", R"sql(
  SELECT i.contact_id FROM unnest($2::smallint[], $3::text[]) AS x(c, a)
  JOIN identity i ON i.tenant_id = $1 AND i.channel = x.c AND i.address = x.a
  UNION SELECT id FROM contact WHERE tenant_id = $1 AND external_id = $4 LIMIT 1)sql"};

using Key = std::pair<TenantId, ContactId>;

std::map<Key, std::shared_ptr<Contact>> load_contacts(Connection& db,
                                                      const std::vector<Key>& wanted) {
  std::map<Key, std::shared_ptr<Contact>> found;
  if (wanted.empty()) return found;
  Array tenants, ids;
  for (auto& [tenant, id] : wanted) {
    tenants.add(tenant);
    ids.add(id);
  }
  for (auto row : db.run(contacts_by_id, tenants.str(), ids.str())) {
    auto contact = std::make_shared<Contact>();
    contact->id = ContactId{to_uuid(row[1])};
    contact->created_at = to_time(row[2]);
    contact->updated_at = to_time(row[3]);
    contact->external_id = to_string_or_empty(row[4]);
    contact->name = to_string_or_empty(row[5]);
    found[{TenantId{to_uuid(row[0])}, contact->id}] = contact;
  }
  for (auto row : db.run(identities_by_contact, tenants.str(), ids.str())) {
    auto there = found.find({TenantId{to_uuid(row[0])}, ContactId{to_uuid(row[1])}});
    if (there == found.end()) continue;
    Identity identity{to_enum<Channel>(row[2]), to_string_or_empty(row[3]), row[4].as<bool>()};
    // The same contact may have been asked for twice.
    auto& list = there->second->identities;
    if (std::find(list.begin(), list.end(), identity) == list.end()) list.push_back(identity);
  }
  return found;
}

std::map<Key, std::shared_ptr<const Thread>> load_threads(Connection& db,
                                                          const std::vector<Key>& wanted) {
  std::map<Key, std::shared_ptr<const Thread>> threads;
  auto contacts = load_contacts(db, wanted);
  if (contacts.empty()) return threads;
  std::map<Key, std::shared_ptr<Thread>> made;
  Array tenants, ids;
  for (auto& [key, contact] : contacts) {
    auto thread = std::make_shared<Thread>();
    thread->contact = contact;
    thread->contact_stored = true;
    made[key] = thread;
    tenants.add(key.first);
    ids.add(key.second);
  }
  for (auto row : db.run(newest_conversations, tenants.str(), ids.str())) {
    auto conversation = read_conversation(row, 1);
    auto& thread = made.at({TenantId{to_uuid(row[0])}, conversation.contact_id});
    thread->has_conversation = true;
    thread->conversation = std::move(conversation);
  }
  for (auto row : db.run(outstanding_of, tenants.str(), ids.str())) {
    auto delivery = read_delivery(row, 1);
    made.at({TenantId{to_uuid(row[0])}, delivery.contact_id})
        ->outstanding.push_back(std::move(delivery));
  }
  for (auto& [key, thread] : made) threads[key] = thread;
  return threads;
}

std::vector<InboxRow> with_contacts(Connection& db, TenantId tenant,
                                    std::vector<Conversation> conversations) {
  std::vector<Key> wanted;
  for (auto& c : conversations) wanted.emplace_back(tenant, c.contact_id);
  auto contacts = load_contacts(db, wanted);
  std::vector<InboxRow> rows;
  for (auto& c : conversations) {
    auto there = contacts.find({tenant, c.contact_id});
    rows.push_back({std::move(c), there == contacts.end() ? Contact{} : *there->second});
  }
  return rows;
}

/// `%` and `_` in what a person typed stand for themselves.
std::string like(const std::string& text) {
  std::string pattern = "%";
  for (char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

template <class T>
const T* or_null(const std::optional<T>& value) {
  return value ? &*value : nullptr;
}
const std::string* or_null(const std::string& value) { return value.empty() ? nullptr : &value; }

}  // namespace

void ConversationColumns::add(TenantId tenant_id, const Conversation& c, Sequence first,
                              Sequence last) {
  const bool fresh = c.seq == 0;
  auto& to = fresh ? fresh_ : known_;
  to.tenant.add(tenant_id);
  to.id.add(c.id);
  to.seq.add(last);
  if (fresh) {
    to.contact.add(c.contact_id);
    to.opened_at.add(to_millis(c.opened_at));
  } else {
    to.seq_before.add(c.seq);
    updated_.emplace_back(tenant_id, c.id);
  }
  to.unread.or_null(c.unread);
  to.inbound_count.or_null(c.inbound_count);
  to.outbound_count.or_null(c.outbound_count);
  to.read_seq.or_null(c.read_seq);
  to.resolved_at.or_null(to_millis(c.resolved_at));
  to.updated_at.add(to_millis(c.updated_at));
  to.last_seq.or_null(WriteSet::resolve(c.last_message.seq, first));
  to.last_at.or_null(to_millis(c.last_message.at));
  to.sla_due_at.or_null(to_millis(c.marks.sla_due_at));
  if (c.has_sentiment)
    to.sentiment.add(c.sentiment);
  else
    to.sentiment.null();
  to.last_direction.add(static_cast<std::int64_t>(c.last_message.direction));
  to.last_channel.add(static_cast<std::int64_t>(c.last_message.channel));
  to.status.or_null(static_cast<std::int64_t>(c.marks.status));
  to.channel.add(static_cast<std::int64_t>(c.marks.channel));
  to.urgency_rank.or_null(static_cast<std::int64_t>(storage::urgency_rank(c.marks.urgency)));
  to.flagged.or_null(c.marks.flagged);
  to.sla_breached.or_null(c.marks.sla_breached);
  to.assigned_to.or_null(c.marks.assigned_to);
  to.intent.or_null(c.marks.intent);
  to.urgency.or_null(c.marks.urgency);
  to.state.add(std::string_view(c.state));
  if (c.marks.labels.empty()) {
    to.labels.null();
  } else {
    Array list;
    for (auto& label : c.marks.labels) list.add(std::string_view(label));
    to.labels.add(std::string_view(list.str()));
  }
  to.reach.add(std::string_view(write_reach(c.reach)));
  to.last_preview.or_null(c.last_message.preview);
}

void ConversationColumns::save(Connection& db) {
  if (auto& c = fresh_; !c.id.empty())
    db.run(insert_conversations, c.tenant.str(), c.id.str(), c.contact.str(), c.seq.str(),
           c.unread.str(), c.inbound_count.str(), c.outbound_count.str(), c.read_seq.str(),
           c.opened_at.str(), c.resolved_at.str(), c.updated_at.str(), c.last_seq.str(),
           c.last_at.str(), c.sla_due_at.str(), c.sentiment.str(), c.last_direction.str(),
           c.last_channel.str(), c.status.str(), c.channel.str(), c.urgency_rank.str(),
           c.flagged.str(), c.sla_breached.str(), c.assigned_to.str(), c.intent.str(),
           c.urgency.str(), c.state.str(), c.labels.str(), c.reach.str(), c.last_preview.str());
  if (updated_.empty()) return;
  auto& c = known_;
  auto done = db.run(
      update_conversations, c.tenant.str(), c.id.str(), c.seq.str(), c.seq_before.str(),
      c.unread.str(), c.inbound_count.str(), c.outbound_count.str(), c.read_seq.str(),
      c.resolved_at.str(), c.updated_at.str(), c.last_seq.str(), c.last_at.str(),
      c.sla_due_at.str(), c.sentiment.str(), c.last_direction.str(), c.last_channel.str(),
      c.status.str(), c.channel.str(), c.urgency_rank.str(), c.flagged.str(),
      c.sla_breached.str(), c.assigned_to.str(), c.intent.str(), c.urgency.str(), c.state.str(),
      c.labels.str(), c.reach.str(), c.last_preview.str());
  if (static_cast<std::size_t>(done.affected_rows()) != updated_.size())
    throw BrokenWork{{Errc::unavailable, "a conversation has changed meanwhile; try again", {}},
                     Failure::conflict};
}

void ContactColumns::add(TenantId tenant_id, const Contact& contact,
                         const std::vector<Identity>& new_identities) {
  tenant.add(tenant_id);
  id.add(contact.id);
  created_at.add(to_millis(contact.created_at));
  updated_at.add(to_millis(contact.updated_at));
  external_id.or_null(contact.external_id);
  name.add(std::string_view(contact.name));
  for (auto& identity : new_identities) {
    i_tenant.add(tenant_id);
    i_contact.add(contact.id);
    i_channel.add(static_cast<std::int64_t>(identity.channel));
    i_verified.add(identity.verified);
    i_address.add(std::string_view(identity.address));
  }
}

void ContactColumns::save(Connection& db) {
  if (!id.empty())
    db.run(save_contacts, tenant.str(), id.str(), created_at.str(), updated_at.str(),
           external_id.str(), name.str());
  if (!i_address.empty())
    db.run(add_identities, i_tenant.str(), i_contact.str(), i_channel.str(), i_verified.str(),
           i_address.str());
}

Conversation as_of(const Conversation& later, const JournalEntry& entry, Sequence first) {
  Conversation then = later;
  then.marks = entry.after;
  then.unread = entry.unread;
  then.seq = entry.seq;
  then.updated_at = entry.at;
  if (entry.kind == EventKind::message_created) {
    then.last_message = {entry.seq, entry.at, static_cast<std::uint8_t>(entry.direction),
                         entry.channel, text::preview(entry.body)};
  } else {
    then.last_message.seq = WriteSet::resolve(then.last_message.seq, first);
  }
  return then;
}

std::map<ConversationId, ContactAndConversation> load_rows(
    Connection& db, TenantId tenant, const std::vector<ConversationId>& ids) {
  std::map<ConversationId, ContactAndConversation> found;
  if (ids.empty()) return found;
  Array list;
  for (auto id : ids) list.add(id);
  std::vector<Conversation> conversations;
  for (auto row : db.run(conversations_by_id, to_string(tenant), list.str()))
    conversations.push_back(read_conversation(row));
  for (auto& row : with_contacts(db, tenant, std::move(conversations)))
    found[row.conversation.id] = {std::make_shared<Contact>(row.contact),
                                  std::make_shared<Conversation>(row.conversation)};
  return found;
}

Result<std::vector<std::shared_ptr<const Thread>>> find_threads(
    Connection& db, const std::vector<Address>& addresses) {
  std::vector<std::shared_ptr<const Thread>> result(addresses.size());
  std::vector<TenantId> tenants;
  Array tenant_list, channels, texts;
  for (auto& a : addresses) {
    if (std::find(tenants.begin(), tenants.end(), a.tenant_id) == tenants.end())
      tenants.push_back(a.tenant_id);
    tenant_list.add(a.tenant_id);
    channels.add(static_cast<std::int64_t>(a.channel));
    texts.add(std::string_view(a.address));
  }
  auto done = db.transact(tenants, true, "", [&](const pqxx::result&) {
    std::vector<std::pair<std::size_t, Key>> hits;
    std::vector<Key> wanted;
    for (auto row : db.run(find_addresses, tenant_list.str(), channels.str(), texts.str())) {
      auto index = static_cast<std::size_t>(to_int(row[0]) - 1);
      hits.emplace_back(index, Key{addresses[index].tenant_id, ContactId{to_uuid(row[1])}});
      wanted.push_back(hits.back().second);
    }
    auto threads = load_threads(db, wanted);
    for (auto& [index, key] : hits)
      if (auto there = threads.find(key); there != threads.end()) result[index] = there->second;
  });
  if (!done) return fail(done.error());
  return result;
}

Result<std::shared_ptr<const Thread>> get_thread(Connection& db, TenantId tenant,
                                                 ContactId contact, ConversationId conversation) {
  std::shared_ptr<const Thread> result;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    if (!contact) {
      auto rows = db.run(contact_of, to_string(tenant), to_string(conversation));
      if (rows.empty()) return;
      contact = ContactId{to_uuid(rows[0][0])};
    }
    auto threads = load_threads(db, {{tenant, contact}});
    if (!threads.empty()) result = threads.begin()->second;
  });
  if (!done) return fail(done.error());
  return result;
}

Result<std::vector<InboxRow>> list_inbox(Connection& db, TenantId tenant, const InboxQuery& q) {
  std::vector<InboxRow> rows;
  auto& f = q.filter;
  const Query& query = q.sort == InboxSort::oldest    ? inbox_oldest
                       : q.sort == InboxSort::sla_due ? inbox_due
                       : q.sort == InboxSort::urgency ? inbox_urgent
                                                      : inbox_newest;
  std::optional<int> status, channel;
  if (f.status) status = static_cast<int>(*f.status);
  if (f.channel) channel = static_cast<int>(*f.channel);
  std::string pattern = f.text.empty() ? "" : like(f.text);
  auto done = db.transact({tenant}, true, plan_afresh, [&](const pqxx::result&) {
    std::vector<Conversation> conversations;
    for (auto row :
         db.run(query, to_string(tenant), or_null(status), or_null(channel), or_null(f.intent),
                or_null(f.urgency), or_null(f.assigned_to), or_null(f.flagged),
                or_null(f.sla_breached), or_null(f.label), or_null(pattern), q.after_key,
                q.after_seq, q.limit))
      conversations.push_back(read_conversation(row));
    rows = with_contacts(db, tenant, std::move(conversations));
  });
  if (!done) return fail(done.error());
  return rows;
}

Result<std::vector<InboxRow>> get_conversation(Connection& db, TenantId tenant,
                                               ConversationId id) {
  std::vector<InboxRow> rows;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    for (auto& [key, row] : load_rows(db, tenant, {id})) rows.push_back({*row.second, *row.first});
  });
  if (!done) return fail(done.error());
  return rows;
}

Result<std::vector<Message>> list_messages(Connection& db, TenantId tenant, ConversationId id,
                                           Sequence after, int limit, bool& found) {
  std::vector<Message> result;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    found = !db.run(contact_of, to_string(tenant), to_string(id)).empty();
    if (!found) return;
    for (auto row : db.run(messages, to_string(tenant), to_string(id), after, limit))
      result.push_back({read_entry(row), read_delivery(row, journal_column_count)});
  });
  if (!done) return fail(done.error());
  return result;
}

Result<std::vector<Message>> get_message(Connection& db, TenantId tenant, Sequence seq) {
  std::vector<Message> result;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(message, to_string(tenant), seq)) {
      result.push_back({read_entry(row), read_delivery(row, journal_column_count)});
      auto raw = row[journal_column_count + delivery_column_count];
      if (!raw.is_null()) result.back().entry.raw = pqxx::binarystring(raw).str();
    }
  });
  if (!done) return fail(done.error());
  return result;
}

Result<std::vector<Contact>> list_contacts(Connection& db, TenantId tenant,
                                           const ContactQuery& q) {
  std::vector<Contact> result;
  std::string pattern = q.text.empty() ? "" : like(q.text);
  std::string before = q.before ? to_string(q.before) : "";
  auto done = db.transact({tenant}, true, plan_afresh, [&](const pqxx::result&) {
    std::string at_address;
    if (!q.address.empty()) {
      Array channels, ids;
      for (int c = 0; c <= static_cast<int>(Channel::custom); ++c) channels.add(std::int64_t{c});
      for (auto row : db.run(contacts_at, to_string(tenant), channels.str(), q.address))
        ids.add(to_uuid(row[0]));
      at_address = ids.str();
    }
    std::vector<Key> wanted;
    for (auto row : db.run(contact_list, to_string(tenant), or_null(pattern), or_null(at_address),
                           or_null(q.external_id), or_null(before), q.limit))
      wanted.emplace_back(tenant, ContactId{to_uuid(row[0])});
    auto contacts = load_contacts(db, wanted);
    for (auto& key : wanted)
      if (auto there = contacts.find(key); there != contacts.end())
        result.push_back(*there->second);
  });
  if (!done) return fail(done.error());
  return result;
}

Result<std::vector<Contact>> get_contact(Connection& db, TenantId tenant, ContactId id) {
  std::vector<Contact> result;
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    for (auto& [key, contact] : load_contacts(db, {{tenant, id}})) result.push_back(*contact);
  });
  if (!done) return fail(done.error());
  return result;
}

Result<ContactId> create_contact(Connection& db, TenantId tenant, const Contact& contact,
                                 const IdempotencyRecord& idempotency, TimePoint now) {
  ContactId holder;
  auto done = db.transact({tenant}, false, "", [&](const pqxx::result&) {
    Array channels, addresses;
    for (auto& identity : contact.identities) {
      channels.add(static_cast<std::int64_t>(identity.channel));
      addresses.add(std::string_view(identity.address));
    }
    auto rows = db.run(holder_of_identity, to_string(tenant), channels.str(), addresses.str(),
                       contact.external_id);
    if (!rows.empty()) {
      holder = ContactId{to_uuid(rows[0][0])};
      return;
    }
    ContactColumns columns;
    columns.add(tenant, contact, contact.identities);
    columns.save(db);
    fault::point("conversation.contact");
    put_idempotency(db, tenant, idempotency, now);
  });
  if (!done) return fail(done.error());
  return holder;
}

}  // namespace sara::storage
