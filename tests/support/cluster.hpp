// The private Postgres below a data directory, as an operator or a misfortune meets it from
// outside: killed, restarted, frozen, asked by psql. It touches only processes that work inside
// that cluster.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace sara::test {

class Cluster {
 public:
  /// Reads where it is, as runtime/private_postgres.cpp keeps it. It need not run.
  explicit Cluster(const std::string& data_dir);

  const std::string& dir() const { return dir_; }
  const std::string& socket_dir() const { return socket_dir_; }
  /// True if its postmaster runs.
  bool runs() const;

  /// Ends the postmaster by this signal: SIGKILL, SIGQUIT (immediate), SIGINT (fast).
  void end(int signal);
  /// `pg_ctl restart -m immediate`; throws if that does not succeed.
  void restart_immediately();
  /// Starts it again with the settings of its last start and more in its environment. The child
  /// is ours; what it prints goes into a file beside the cluster.
  std::unique_ptr<Process> start(const Environment& more);
  /// SIGSTOP for the postmaster and all its children, SIGCONT for the same.
  void freeze();
  void thaw();

  /// What psql prints as the superuser: rows on lines, columns between tabs. Throws on an error.
  std::string sql(const std::string& statement, const std::string& database = "madansara") const;
  /// A DATABASE_URL as another server would be given it; "" if it has no socket.
  std::string url(const std::string& database = "madansara") const;

 private:
  std::vector<std::string> as_owner(std::vector<std::string> command) const;
  std::string dir_;
  std::string socket_dir_;
  pid_t pid_ = 0;
  std::vector<pid_t> frozen_;
};

}  // namespace sara::test
