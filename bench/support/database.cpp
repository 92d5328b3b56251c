#include "bench/support/database.hpp"

#include <libpq-fe.h>

#include <cstdlib>
#include <stdexcept>

namespace sara::bench {
namespace {

PGconn* as_connection(void* p) { return static_cast<PGconn*>(p); }

}  // namespace

Database::Database(const test::Server& server, const std::string& name) {
  auto theirs = server.database_url();
  url_ = "postgresql://postgres@/" + name + theirs.substr(theirs.find('?'));
  connection_ = PQconnectdb(url_.c_str());
  if (PQstatus(as_connection(connection_)) != CONNECTION_OK)
    throw std::runtime_error(PQerrorMessage(as_connection(connection_)));
}

Database::~Database() { PQfinish(as_connection(connection_)); }

std::int64_t Database::run(const std::string& sql) {
  auto* result = PQexec(as_connection(connection_), sql.c_str());
  auto status = PQresultStatus(result);
  std::int64_t value = 0;
  if (status == PGRES_TUPLES_OK && PQntuples(result) > 0 && PQnfields(result) > 0)
    value = std::atoll(PQgetvalue(result, 0, 0));
  std::string wrong = PQresultErrorMessage(result);
  PQclear(result);
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
    throw std::runtime_error(sql + ": " + wrong);
  return value;
}

std::vector<std::vector<std::string>> Database::rows(const std::string& sql) {
  auto* result = PQexec(as_connection(connection_), sql.c_str());
  std::vector<std::vector<std::string>> rows;
  for (int r = 0; r < PQntuples(result); ++r) {
    auto& row = rows.emplace_back();
    for (int c = 0; c < PQnfields(result); ++c) row.emplace_back(PQgetvalue(result, r, c));
  }
  bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
  std::string wrong = PQresultErrorMessage(result);
  PQclear(result);
  if (!good) throw std::runtime_error(sql + ": " + wrong);
  return rows;
}

pid_t Database::postmaster() {
  return static_cast<pid_t>(
      run("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"));
}

}  // namespace sara::bench
