// Starting, adopting, watching and stopping the private Postgres. Files in the data dir:
//   postgres.lock   held while one of us starts or stops it     postgres.log  what Postgres says
//   postgres.users  held, shared, by every process that uses it  postgres/     the cluster
//   postgres.place  where the cluster and its socket are (see Place)
#include "runtime/private_postgres.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "runtime/process.hpp"

namespace sara::runtime {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr int version_wanted = 15;
constexpr Millis start_patience{120'000};  // Crash recovery reads up to 4 GB of journal.
constexpr Millis tool_patience{60'000};
constexpr Millis orphan_patience{10'000};
constexpr Millis poll_every{20};
constexpr std::uintmax_t log_bytes_max = 16u << 20;
constexpr std::string_view away_root = "/var/lib/madansara";

/// For two cores shared with the server. Durability is not negotiable: an answer 2xx means that
/// the commit is on the disk.
constexpr std::array settings = {
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "max_connections=50",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "wal_level=replica",
    "wal_compression=off",
    "wal_buffers=16MB",
    "max_wal_senders=2",
    "max_wal_size=4GB",
    "checkpoint_timeout=15min",
    "checkpoint_completion_target=0.9",
    // After a crash: one call for the whole file system, not one for each of a thousand files.
    "recovery_init_sync_method=syncfs",
    "shared_buffers=256MB",
    "effective_cache_size=1GB",
    "random_page_cost=1.1",
    "jit=off",
    "log_timezone=UTC",
    "timezone=UTC",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] ",
};

tl::unexpected<Error> unavailable(const std::string& detail) {
  return fail(Errc::unavailable, detail);
}
tl::unexpected<Error> failed(const std::string& what) {
  return unavailable(what + ": " + std::strerror(errno));
}

/// Removes what may not exist; whatever cannot be removed shows up in the step that follows.
void discard(const fs::path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

bool is_there(const fs::path& path) {
  std::error_code unknown;
  return fs::exists(path, unknown);
}

/// A flock on a file, from lock() to the end of the object. Each holder opens the file anew, so
/// that threads exclude each other too.
class FileLock {
 public:
  explicit FileLock(const fs::path& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644)) {}
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock() {
    if (fd_ >= 0) close(fd_);
  }
  bool lock(int how) const {
    if (fd_ < 0) return false;
    int r = 0;
    do r = flock(fd_, how);
    while (r != 0 && errno == EINTR);
    return r == 0;
  }

 private:
  int fd_;
};

/// Where the cluster and its socket are. Kept in the data dir: a cluster that is elsewhere is
/// found again, and the socket keeps its path when Postgres is restarted.
struct Place {
  fs::path cluster;
  fs::path socket_dir;
};

std::optional<Place> read_place(const fs::path& data_dir) {
  std::ifstream file(data_dir / "postgres.place");
  Place place;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("cluster=")) place.cluster = data_dir / line.substr(8);
    if (line.starts_with("socket=")) place.socket_dir = line.substr(7);
  }
  if (place.cluster.empty()) return std::nullopt;
  return place;
}

Result<void> write_place(const fs::path& data_dir, const Place& place) {
  const auto fresh = data_dir / "postgres.place.new";
  // A cluster inside the data dir is named relatively, so that the data dir may be moved.
  const bool inside = place.cluster.parent_path() == data_dir;
  const auto cluster = inside ? place.cluster.filename() : place.cluster;
  std::ofstream file(fresh, std::ios::trunc);
  file << "cluster=" << cluster.string() << "\nsocket=" << place.socket_dir.string() << "\n";
  file.close();
  std::error_code error;
  fs::rename(fresh, data_dir / "postgres.place", error);
  if (!file || error) return unavailable("cannot write " + (data_dir / "postgres.place").string());
  return {};
}

/// What Postgres keeps in postmaster.pid.
struct PidFile {
  pid_t pid = 0;
  fs::path socket_dir;
  bool ready = false;
};

PidFile read_pid_file(const fs::path& cluster) {
  std::ifstream file(cluster / "postmaster.pid");
  PidFile out;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (number == 1) std::from_chars(line.data(), line.data() + line.size(), out.pid);
    if (number == 5) out.socket_dir = line;
    if (number == 8) out.ready = line.starts_with("ready");
  }
  return out;
}

