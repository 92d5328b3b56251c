// `madansara serve`: brings the parts up in order, keeps them, and takes them down in order.
#pragma once

#include "runtime/config.hpp"

namespace sara::runtime {

/// Runs until SIGTERM or SIGINT. returns: the exit status
int serve(const LoadedConfig& loaded);

/// The database a command works on: DATABASE_URL, or the data dir's private Postgres (kept running
/// by `postgres` as long as it lives).
struct Database {
  std::string url;
  std::shared_ptr<class PrivatePostgres> postgres;  ///< null: DATABASE_URL
};
Result<Database> open_database(const Config& config);

}  // namespace sara::runtime
