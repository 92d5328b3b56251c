// SQL of the outbox.
#include "storage/delivery.hpp"

#include "domain/journal.hpp"
#include "storage/row.hpp"

namespace sara::storage {

using namespace domain;

namespace {

const Query save_deliveries{"delivery.save", R"sql(
  INSERT INTO delivery (tenant_id, message_seq, conversation_id, contact_id, integration_id,
                        created_at_ms, sent_at_ms, next_at_ms, not_after_ms, attempt, channel,
                        provider, status, address, provider_message_id, error_code, error_detail,
                        provider_code)
  SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[],
                       $7::bigint[], $8::bigint[], $9::bigint[], $10::int[], $11::smallint[],
                       $12::smallint[], $13::smallint[], $14::text[], $15::text[], $16::text[],
                       $17::text[], $18::text[])
  ON CONFLICT (tenant_id, message_seq) DO UPDATE SET
    sent_at_ms = excluded.sent_at_ms, next_at_ms = excluded.next_at_ms,
    attempt = excluded.attempt, status = excluded.status,
    provider_message_id = excluded.provider_message_id, error_code = excluded.error_code,
    error_detail = excluded.error_detail, provider_code = excluded.provider_code)sql"};

const Query known_messages{"delivery.known_messages", R"sql(
  SELECT i.t, i.p, i.id FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS i(t, p, id)
  WHERE EXISTS (SELECT 1 FROM delivery d WHERE d.tenant_id = i.t AND d.provider = i.p
                AND d.provider_message_id = i.id))sql"};

const std::string find_sql = std::string("SELECT ") + delivery_columns + R"sql(
  FROM delivery d WHERE d.tenant_id = $1 AND d.provider = $2
   AND d.provider_message_id = ANY ($3::text[])
  UNION SELECT )sql" + delivery_columns + R"sql(
  FROM delivery d WHERE d.tenant_id = $1 AND d.message_seq = ANY ($4::bigint[]))sql";
const Query find{"delivery.find", find_sql.c_str()};

const std::string outstanding_sql = std::string("SELECT ") + delivery_columns + R"sql(
  FROM delivery d WHERE d.tenant_id = $1 AND d.contact_id = $2 AND d.status IN (1, 2, 3, 4, 11)
  ORDER BY d.message_seq DESC LIMIT 1000)sql";
const Query outstanding{"delivery.outstanding", outstanding_sql.c_str()};

const Query next_tenants{"delivery.next_tenants",
                         "SELECT id FROM tenant WHERE id > $1 ORDER BY id LIMIT $2"};

const std::string due_sql = std::string("SELECT d.tenant_id, j.subject, j.body, ") +
                            delivery_columns + R"sql(
  FROM delivery d JOIN journal j ON j.tenant_id = d.tenant_id AND j.seq = d.message_seq
  WHERE d.tenant_id = ANY ($1::uuid[]) AND (d.tenant_id, d.message_seq) > ($2::uuid, $3::bigint)
    AND d.status IN (1, 2) AND d.error_code IS DISTINCT FROM 'sender_not_available'
  ORDER BY d.tenant_id, d.message_seq LIMIT 10000)sql";
const Query due{"delivery.due", due_sql.c_str()};

const std::string due_reports_sql = std::string("SELECT d.tenant_id, j.subject, j.body, ") +
                                    delivery_columns + R"sql(
  FROM delivery d JOIN journal j ON j.tenant_id = d.tenant_id AND j.seq = d.message_seq
  WHERE d.tenant_id = ANY ($1::uuid[]) AND (d.tenant_id, d.message_seq) > ($2::uuid, $3::bigint)
    AND d.status IN (1, 2, 3, 4, 11) AND (d.status IN (1, 2) OR d.provider = 4)
    AND d.error_code IS DISTINCT FROM 'sender_not_available'
  ORDER BY d.tenant_id, d.message_seq LIMIT 10000)sql";
const Query due_reports{"delivery.due_reports", due_reports_sql.c_str()};

constexpr std::size_t due_max = 10'000;  // as in the statements
constexpr std::size_t recent_messages_max = 100'000;
// Look-ups of statuses end after ten seconds; two generations are at least one minute.
constexpr auto recent_for = std::chrono::minutes{1};

}  // namespace