/// True if the process is the postmaster of this cluster and no stranger with a reused number.
bool is_postmaster(pid_t pid, const fs::path& cluster) {
  if (!alive(pid)) return false;
  const auto arguments = arguments_of(pid);
  return std::find(arguments.begin(), arguments.end(), cluster.string()) != arguments.end();
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Backends that work inside the cluster: a dead postmaster's may live on for a moment.
std::vector<pid_t> backends_in(const fs::path& cluster) {
  std::vector<pid_t> out;
  std::error_code error;
  const auto real = fs::weakly_canonical(cluster, error);
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const auto name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc{} || *end != '\0') continue;
    std::error_code unreadable;
    if (fs::read_symlink(entry.path() / "cwd", unreadable) != real) continue;
    // Whoever merely looks around in the folder is left alone.
    if (first_line(entry.path() / "comm") == "postgres") out.push_back(pid);
  }
  return out;
}

/// True if something accepts connections on the socket.
bool socket_answers(const fs::path& socket_dir) {
  const auto path = (socket_dir / ".s.PGSQL.5432").string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const int r = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int why = errno;
  close(fd);
  return r == 0 || why == EAGAIN;  // EAGAIN: its backlog is full, so it is there.
}

/// The programs of the version that made the cluster, or of the one we want.
Result<fs::path> find_programs(const fs::path& cluster) {
  std::string version = std::to_string(version_wanted);
  std::ifstream(cluster / "PG_VERSION") >> version;
  fs::path dir = "/usr/lib/postgresql/" + version + "/bin";
  if (is_there(dir / "postgres")) return dir;
  return unavailable("Postgres " + version + " is not installed (Debian: postgresql-" + version +
                     "); install it or set DATABASE_URL");
}

/// Whom Postgres runs as: the cluster's owner, else us, else an unprivileged account.
Result<Account> choose_account(const fs::path& cluster) {
  struct stat info {};
  const bool exists = stat(cluster.c_str(), &info) == 0;
  if (geteuid() != 0) {
    if (exists && info.st_uid != geteuid()) {
      return fail(Errc::forbidden, "the database in " + cluster.string() +
                                       " belongs to another account; run as that account or as "
                                       "root, or choose another --data-dir");
    }
    return account_of(geteuid());
  }
  if (exists && info.st_uid != 0) return account_of(info.st_uid);
  auto account = account_named("postgres");
  return account ? account : account_named("nobody");
}

bool can_enter(const Account& account, const fs::path& dir) {
  if (account.uid == geteuid()) return true;
  const auto test =
      run({.argv = {"/usr/bin/test", "-x", dir.string()}, .as = account}, tool_patience);
  return test && test->status == 0;
}

/// First use: the cluster goes into the data dir, or, if its account cannot get there (a checkout
/// in a closed home), under /var/lib/madansara.
Result<Place> choose_place(const fs::path& data_dir, const Account& account) {
  if (can_enter(account, data_dir)) return Place{data_dir / "postgres", {}};
  const auto digest = crypto::sha256(data_dir.string());
  const std::string_view bytes(reinterpret_cast<const char*>(digest.data()), 6);
  // The second part is random: a data dir that was deleted and made again starts empty.
  const auto name = crypto::to_hex(bytes) + "-" + random_base62(6);
  const auto dir = fs::path(away_root) / name;
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) return unavailable("cannot make " + dir.string() + ": " + error.message());
  for (const auto& d : {fs::path(away_root), dir}) chmod(d.c_str(), 0711);
  std::ofstream(dir / "data_dir") << data_dir.string() << "\n";
  log::info("postgres.place", {{"cluster", (dir / "postgres").string()},
                               {"reason", account.name + " cannot enter the data dir"}});
  return Place{dir / "postgres", {}};
}

/// An empty folder of mode 0700 that belongs to the account.
Result<void> make_private_dir(const fs::path& dir, const Account& account) {
  if (mkdir(dir.c_str(), 0700) != 0) return failed("cannot make " + dir.string());
  if (account.uid != geteuid() && chown(dir.c_str(), account.uid, account.gid) != 0) {
    return failed("cannot give " + dir.string() + " to " + account.name);
  }
  return {};
}

/// Who may log in: over the socket, by the kernel's word about who is calling. Root, the account
/// that runs Postgres and the one that made the cluster become any of its roles.
Result<void> write_access_rules(const fs::path& cluster, const Account& account) {
  std::ofstream hba(cluster / "pg_hba.conf", std::ios::trunc);
  hba << "local all all peer map=madansara\nlocal replication all peer map=madansara\n";
  std::ofstream ident(cluster / "pg_ident.conf", std::ios::trunc);
  for (const auto& name : {std::string("root"), account.name}) {
    for (const auto* role : {"postgres", "madansara"}) {
      ident << "madansara \"" << name << "\" " << role << "\n";
    }
  }
  hba.close();
  ident.close();
  if (!hba || !ident) return unavailable("cannot write the access rules in " + cluster.string());
  return {};
}

