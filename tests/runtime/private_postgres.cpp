// The private Postgres, for real: made, adopted, killed, restarted, shared and stopped.
#include "runtime/private_postgres.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include "runtime/process.hpp"

using namespace sara;
using namespace sara::runtime;
namespace fs = std::filesystem;

namespace {

/// A data dir that does not exist yet, and its removal. Whatever runs in it is stopped.
struct DataDir {
  fs::path root;
  fs::path path;

  explicit DataDir(const std::string& name = "var") {
    std::string made = (fs::temp_directory_path() / "sara-test-XXXXXX").string();
    root = mkdtemp(made.data());
    chmod(root.c_str(), 0755);
    path = root / name;
  }
  ~DataDir() {
    if (fs::exists(path)) {
      if (auto left = PrivatePostgres::ensure(path)) {
        const auto away = left->cluster().parent_path();
        (void)left->stop();
        if (away != fs::canonical(path)) fs::remove_all(away);
      }
    }
    fs::remove_all(root);
  }
};

/// One statement through psql; its output, trimmed, or what psql complains about.
std::string sql(const PrivatePostgres& db, const std::string& statement) {
  const auto done =
      run({.argv = {"/usr/bin/psql", "-XAtq", "-d", db.connection_string(), "-c", statement}},
          Millis{20'000});
  if (!done) return done.error().detail;
  return done->output.substr(0, done->output.find_last_not_of('\n') + 1);
}

PrivatePostgres must(Result<PrivatePostgres> result) {
  if (!result) FAIL(result.error().detail);
  return std::move(*result);
}

/// A postmaster that has taken its pid file away has stopped, but is still about to end.
void wait_until_dead(pid_t pid) {
  for (int i = 0; i < 500 && alive(pid); ++i) std::this_thread::sleep_for(Millis{10});
}

}  // namespace

TEST_CASE("private postgres: is made on first use, durable and without superuser rights") {
  const DataDir dir;
  auto db = must(PrivatePostgres::ensure(dir.path));
  CHECK(sql(db, "SELECT 6 * 7") == "42");
  CHECK(sql(db, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") ==
        "f");
  CHECK(sql(db, "SHOW server_encoding") == "UTF8");
  CHECK(sql(db, "SHOW lc_collate") == "C");
  CHECK(sql(db, "SHOW listen_addresses").empty());
  for (const auto* durable : {"fsync", "synchronous_commit", "full_page_writes"}) {
    CHECK(sql(db, std::string("SHOW ") + durable) == "on");
  }
  CHECK(sql(db, "CREATE TABLE t (i int); INSERT INTO t VALUES (1); SELECT i FROM t") == "1");
  struct stat info {};
  CHECK(stat(("/proc/" + std::to_string(db.pid())).c_str(), &info) == 0);
  CHECK(info.st_uid != 0);
  CHECK(db.stop().value());
  wait_until_dead(db.pid());
  CHECK_FALSE(alive(db.pid()));
  CHECK_FALSE(db.watch().value());
}

TEST_CASE("private postgres: outlives its server and is adopted with its data") {
  const DataDir dir;
  pid_t first = 0;
  {
    auto db = must(PrivatePostgres::ensure(dir.path));
    first = db.pid();
    CHECK(sql(db, "CREATE TABLE t (i int)").empty());
  }
  auto db = must(PrivatePostgres::ensure(dir.path));
  CHECK(db.pid() == first);
  CHECK(sql(db, "SELECT count(*) FROM t") == "0");
}

TEST_CASE("private postgres: stops only with its last user") {
  const DataDir dir;
  auto one = must(PrivatePostgres::ensure(dir.path));
  auto two = must(PrivatePostgres::ensure(dir.path));
  CHECK_FALSE(one.stop().value());
  CHECK(alive(two.pid()));
  CHECK(two.stop().value());
  wait_until_dead(two.pid());
  CHECK_FALSE(alive(two.pid()));
}

TEST_CASE("private postgres: a killed postmaster is restarted under the same address") {
  const DataDir dir;
  auto db = must(PrivatePostgres::ensure(dir.path));
  const auto address = db.connection_string();
  CHECK_FALSE(db.watch().value());
  CHECK(sql(db, "CREATE TABLE t AS SELECT 1 AS i").empty());
  const pid_t before = db.pid();
  kill(before, SIGKILL);
  wait_until_dead(before);
  CHECK(db.watch().value());
  CHECK(db.pid() != before);
  CHECK(db.connection_string() == address);
  CHECK(sql(db, "SELECT i FROM t") == "1");
  CHECK_FALSE(db.watch().value());
}

TEST_CASE("private postgres: a swept socket folder is made again") {
  const DataDir dir;
  auto db = must(PrivatePostgres::ensure(dir.path));
  const auto address = db.connection_string();
  const auto from = address.find('=') + 1;
  fs::remove_all(address.substr(from, address.find(' ') - from));
  CHECK(db.watch().value());
  CHECK(db.connection_string() == address);
  CHECK(sql(db, "SELECT 1") == "1");
}

TEST_CASE("private postgres: a stale pid file that names a stranger is no obstacle") {
  const DataDir dir;
  auto db = must(PrivatePostgres::ensure(dir.path));
  const auto pid_file = db.cluster() / "postmaster.pid";
  std::ifstream in(pid_file);
  std::string number;
  std::getline(in, number);
  const std::string rest(std::istreambuf_iterator<char>(in), {});
  kill(db.pid(), SIGKILL);
  wait_until_dead(db.pid());
  std::ofstream(pid_file) << getpid() << "\n" << rest;
  CHECK(db.watch().value());
  CHECK(sql(db, "SELECT 1") == "1");
}

TEST_CASE("private postgres: many at once share one") {
  const DataDir dir;
  std::vector<pid_t> pids(6);
  std::vector<std::thread> threads;
  for (auto& pid : pids) {
    threads.emplace_back([&dir, &pid] {
      if (auto db = PrivatePostgres::ensure(dir.path)) pid = db->pid();
    });
  }
  for (auto& t : threads) t.join();
  CHECK(pids.front() > 0);
  for (const pid_t pid : pids) CHECK(pid == pids.front());
}

TEST_CASE("private postgres: a first start that was killed half way leaves no half cluster") {
  const DataDir dir;
  fs::create_directories(dir.path / "postgres.new" / "base");
  auto db = must(PrivatePostgres::ensure(dir.path));
  CHECK(sql(db, "SELECT 1") == "1");
  for (const auto& entry : fs::directory_iterator(dir.path)) {
    CHECK_FALSE(entry.path().filename().string().starts_with("postgres.new"));
  }
}

TEST_CASE("private postgres: a first start that is killed at any moment is repeated in peace") {
  for (int ms = 0; ms < 1200; ms += 150) {
    const DataDir dir;
    const pid_t child = fork();
    if (child == 0) {
      (void)PrivatePostgres::ensure(dir.path);
      _exit(0);
    }
    std::this_thread::sleep_for(Millis{ms});
    kill(child, SIGKILL);
    wait_until_dead(child);
    auto db = must(PrivatePostgres::ensure(dir.path));
    CHECK(sql(db, "SELECT 1") == "1");
  }
}

TEST_CASE("private postgres: a data dir in a closed home, with a long name") {
  const DataDir dir(std::string(120, 'x'));
  chmod(dir.root.c_str(), 0700);
  auto db = must(PrivatePostgres::ensure(dir.path));
  CHECK(sql(db, "SELECT 1") == "1");
  const bool moved = db.cluster().string().starts_with("/var/lib/madansara/");
  CHECK(moved == (geteuid() == 0));
  const auto cluster = db.cluster();
  CHECK(db.stop().value());
  auto again = must(PrivatePostgres::ensure(dir.path));
  CHECK(again.cluster() == cluster);
}

TEST_CASE("private postgres: no secret of ours reaches it") {
  const DataDir dir;
  setenv("MADANSARA_SECRET_KEY", "not for others", 1);
  auto db = must(PrivatePostgres::ensure(dir.path));
  unsetenv("MADANSARA_SECRET_KEY");
  std::ifstream file("/proc/" + std::to_string(db.pid()) + "/environ");
  const std::string all(std::istreambuf_iterator<char>(file), {});
  CHECK(all.find("MADANSARA") == std::string::npos);
}