void DeliveryColumns::add(TenantId tenant_id, const Delivery& d, Sequence first) {
  tenant.add(tenant_id);
  message_seq.add(WriteSet::resolve(d.message_seq, first));
  conversation.add(d.conversation_id);
  contact.add(d.contact_id);
  integration.add(d.integration_id);
  created_at.add(to_millis(d.created_at));
  sent_at.add(to_millis(d.sent_at));
  next_at.add(to_millis(d.next_at));
  not_after.add(to_millis(d.not_after));
  attempt.add(static_cast<std::int64_t>(d.attempt));
  channel.add(static_cast<std::int64_t>(d.channel));
  provider.add(static_cast<std::int64_t>(d.provider));
  status.add(static_cast<std::int64_t>(d.status));
  address.add(std::string_view(d.address));
  provider_message_id.or_null(d.provider_message_id);
  error_code.or_null(d.error_code);
  error_detail.or_null(d.error_detail);
  provider_code.or_null(d.provider_code);
}

void DeliveryColumns::save(Connection& db) {
  if (message_seq.empty()) return;
  db.run(save_deliveries, tenant.str(), message_seq.str(), conversation.str(), contact.str(),
         integration.str(), created_at.str(), sent_at.str(), next_at.str(), not_after.str(),
         attempt.str(), channel.str(), provider.str(), status.str(), address.str(),
         provider_message_id.str(), error_code.str(), error_detail.str(), provider_code.str());
}

std::set<MessageKey> find_known_messages(Connection& db, const std::vector<MessageKey>& wanted) {
  std::set<MessageKey> found;
  if (wanted.empty()) return found;
  Array tenants, providers, ids;
  for (auto& [tenant, provider, id] : wanted) {
    tenants.add(tenant);
    providers.add(static_cast<std::int64_t>(provider));
    ids.add(std::string_view(id));
  }
  for (auto row : db.run(known_messages, tenants.str(), providers.str(), ids.str()))
    found.emplace(TenantId{to_uuid(row[0])}, to_enum<Provider>(row[1]), row[2].c_str());
  return found;
}

void RecentMessages::add(TenantId tenant, const std::vector<Delivery>& deliveries, TimePoint now) {
  for (auto& delivery : deliveries) {
    if (delivery.provider_message_id.empty()) continue;
    // The wall clock may jump back; that only keeps a generation longer.
    if (now - began_ > recent_for) {
      before_ = std::move(now_);
      now_ = {};
      began_ = now;
    }
    if (now_.keys.size() < recent_messages_max)
      now_.keys.emplace(tenant, delivery.provider, delivery.provider_message_id);
    else
      now_.complete = false;
  }
}

std::set<MessageKey> RecentMessages::among(Connection& db,
                                           const std::vector<MessageKey>& wanted) const {
  if (!now_.complete || !before_.complete) return find_known_messages(db, wanted);
  std::set<MessageKey> found;
  for (auto& key : wanted)
    if (now_.keys.contains(key) || before_.keys.contains(key)) found.insert(key);
  return found;
}

Result<std::vector<Delivery>> find_deliveries(Connection& db, TenantId tenant, Provider provider,
                                              const std::vector<std::string>& ids,
                                              const std::vector<Sequence>& seqs) {
  std::vector<Delivery> deliveries;
  Array id_list, seq_list;
  for (auto& id : ids) id_list.add(std::string_view(id));
  for (auto seq : seqs) seq_list.add(seq);
  auto done = db.transact({tenant}, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(find, to_string(tenant), static_cast<int>(provider), id_list.str(),
                           seq_list.str()))
      deliveries.push_back(read_delivery(row));
  });
  if (!done) return fail(done.error());
  return deliveries;
}

std::vector<Delivery> load_outstanding(Connection& db, TenantId tenant, ContactId contact) {
  std::vector<Delivery> deliveries;
  for (auto row : db.run(outstanding, to_string(tenant), to_string(contact)))
    deliveries.push_back(read_delivery(row));
  return deliveries;
}

Result<DueList> list_due(Connection& db, DuePlace after, int tenants, bool reported) {
  DueList result;
  std::vector<TenantId> page;
  if (after.second > 0) page.push_back(after.first);
  auto listed = db.transact({}, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(next_tenants, to_string(after.first), tenants))
      page.push_back(TenantId{to_uuid(row[0])});
  });
  if (!listed) return fail(listed.error());
  result.last = {after.first, 0};
  if (page.empty()) return result;
  result.more = page.size() >= static_cast<std::size_t>(tenants);
  result.last = {page.back(), 0};
  Array list;
  for (auto tenant : page) list.add(tenant);
  auto done = db.transact(page, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(reported ? due_reports : due, list.str(), to_string(after.first),
                           after.second))
      result.items.push_back({TenantId{to_uuid(row[0])}, read_delivery(row, 3),
                              to_string_or_empty(row[1]), to_string_or_empty(row[2])});
  });
  if (!done) return fail(done.error());
  if (result.items.size() < due_max) return result;
  result.last = {result.items.back().tenant_id, result.items.back().delivery.message_seq};
  result.more = true;
  return result;
}

}  // namespace sara::storage