/// Removes what killed first starts left beside the cluster.
void discard_halves(const fs::path& cluster) {
  const auto start = cluster.filename().string() + ".new";
  std::vector<fs::path> halves;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(cluster.parent_path(), error)) {
    if (entry.path().filename().string().starts_with(start)) halves.push_back(entry.path());
  }
  for (const auto& half : halves) discard(half);
}

/// Makes the cluster in a folder beside its place and renames it when complete: a cluster that
/// exists is whole, whatever was killed. The folder's name is new each time, because the initdb
/// of a killed server may still be at work in the last one.
Result<void> make_cluster(const Place& place, const fs::path& programs, const Account& account) {
  discard_halves(place.cluster);
  const auto fresh = fs::path(place.cluster.string() + ".new-" + random_base62(6));
  if (auto made = make_private_dir(fresh, account); !made) return made;
  const auto initdb =
      run({.argv = {programs / "initdb", "-D", fresh, "-U", "postgres", "--encoding=UTF8",
                    "--locale=C", "--auth=peer", "--no-instructions"},
           .as = account},
          tool_patience);
  if (!initdb) return fail(initdb.error());
  if (initdb->status != 0) return unavailable("initdb failed: " + initdb->output);
  const auto roles = run({.argv = {programs / "postgres", "--single", "-D", fresh, "postgres"},
                          .as = account,
                          .input = "CREATE ROLE madansara LOGIN NOSUPERUSER NOBYPASSRLS\n"
                                   "CREATE DATABASE madansara OWNER madansara\n"},
                         tool_patience);
  if (!roles) return fail(roles.error());
  const auto& said = roles->output;
  if (roles->status != 0 || said.find("ERROR:") != said.npos || said.find("FATAL:") != said.npos) {
    return unavailable("cannot create the database: " + said);
  }
  if (auto written = write_access_rules(fresh, account); !written) return written;
  std::error_code error;
  fs::rename(fresh, place.cluster, error);
  if (error) return unavailable("cannot rename " + fresh.string() + ": " + error.message());
  log::info("postgres.created", {{"cluster", place.cluster.string()}, {"account", account.name}});
  return {};
}

/// True if the folder is ours alone: no link that a stranger laid in /tmp, and no other cluster's.
bool usable_socket_dir(const fs::path& dir, const fs::path& cluster, const Account& account) {
  struct stat info {};
  if (lstat(dir.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return false;
  if (info.st_uid != account.uid || (info.st_mode & 0077) != 0) return false;
  pid_t holder = 0;
  std::ifstream(dir / ".s.PGSQL.5432.lock") >> holder;
  return !alive(holder) || is_postmaster(holder, cluster) || arguments_of(holder).empty() ||
         arguments_of(holder).front().find("postgres") == std::string::npos;
}

/// The folder of the socket: the one used before, made again if it is gone, else a new one. It is
/// short, because a socket's path ends at 107 bytes.
Result<void> prepare_socket_dir(Place& place, const Account& account) {
  if (!place.socket_dir.empty()) {
    // Fails if it is there already; whether it will do is looked at next.
    (void)make_private_dir(place.socket_dir, account);
    if (usable_socket_dir(place.socket_dir, place.cluster, account)) {
      // A lock file left by a killed postmaster may name a number that another process has now.
      discard(place.socket_dir / ".s.PGSQL.5432.lock");
      return {};
    }
  }
  place.socket_dir = "/tmp/madansara-" + random_base62(12);
  return make_private_dir(place.socket_dir, account);
}

/// A killed postmaster leaves its pid file. Postgres itself clears it, unless the number now
/// belongs to someone else; then we do, but only when no backend of the dead one works any more.
Result<void> clear_stale_pid_file(const fs::path& cluster) {
  const auto left = read_pid_file(cluster);
  const auto deadline = steady_clock::now() + orphan_patience;
  for (auto orphans = backends_in(cluster); !orphans.empty(); orphans = backends_in(cluster)) {
    // A server killed while it started this one has left us a living postmaster after all.
    if (is_postmaster(read_pid_file(cluster).pid, cluster)) return {};
    if (steady_clock::now() > deadline) {
      log::warn("postgres.orphans_killed", {{"count", orphans.size()}});
      for (const pid_t pid : orphans) kill(pid, SIGKILL);
    }
    std::this_thread::sleep_for(poll_every);
    if (steady_clock::now() > deadline + orphan_patience) {
      return unavailable("processes of an earlier Postgres still work in " + cluster.string());
    }
  }
  if (left.pid != 0 && kill(left.pid, 0) == 0) discard(cluster / "postmaster.pid");
  return {};
}

std::string last_line(const fs::path& path) {
  std::ifstream file(path);
  std::string out;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) out = line;
  }
  return out;
}

