// A connection to Postgres, its named statements, and the wall where libpqxx's exceptions end.
#pragma once

#include <functional>
#include <memory>
#include <pqxx/pqxx>
#include <set>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"

namespace sara::storage {

/// A named statement. `$1` is always the tenant, or a list of them. Each registers itself, so that
/// a test prepares all of them against the migrated schema.
struct Query {
  Query(const char* query_name, const char* query_sql);
  const char* name;
  const char* sql;
};
const std::vector<const Query*>& all_queries();

/// What a failed transaction was.
enum class Failure {
  none,
  connection_lost,   ///< nothing is known to be committed, unless it came during COMMIT
  commit_in_doubt,   ///< the connection went during COMMIT
  data,              ///< Postgres refused a value: the same rows will fail again
  conflict,          ///< serialization, deadlock, unique key: repeat
  fenced,            ///< another process owns a shard now
  other,
};

/// One connection, for one thread. Reconnects lazily after it is lost.
class Connection {
 public:
  explicit Connection(std::string url);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Runs `work` in one transaction for these tenants: BEGIN and the tenants in one round trip,
  /// then `work`, then COMMIT. `prelude` is SQL of ours, put behind BEGIN; `work` gets its result.
  /// On any exception: rolled back, `failure()` says what it was.
  /// errors: unavailable; internal; whatever BrokenWork carries
  Result<void> transact(const std::vector<TenantId>& tenants, bool read_only,
                        const std::string& prelude,
                        const std::function<void(const pqxx::result& prelude)>& work);
  Failure failure() const { return failure_; }
  /// From now on each writing transaction without a prelude of its own begins with this one, and
  /// fails as fenced (errors: stale) unless it gives so many rows.
  void guard(std::string prelude, std::size_t rows) {
    guard_ = std::move(prelude);
    guard_rows_ = rows;
  }

  /// Inside `work`: runs a named statement.
  template <class... Params>
  pqxx::result run(const Query& query, const Params&... params) {
    prepare(query);
    return tx_->exec_prepared(query.name, params...);
  }
  std::string quote(std::string_view text) { return tx_->quote(std::string(text)); }
  /// Plain SQL outside of any tenant (migrations, leases).
  pqxx::result execute(const std::string& sql);
  /// Makes sure that there is a connection. errors: unavailable
  Result<void> connect();
  void close();

 private:
  void prepare(const Query& query);
  std::string url_;
  std::unique_ptr<pqxx::connection> connection_;
  std::unique_ptr<pqxx::nontransaction> tx_;
  std::set<std::string> prepared_;
  std::string guard_;
  std::size_t guard_rows_ = 0;
  Failure failure_ = Failure::none;
};

/// Thrown inside `work` to give up with a value of ours.
struct BrokenWork {
  Error error;
  Failure failure = Failure::other;
};

/// The columns of a row as our types.
Uuid to_uuid(const pqxx::field& field);
std::string to_string_or_empty(const pqxx::field& field);
inline std::int64_t to_int(const pqxx::field& field) {
  return field.is_null() ? 0 : field.as<std::int64_t>();
}
inline TimePoint to_time(const pqxx::field& field) { return from_millis(to_int(field)); }
template <class Enum>
Enum to_enum(const pqxx::field& field) {
  return static_cast<Enum>(to_int(field));
}

}  // namespace sara::storage
