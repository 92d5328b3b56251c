// The private Postgres: a cluster of our own under the data dir, for whoever brings no database.
// It listens on a Unix socket alone, never runs as root, outlives a killed server and is adopted
// by the next one. Several processes may share it; the last one to stop stops it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"

namespace sara::runtime {

class PrivatePostgres {
 public:
  /// Makes the cluster on first use, starts or adopts its Postgres and returns when it answers.
  /// Safe to call at once from several processes and threads.
  /// errors: unavailable - Postgres is not installed or did not start; the detail says why
  ///         forbidden   - the cluster belongs to another account
  static Result<PrivatePostgres> ensure(const std::filesystem::path& data_dir);

  PrivatePostgres(PrivatePostgres&&) noexcept;
  PrivatePostgres& operator=(PrivatePostgres&&) noexcept;
  /// Leaves Postgres running.
  ~PrivatePostgres();

  /// libpq's keywords for the database "madansara" as its owner, who is no superuser: row-level
  /// security holds for it. Stays the same when watch() restarts Postgres.
  const std::string& connection_string() const;
  /// The postmaster. Changes when watch() restarts it.
  pid_t pid() const;
  /// Where its files are: inside the data dir, or under /var/lib/madansara.
  const std::filesystem::path& cluster() const;

  /// Looks once and costs a few system calls while all is well; starts Postgres again if it died.
  /// Meant to be called every half second or so, from one thread.
  /// returns: true if it had to be restarted
  Result<bool> watch();

  /// Stops Postgres in fast mode unless another process uses it; watch() does nothing afterwards.
  /// returns: true if it was stopped, false if others still use it
  /// errors:  unavailable - it is still stopping after `patience`; it goes on by itself
  Result<bool> stop(Millis patience = Millis{5000});

 private:
  struct Impl;
  explicit PrivatePostgres(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sara::runtime
