// Brings a database to this binary's schema: once, under an advisory lock, forward only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

struct Migration {
  int number = 0;
  std::string_view name;  ///< "0001_tenant.sql"
  std::string_view sql;
};

/// The migrations built into this binary, in order.
const std::vector<Migration>& migrations();

/// True if migrate() has nothing to do: each of ours is applied with our contents, and row-level
/// security binds the connection's role. Costs two short queries on a connection that goes on to
/// other things.
bool is_migrated(Connection& connection);

/// Applies what is missing, each in a transaction of its own; checks the sums of what is applied.
/// Returns the number applied now.
/// errors: unavailable - no database; conflict - an applied migration differs from ours, or the
///         database is newer in a way this binary cannot serve; internal - a statement failed
Result<int> migrate(const std::string& url);

}  // namespace sara::storage
