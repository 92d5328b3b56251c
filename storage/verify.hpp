// `madansara verify`: every stored invariant, checked by SQL over a whole database.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

struct Check {
  std::string name;
  std::string meaning;
  std::int64_t violations = 0;
  std::string example;  ///< where the first one is
};

/// Runs all checks for every tenant. Reads only.
/// errors: unavailable
Result<std::vector<Check>> verify(Connection& db);

}  // namespace sara::storage
