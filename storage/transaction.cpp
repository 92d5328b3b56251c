// Connection and transactions.
#include "storage/transaction.hpp"

#include <algorithm>

#include "base/fault.hpp"
#include "base/log.hpp"

namespace sara::storage {
namespace {

std::vector<const Query*>& registry() {
  static std::vector<const Query*> queries;
  return queries;
}

std::string tenant_list(const std::vector<TenantId>& tenants) {
  std::string list;
  for (auto& tenant : tenants) {
    if (!list.empty()) list += ',';
    append_to(list, tenant);
  }
  return list;
}

/// Postgres' complaint as far as it may be logged: it quotes the values that it refuses (class 22)
/// and tells of rows behind the first line.
std::string_view without_values(std::string_view state, std::string_view complaint) {
  if (state.substr(0, 2) == "22") return "a value was refused";
  return complaint.substr(0, complaint.find('\n'));
}

}  // namespace

Query::Query(const char* query_name, const char* query_sql) : name(query_name), sql(query_sql) {
  registry().push_back(this);
}

const std::vector<const Query*>& all_queries() { return registry(); }

Connection::Connection(std::string url) : url_(std::move(url)) {}
Connection::~Connection() { close(); }

void Connection::close() {
  tx_.reset();
  connection_.reset();
  prepared_.clear();
}

Result<void> Connection::connect() {
  if (connection_ && connection_->is_open()) return {};
  close();
  try {
    connection_ = std::make_unique<pqxx::connection>(url_);
    tx_ = std::make_unique<pqxx::nontransaction>(*connection_);
    // One generic plan per statement: planning an unnest insert afresh costs more than running it.
    // It is made once and lives as long as the connection, whatever the tables hold at that moment;
    // so it must not rest on their sizes. Every look-up of ours has an index: take it.
    auto bound = tx_->exec(
        "SET client_min_messages = warning; SET plan_cache_mode = force_generic_plan;"
        "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
        "SET synchronous_commit = on; SET jit = off;"
        // A process that is paused in a transaction must not keep the next one from the lease.
        "SET idle_in_transaction_session_timeout = '3s';"
        "SELECT coalesce(row_security_active(to_regclass('journal')), false)");
    if (bound[0][0].as<bool>()) return {};
    // Row-level security binds neither superusers nor BYPASSRLS roles: leave such a role at once.
    auto who = tx_->exec1(
        "SELECT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user),"
        " EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'madansara_app')");
    if (who[0].as<bool>() && who[1].as<bool>()) tx_->exec("SET ROLE madansara_app");
    return {};
  } catch (const std::exception& e) {
    close();
    log::warn("storage.connect_failed", {{"detail", e.what()}});
    return fail(Errc::unavailable, "the database cannot be reached");
  }
}

void Connection::prepare(const Query& query) {
  if (prepared_.contains(query.name)) return;
  connection_->prepare(query.name, query.sql);
  prepared_.insert(query.name);
}

pqxx::result Connection::execute(const std::string& sql) { return tx_->exec(sql); }

Result<void> Connection::transact(const std::vector<TenantId>& tenants, bool read_only,
                                  const std::string& prelude,
                                  const std::function<void(const pqxx::result&)>& work) {
  failure_ = Failure::connection_lost;
  if (auto connected = connect(); !connected) return connected;
  bool committing = false;
  auto roll_back = [&] {
    try {
      if (connection_ && connection_->is_open()) tx_->exec("ROLLBACK");
    } catch (const std::exception&) {
      close();
    }
  };
  try {
    std::string begin = read_only ? "BEGIN READ ONLY" : "BEGIN";
    begin += "; SET LOCAL app.tenants = '" + tenant_list(tenants) + "'";
    bool guarded = !read_only && prelude.empty() && !guard_.empty();
    if (guarded || !prelude.empty()) begin += "; " + (guarded ? guard_ : prelude);
    auto begun = tx_->exec(begin);
    if (guarded && static_cast<std::size_t>(begun.size()) != guard_rows_)
      throw BrokenWork{{Errc::stale, "another server writes to this database now", {}},
                       Failure::fenced};
    work(begun);
    committing = true;
    if (!read_only) fault::point("transaction.before_commit");
    tx_->exec("COMMIT");
    if (!read_only) fault::point("transaction.committed");
    failure_ = Failure::none;
    return {};
  } catch (const BrokenWork& broken) {
    roll_back();
    failure_ = broken.failure;
    return fail(broken.error);
  } catch (const pqxx::broken_connection& e) {
    close();
    failure_ = committing ? Failure::commit_in_doubt : Failure::connection_lost;
    log::warn("storage.connection_lost", {{"detail", e.what()}, {"committing", committing}});
    return fail(Errc::unavailable, "the database connection was lost");
  } catch (const pqxx::sql_error& e) {
    // libpqxx reports a lost connection as an error of the statement: class 57P where the server
    // shut down, 25P03 where we were idle for too long, no state at all where it said nothing.
    std::string state = e.sqlstate();
    bool open = connection_ && connection_->is_open();
    bool said_goodbye = state.empty() || state == "25P03" || state.rfind("57P", 0) == 0;
    if (!open || said_goodbye || state.rfind("08", 0) == 0) {
      close();
      failure_ = committing ? Failure::commit_in_doubt : Failure::connection_lost;
      return fail(Errc::unavailable, "the database connection was lost");
    }
    roll_back();
    // A unique key that is there already is how redeliveries are found: nothing to warn of.
    if (state != "23505")
      log::warn("storage.sql_error",
                {{"state", state}, {"detail", without_values(state, e.what())}});
    if (state.rfind("22", 0) == 0) {
      failure_ = Failure::data;
      return fail(Errc::internal, "the database refused a value");
    }
    if (state.rfind("40", 0) == 0 || state == "23505") {
      failure_ = Failure::conflict;
      return fail(Errc::unavailable, "a concurrent change won; try again");
    }
    // 53: no resources (disk full, too many connections); 55, 57: in use, cancelled; 58, XX: the
    // system below it, files among them; 25006, 42501: read-only, for the database or its disk.
    static constexpr std::string_view trouble[] = {"53", "55", "57", "58", "XX", "25006", "42501"};
    bool wait = std::any_of(std::begin(trouble), std::end(trouble),
                            [&](std::string_view s) { return state.starts_with(s); });
    // Whatever else it was, these rows will meet it again (54: too long for an index): a group has
    // to be split, or one tenant's bad row fails everyone's.
    failure_ = wait ? Failure::other : Failure::data;
    return fail(wait ? Errc::unavailable : Errc::internal, "the database refused the change");
  } catch (const std::exception& e) {
    close();
    failure_ = committing ? Failure::commit_in_doubt : Failure::other;
    log::error("storage.failed", {{"detail", e.what()}});
    return fail(Errc::unavailable, "the database could not answer");
  }
}

Uuid to_uuid(const pqxx::field& field) {
  if (field.is_null()) return {};
  return parse_uuid(field.c_str()).value_or(Uuid{});
}

std::string to_string_or_empty(const pqxx::field& field) {
  return field.is_null() ? std::string{} : std::string(field.c_str(), field.size());
}

}  // namespace sara::storage