std::string ended(const fs::path& log_file) {
  return "Postgres ended while starting: " + last_line(log_file) + " (see " + log_file.string() +
         ")";
}

}  // namespace

struct PrivatePostgres::Impl {
  explicit Impl(fs::path dir) : data_dir(std::move(dir)), users(data_dir / "postgres.users") {}

  fs::path data_dir;
  FileLock users;  ///< held shared for as long as this object may use Postgres
  Place place;
  pid_t pid = 0;
  bool stopped = false;
  std::string connection;

  fs::path log_file() const { return data_dir / "postgres.log"; }

  /// Finds Postgres or starts it. The caller holds the lock.
  Result<void> bring_up();
  Result<bool> adopt();
  Result<void> launch();
  Result<void> wait_until_ready(pid_t expected, steady_clock::time_point deadline);
  Result<void> wait_until_gone(Millis patience) const;
  void use(const PidFile& running);
};

Result<void> PrivatePostgres::Impl::bring_up() {
  if (!is_there(place.cluster)) {
    const auto known = read_place(data_dir);
    auto account = choose_account(known ? known->cluster : data_dir / "postgres");
    if (!account) return fail(account.error());
    if (known) {
      place = *known;
    } else {
      auto chosen = choose_place(data_dir, *account);
      if (!chosen) return fail(chosen.error());
      place = *chosen;
      if (auto kept = write_place(data_dir, place); !kept) return kept;
    }
  }
  const auto adopted = adopt();
  if (!adopted) return fail(adopted.error());
  if (*adopted) return {};
  return launch();
}

/// returns: false if no postmaster runs, or if one was just stopping and is gone now
Result<bool> PrivatePostgres::Impl::adopt() {
  const auto running = read_pid_file(place.cluster);
  if (!is_postmaster(running.pid, place.cluster)) return false;
  const auto ready = wait_until_ready(running.pid, steady_clock::now() + start_patience);
  if (!ready && is_postmaster(running.pid, place.cluster)) return fail(ready.error());
  if (!ready) return false;
  log::info("postgres.adopted", {{"pid", pid}, {"cluster", place.cluster.string()}});
  return true;
}

Result<void> PrivatePostgres::Impl::launch() {
  const auto account = choose_account(place.cluster);
  if (!account) return fail(account.error());
  const auto programs = find_programs(place.cluster);
  if (!programs) return fail(programs.error());
  if (!is_there(place.cluster)) {
    if (auto made = make_cluster(place, *programs, *account); !made) return made;
  }
  if (auto cleared = clear_stale_pid_file(place.cluster); !cleared) return cleared;
  if (auto adopted = adopt(); !adopted || *adopted) return adopted.map([](bool) {});
  const auto socket_before = place.socket_dir;
  if (auto prepared = prepare_socket_dir(place, *account); !prepared) return prepared;
  if (place.socket_dir != socket_before) {
    if (auto kept = write_place(data_dir, place); !kept) return kept;
  }
  std::error_code missing;
  if (fs::file_size(log_file(), missing) > log_bytes_max && !missing) {
    fs::rename(log_file(), data_dir / "postgres.log.1", missing);
  }
  Command command{.argv = {*programs / "postgres", "-D", place.cluster},
                  .as = *account,
                  .log_file = log_file()};
  for (const auto* setting : settings) command.argv.insert(command.argv.end(), {"-c", setting});
  command.argv.insert(command.argv.end(),
                      {"-c", "unix_socket_directories=" + place.socket_dir.string()});
  const auto started = start(command);
  if (!started) return fail(started.error());
  const auto ready = wait_until_ready(*started, steady_clock::now() + start_patience);
  if (ready) {
    log::info("postgres.started", {{"pid", pid}, {"account", account->name}});
    return {};
  }
  // Perhaps it gave way to one that a killed server had started a moment before.
  const auto adopted = adopt();
  if (adopted && *adopted) return {};
  return ready;
}

