#include "bench/support/fill.hpp"

#include <cctype>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>

#include "base/crypto.hpp"
#include "bench/support/load.hpp"

namespace sara::bench {
namespace {

/// Beyond, it is quicker to make an index than to fill it.
constexpr std::int64_t rows_to_fill_indexes_max = 200'000;
constexpr std::int64_t first_number = 1'000'000;

using Expressions = std::map<std::string, std::string>;  ///< by column; others are copied

std::string literal(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

std::string number(std::int64_t n) { return std::to_string(n); }

/// INSERT of one row of `table` (s, chosen by `which`) for each row of fill_to (f).
std::string copy_rows(Database& db, const std::string& table, const std::string& which,
                      const Expressions& expressions) {
  std::string columns, values;
  for (auto& row : db.rows("SELECT attname FROM pg_attribute WHERE attrelid = '" + table +
                           "'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum")) {
    auto there = expressions.find(row[0]);
    columns += (columns.empty() ? "" : ", ") + row[0];
    values += (values.empty() ? "" : ", ") +
              (there == expressions.end() ? "s." + row[0] : there->second);
  }
  return "INSERT INTO " + table + " (" + columns + ") SELECT " + values +
         " FROM (SELECT * FROM fill_to ORDER BY k, tenant_id) f, " + table + " s WHERE " + which;
}

/// The 32 hexadecimal digits in a redelivery key, "" if it has none.
std::string digits_in(const std::string& key) {
  for (std::size_t at = 0, run = 0; at < key.size(); ++at) {
    run = std::isxdigit(static_cast<unsigned char>(key[at])) ? run + 1 : 0;
    if (run == 32) return key.substr(at - 31, 32);
  }
  return {};
}

/// The conversation's rows of the journal, and where a copy's stand.
struct Rows {
  std::vector<std::int64_t> seqs;
  std::vector<std::string> keys;
  std::int64_t each = 0;

  /// SQL for the number that the copy has in the place of `seq`.
  std::string place(std::int64_t seq) const {
    for (std::size_t m = 0; m < seqs.size(); ++m)
      if (seqs[m] == seq)
        return "f.base + " + number(static_cast<std::int64_t>(m) * each) + " + f.k";
    return "0";
  }
};

/// Drops all indexes but the primary keys; makes them again at the end, as full as random inserts
/// leave them.
class WithoutIndexes {
 public:
  explicit WithoutIndexes(Database& db) : db_(db) {
    for (auto& row : db.rows(
             "SELECT indexdef, indexname FROM pg_indexes JOIN pg_class c ON c.relname = indexname"
             " JOIN pg_index i ON i.indexrelid = c.oid WHERE NOT i.indisprimary AND tablename IN"
             " ('journal', 'conversation', 'contact', 'identity', 'delivery')")) {
      definitions_.push_back(row[0]);
      db.run("DROP INDEX " + row[1]);
    }
  }
  void make() {
    db_.run("SET maintenance_work_mem = '512MB'");
    for (auto& definition : definitions_) {
      auto where = definition.find(" WHERE ");
      auto text = definition.substr(0, where) + " WITH (fillfactor = 70)" +
                  (where == std::string::npos ? "" : definition.substr(where));
      db_.run(text);
    }
    for (auto& definition : definitions_) {
      auto name = definition.substr(definition.find("INDEX ") + 6);
      db_.run("ALTER INDEX " + name.substr(0, name.find(' ')) + " RESET (fillfactor)");
    }
  }

 private:
  Database& db_;
  std::vector<std::string> definitions_;
};

}  // namespace

std::string copy_address(const std::string& address, std::int64_t n) {
  return address.substr(0, address.size() - 7) + number(first_number + n);
}

void multiply(Database& db, const Pattern& pattern, const Copies& copies) {
  auto tenant = literal(pattern.tenant_id), conversation = literal(pattern.conversation_id);
  auto mine = "s.tenant_id = " + tenant;
  Rows rows;
  rows.each = copies.each;
  for (auto& row : db.rows("SELECT seq, dedupe_key, kind = 1 AND direction = 2 FROM journal s WHERE " + mine +
                           " AND conversation_id = " + conversation + " ORDER BY seq")) {
    rows.seqs.push_back(std::atoll(row[0].c_str()));
    rows.keys.push_back(row[1]);
    // Nothing has become of it yet.
    if (copies.queued && row[2] == "t") break;
  }
  auto found = db.rows("SELECT contact_id, seq, last_seq, read_seq, c.updated_at_ms, coalesce((SELECT "
                       "integration_id FROM journal j WHERE j.tenant_id = c.tenant_id AND "
                       "j.conversation_id = c.id AND integration_id IS NOT NULL ORDER BY seq LIMIT 1)::text, '') FROM conversation c "
                       "WHERE c.tenant_id = " + tenant + " AND c.id = " + conversation);
  if (rows.seqs.empty() || found.empty()) throw std::runtime_error("there is nothing to copy");
  auto at = [&](std::size_t column) { return std::atoll(found[0][column].c_str()); };
  auto contact = literal(found[0][0]), integration = literal(found[0][5]);

  std::string tenants = tenant + "::uuid";
  for (auto& id : copies.tenants)
    tenants = (&id == copies.tenants.data() ? "" : tenants + ", ") + literal(id) + "::uuid";
  // As UUIDs of version 7 are: in order of time.
  auto id = [&](const std::string& salt) {
    return "(lpad(to_hex(" + found[0][4] + " + k), 12, '0') || '7' || overlay(substr(md5(t.id::text"
           " || k || " + literal(salt) + "), 1, 19) placing '8' from 4 for 1))::uuid";
  };
  db.run("SET client_min_messages = warning; SET session_replication_role = replica; DROP TABLE IF EXISTS fill_to;"
         "CREATE TEMP TABLE fill_to AS SELECT t.id AS tenant_id, k - " + number(copies.first - 1) +
         " AS k, " + id("contact") + " AS contact_id, " + id("conversation") +
         " AS conversation_id, i.id AS integration_id, " +
         literal(pattern.address.substr(0, pattern.address.size() - 7)) + " || (" +
         number(first_number) + " + k) AS address,"
         " (SELECT coalesce(max(seq), 0) FROM journal j WHERE j.tenant_id = t.id) AS base"
         " FROM unnest(ARRAY[" + tenants + "]) AS t(id)"
         " CROSS JOIN generate_series(" + number(copies.first) + ", " +
         number(copies.first + copies.each - 1) + ") k"
         " LEFT JOIN integration i ON i.tenant_id = t.id AND i.provider ="
         " (SELECT provider FROM integration WHERE tenant_id = " + tenant + " AND id = " +
         integration + ")");
  auto many = db.run("SELECT count(*) FROM fill_to") *
                  static_cast<std::int64_t>(rows.seqs.size()) > rows_to_fill_indexes_max;
  std::optional<WithoutIndexes> without;
  if (many) without.emplace(db);

  db.run(copy_rows(db, "contact", mine + " AND s.id = " + contact,
                   {{"tenant_id", "f.tenant_id"}, {"id", "f.contact_id"}, {"external_id", "NULL"}}));
  db.run(copy_rows(db, "identity", mine + " AND s.contact_id = " + contact,
                   {{"tenant_id", "f.tenant_id"},
                    {"contact_id", "f.contact_id"},
                    {"address", "f.address"}}));
  Expressions changed{{"tenant_id", "f.tenant_id"},
                      {"id", "f.conversation_id"},
                      {"contact_id", "f.contact_id"},
                      {"seq", rows.place(copies.queued ? rows.seqs.back() : at(1))},
                      {"last_seq", rows.place(at(2))},
                      {"read_seq", rows.place(at(3))},
                      {"reach", "replace(replace(s.reach, " + literal(pattern.address) +
                                    ", f.address), " + integration + ", f.integration_id::text)"}};
  // The place in the inbox is written behind: a copy stands in its own.
  const bool behind = db.run("SELECT count(*) FROM pg_class WHERE relname = 'conversation_order'");
  if (behind) {
    db.run("UPDATE conversation SET listed_seq = seq WHERE listed_seq <> seq");
    changed["listed_seq"] = changed["seq"];
  }
  db.run(copy_rows(db, "conversation", mine + " AND s.id = " + conversation, changed));

  for (std::size_t m = 0; m < rows.seqs.size(); ++m) {
    auto which = mine + " AND s.seq = " + number(rows.seqs[m]);
    auto subject = db.run("SELECT subject_seq FROM journal s WHERE " + which);
    auto fresh = "md5(f.conversation_id::text || " + number(static_cast<std::int64_t>(m)) + ")";
    auto digits = digits_in(rows.keys[m]);
    Expressions row{{"tenant_id", "f.tenant_id"},
                    {"seq", rows.place(rows.seqs[m])},
                    {"conversation_id", "f.conversation_id"},
                    {"integration_id",
                     "CASE WHEN s.integration_id IS NOT NULL THEN f.integration_id END"}};
    if (subject != 0) row["subject_seq"] = rows.place(subject);
    if (!digits.empty()) {
      row["dedupe_key"] = "replace(s.dedupe_key, " + literal(digits) + ", " + fresh + ")";
      row["raw"] = "convert_to(replace(replace(convert_from(s.raw, 'UTF8'), " + literal(digits) +
                   ", " + fresh + "), " + literal(pattern.address.substr(1)) +
                   ", substr(f.address, 2)), 'UTF8')";
    } else if (!rows.keys[m].empty()) {
      row["dedupe_key"] = "left(s.dedupe_key, 2) || '#' || " + fresh;
    }
    db.run(copy_rows(db, "journal", which, row));
  }

  for (auto& row : db.rows("SELECT message_seq FROM delivery s WHERE " + mine +
                           " AND conversation_id = " + conversation)) {
    auto seq = std::atoll(row[0].c_str());
    Expressions delivery{{"tenant_id", "f.tenant_id"},
                         {"message_seq", rows.place(seq)},
                         {"conversation_id", "f.conversation_id"},
                         {"contact_id", "f.contact_id"},
                         {"integration_id", "f.integration_id"},
                         {"address", "f.address"},
                         {"provider_message_id", "'sandbox_' || md5(f.conversation_id::text)"}};
    if (copies.queued) {
      delivery["status"] = "1";
      delivery["attempt"] = "0";
      delivery["sent_at_ms"] = "0";
      delivery["provider_message_id"] = "NULL";
    }
    db.run(copy_rows(db, "delivery", mine + " AND s.message_seq = " + row[0], delivery));
  }
  if (without) without->make();
  if (behind)
    db.run("INSERT INTO conversation_order (tenant_id, listed_seq)"
           " SELECT t.id, (SELECT max(seq) FROM journal j WHERE j.tenant_id = t.id) FROM tenant t"
           " WHERE EXISTS (SELECT 1 FROM journal j WHERE j.tenant_id = t.id)"
           " ON CONFLICT (tenant_id) DO UPDATE SET listed_seq = excluded.listed_seq");
  db.run("DROP TABLE fill_to");
}

void settle(Database& db) {
  db.run("VACUUM (ANALYZE)");
  db.run("CHECKPOINT");
}

std::vector<Shop> make_shops(std::uint16_t port, Database& db, const test::Twilio& like,
                             std::size_t count) {
  std::vector<Shop> shops;
  std::vector<std::string> requests;
  std::string tenants, keys;
  for (std::size_t i = 0; i < count; ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "%08zu", i);
    auto mark = test::unique();
    Shop shop{"", "sk_" + std::string(name) + mark + mark, like};
    std::string secret = mark + mark;
    auto sum = crypto::sha256(secret);
    auto hash = crypto::to_hex({reinterpret_cast<const char*>(sum.data()), sum.size()});
    tenants += (i ? "," : "") + ("('shop " + std::string(name) + "')");
    keys += (i ? "," : "") + ("('" + std::string(name) + "','" + hash + "')");
    requests.push_back(wire(
        {"POST",
         "/api/v1/integrations",
         R"({"provider":"twilio","name":"Twilio","credentials":{"account_sid":)" +
             test::quoted(like.account_sid) + ",\"auth_token\":" + test::quoted(like.auth_token) +
             "},\"settings\":{\"from\":" + test::quoted(like.number) + "}}",
         {{"Authorization", "Bearer " + shop.api_key}, {"Content-Type", "application/json"}}},
        port));
    shops.push_back(std::move(shop));
  }
  if (count == 0) return shops;
  auto now = std::to_string(test::now_ms());
  auto v7 = "(lpad(to_hex(" + now + "::bigint), 12, '0') || '7' || overlay(substr(md5(random()::text)"
            ", 1, 19) placing '8' from 4 for 1))::uuid";
  db.run("INSERT INTO tenant (id, name, created_at_ms) SELECT " + v7 + ", name, " + now +
         " FROM (VALUES " + tenants + ") AS v(name)");
  db.run("INSERT INTO api_key (id, tenant_id, name, role, secret_sha256, created_at_ms)"
         " SELECT k.id, t.id, 'first owner key', 'owner', decode(k.hash, 'hex'), " + now +
         " FROM (VALUES " + keys + ") AS k(id, hash) JOIN tenant t ON t.name = 'shop ' || k.id");
  auto answers = send_all(port, 32, requests);
  if (answers.count(201) != count) throw std::runtime_error("integrations were refused");
  auto base = like.integration.url.substr(0, like.integration.url.find("/webhooks/"));
  auto rows = db.rows("SELECT t.id, i.id, i.endpoint FROM tenant t JOIN integration i"
                      " ON i.tenant_id = t.id WHERE t.name LIKE 'shop %' ORDER BY t.name");
  if (rows.size() != count) throw std::runtime_error("not every tenant has its integration");
  for (std::size_t i = 0; i < count; ++i) {
    shops[i].tenant_id = rows[i][0];
    auto path = "/webhooks/twilio/" + rows[i][2];
    shops[i].twilio.integration = {rows[i][1], path, base + path};
  }
  return shops;
}

std::string message_sid(std::uint64_t n) {
  auto sum = crypto::sha256("message " + std::to_string(n));
  return "SM" + crypto::to_hex({reinterpret_cast<const char*>(sum.data()), 16});
}

}  // namespace sara::bench
