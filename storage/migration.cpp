// The migration runner.
#include "storage/migration.hpp"

#include <map>
#include <pqxx/pqxx>

#include "base/crypto.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"

namespace sara::storage {
namespace {

/// Any number: it only has to be ours. Two servers that start at once wait here for each other.
constexpr const char* lock = "SELECT pg_advisory_lock(77201)";
constexpr const char* unlock = "SELECT pg_advisory_unlock(77201)";

std::string sum_of(std::string_view sql) {
  auto sum = crypto::sha256(sql);
  return crypto::to_hex({reinterpret_cast<const char*>(sum.data()), sum.size()});
}

/// The role without BYPASSRLS that the server's connections change to, where we may make one. A
/// plain login role needs none: FORCE ROW LEVEL SECURITY binds it already.
void make_role(pqxx::nontransaction& db) {
  auto powerful = db.exec1(
      "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")[0].as<bool>();
  if (!powerful) return;
  db.exec(
      "DO $$ BEGIN CREATE ROLE madansara_app NOLOGIN NOBYPASSRLS;"
      " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$");
  db.exec("GRANT USAGE ON SCHEMA public TO madansara_app");
  db.exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO madansara_app");
  db.exec("REVOKE INSERT, UPDATE, DELETE ON migration FROM madansara_app");
}

}  // namespace

bool is_migrated(Connection& db) {
  std::size_t applied = 0;
  bool bound = false;
  auto done = db.transact({}, true, "", [&](const pqxx::result&) {
    auto there = db.execute(
        "SELECT to_regclass('migration') IS NOT NULL"
        " AND coalesce(row_security_active(to_regclass('journal')), false)");
    bound = there[0][0].as<bool>();
    if (!bound) return;
    std::map<int, std::string> sums;
    for (auto row : db.execute("SELECT number, sha256 FROM migration"))
      sums[row[0].as<int>()] = row[1].as<std::string>();
    for (auto& migration : migrations())
      if (auto sum = sums.find(migration.number);
          sum != sums.end() && sum->second == sum_of(migration.sql))
        ++applied;
  });
  return done && bound && applied == migrations().size();
}

Result<int> migrate(const std::string& url) {
  try {
    pqxx::connection connection(url);
    pqxx::nontransaction db(connection);
    db.exec("SET client_min_messages = warning");
    db.exec(lock);
    db.exec(
        "CREATE TABLE IF NOT EXISTS migration (number int PRIMARY KEY, name text NOT NULL,"
        " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
    std::map<int, std::string> applied;
    for (auto row : db.exec("SELECT number, sha256 FROM migration"))
      applied[row[0].as<int>()] = row[1].as<std::string>();
    int done = 0;
    for (auto& migration : migrations()) {
      auto there = applied.find(migration.number);
      if (there != applied.end()) {
        if (there->second != sum_of(migration.sql))
          return fail(Errc::conflict, "migration " + std::string(migration.name) +
                                          " was applied with other contents");
        continue;
      }
      db.exec("BEGIN");
      db.exec(std::string(migration.sql));
      fault::point("migration.written");
      db.exec("INSERT INTO migration (number, name, sha256) VALUES (" +
              std::to_string(migration.number) + ", " + db.quote(std::string(migration.name)) +
              ", " + db.quote(sum_of(migration.sql)) + ")");
      db.exec("COMMIT");
      fault::point("migration.committed");
      log::info("migration.applied", {{"name", migration.name}});
      ++done;
    }
    make_role(db);
    fault::point("migration.unlocking");
    db.exec(unlock);
    return done;
  } catch (const pqxx::sql_error& e) {
    log::error("migration.failed", {{"detail", e.what()}});
    return fail(Errc::internal, std::string("a migration failed: ") + e.what());
  } catch (const std::exception& e) {
    return fail(Errc::unavailable, std::string("the database cannot be reached: ") + e.what());
  }
}

}  // namespace sara::storage