Result<void> PrivatePostgres::Impl::wait_until_ready(pid_t expected,
                                                     steady_clock::time_point deadline) {
  for (;;) {
    const auto now = read_pid_file(place.cluster);
    if (now.pid == expected && now.ready && socket_answers(now.socket_dir)) {
      use(now);
      return {};
    }
    if (!alive(expected)) return unavailable(ended(log_file()));
    if (steady_clock::now() > deadline) {
      return unavailable("Postgres is not ready yet; see " + log_file().string());
    }
    std::this_thread::sleep_for(poll_every);
  }
}

Result<void> PrivatePostgres::Impl::wait_until_gone(Millis patience) const {
  const auto deadline = steady_clock::now() + patience;
  while (is_postmaster(pid, place.cluster)) {
    if (steady_clock::now() > deadline) return unavailable("Postgres is still stopping");
    std::this_thread::sleep_for(poll_every);
  }
  return {};
}

void PrivatePostgres::Impl::use(const PidFile& running) {
  pid = running.pid;
  place.socket_dir = running.socket_dir;
  connection = "host=" + place.socket_dir.string() +
               " port=5432 dbname=madansara user=madansara connect_timeout=5";
}

PrivatePostgres::PrivatePostgres(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PrivatePostgres::PrivatePostgres(PrivatePostgres&&) noexcept = default;
PrivatePostgres& PrivatePostgres::operator=(PrivatePostgres&&) noexcept = default;
PrivatePostgres::~PrivatePostgres() = default;

const std::string& PrivatePostgres::connection_string() const {
  return impl_->connection;
}
pid_t PrivatePostgres::pid() const {
  return impl_->pid;
}
const fs::path& PrivatePostgres::cluster() const {
  return impl_->place.cluster;
}

Result<PrivatePostgres> PrivatePostgres::ensure(const fs::path& data_dir) {
  std::error_code error;
  if (fs::create_directories(data_dir, error)) {
    // Postgres's own account must pass through on its way to the cluster, and see nothing else.
    chmod(data_dir.c_str(), geteuid() == 0 ? 0711 : 0700);
  }
  const auto dir = fs::canonical(data_dir, error);
  if (error) return unavailable("cannot use " + data_dir.string() + ": " + error.message());
  const FileLock lock(dir / "postgres.lock");
  if (!lock.lock(LOCK_EX)) return failed("cannot lock " + (dir / "postgres.lock").string());
  auto impl = std::make_unique<Impl>(dir);
  if (!impl->users.lock(LOCK_SH)) {
    return failed("cannot lock " + (dir / "postgres.users").string());
  }
  if (auto up = impl->bring_up(); !up) return fail(up.error());
  return PrivatePostgres(std::move(impl));
}

Result<bool> PrivatePostgres::watch() {
  auto& my = *impl_;
  if (my.stopped) return false;
  if (is_postmaster(my.pid, my.place.cluster) && socket_answers(my.place.socket_dir)) return false;
  const FileLock lock(my.data_dir / "postgres.lock");
  if (!lock.lock(LOCK_EX)) return failed("cannot lock " + my.data_dir.string());
  const pid_t before = my.pid;
  if (is_postmaster(before, my.place.cluster) && !socket_answers(my.place.socket_dir)) {
    // It lives, but someone swept its socket away: only a restart makes a new one.
    kill(before, SIGINT);
    if (auto gone = my.wait_until_gone(tool_patience); !gone) return fail(gone.error());
  }
  log::warn("postgres.died", {{"pid", before}});
  if (auto up = my.bring_up(); !up) return fail(up.error());
  return true;
}

Result<bool> PrivatePostgres::stop(Millis patience) {
  auto& my = *impl_;
  if (my.stopped) return true;
  const FileLock lock(my.data_dir / "postgres.lock");
  if (!lock.lock(LOCK_EX)) return failed("cannot lock " + my.data_dir.string());
  my.stopped = true;
  // Everybody who uses Postgres holds this lock shared, and takes it under the lock above.
  if (!my.users.lock(LOCK_EX | LOCK_NB)) {
    my.users.lock(LOCK_UN);
    return false;
  }
  my.users.lock(LOCK_UN);
  if (is_postmaster(my.pid, my.place.cluster)) kill(my.pid, SIGINT);
  if (auto gone = my.wait_until_gone(patience); !gone) return fail(gone.error());
  discard(my.place.socket_dir);
  log::info("postgres.stopped", {{"pid", my.pid}});
  return true;
}

}  // namespace sara::runtime
