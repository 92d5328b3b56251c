// The private Postgres of a server under test, seen by its superuser.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/server.hpp"

namespace sara::bench {

class Database {
 public:
  /// name: of the database, such as "madansara"
  Database(const test::Server& server, const std::string& name);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Runs SQL; the first column of the first row as a number, 0 if there is none. Throws on errors.
  std::int64_t run(const std::string& sql);
  /// Runs one statement; all of its rows as text, "" for NULL. Throws on errors.
  std::vector<std::vector<std::string>> rows(const std::string& sql);
  pid_t postmaster();
  const std::string& url() const { return url_; }

 private:
  std::string url_;
  void* connection_ = nullptr;  ///< libpq's
};

}  // namespace sara::bench
