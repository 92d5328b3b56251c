// Misfortunes of a private Postgres.
#include "tests/support/cluster.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <utility>

namespace sara::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool works_in(pid_t pid, const std::string& dir) {
  std::error_code error;
  auto home = fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", error);
  return pid > 1 && !error && !dir.empty() && home.string() == dir;
}

std::vector<pid_t> processes_in(const std::string& dir) {
  std::vector<pid_t> found;
  std::error_code error;
  for (auto& entry : fs::directory_iterator("/proc", error)) {
    auto name = entry.path().filename().string();
    pid_t pid = 0;
    auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad == std::errc{} && end == name.data() + name.size() && works_in(pid, dir))
      found.push_back(pid);
  }
  return found;
}

/// The words of postmaster.opts: quoted, without anything to escape inside.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      if (!word.empty()) words.push_back(std::exchange(word, {}));
    } else {
      word += c;
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

std::string program(const std::string& name) { return "/usr/lib/postgresql/15/bin/" + name; }

}  // namespace

Cluster::Cluster(const std::string& data_dir) {
  for (auto& line : lines_of(data_dir + "/postgres.place"))
    if (line.starts_with("cluster=")) dir_ = (fs::path(data_dir) / line.substr(8)).string();
  if (dir_.empty()) return;
  auto lines = lines_of(dir_ + "/postmaster.pid");
  if (lines.size() < 5) return;
  pid_ = static_cast<pid_t>(std::strtol(lines[0].c_str(), nullptr, 10));
  socket_dir_ = lines[4];
}

bool Cluster::runs() const { return works_in(pid_, dir_); }

void Cluster::end(int signal) {
  if (runs()) end_process(pid_, signal, 20s);
}

/// Postgres refuses to run as root; the cluster's owner runs it.
std::vector<std::string> Cluster::as_owner(std::vector<std::string> command) const {
  struct stat info {};
  if (geteuid() != 0 || stat(dir_.c_str(), &info) != 0 || info.st_uid == 0) return command;
  std::vector<std::string> words{"/usr/bin/setpriv", "--reuid=" + std::to_string(info.st_uid),
                                 "--regid=" + std::to_string(info.st_gid), "--clear-groups"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

void Cluster::restart_immediately() {
  auto done = run(as_owner({program("pg_ctl"), "restart", "-D", dir_, "-m", "immediate", "-w",
                            "-l", dir_ + "/restart.log"}));
  if (done.status != 0) throw std::runtime_error("pg_ctl: " + done.output + done.errors);
}

std::unique_ptr<Process> Cluster::start(const Environment& more) {
  auto options = lines_of(dir_ + "/postmaster.opts");
  if (options.empty()) throw std::runtime_error("the cluster has never run");
  return std::make_unique<Process>(as_owner(words_of(options[0])), more, dir_ + ".log");
}

void Cluster::freeze() {
  if (!runs()) return;
  // The postmaster first: it makes no new children then.
  kill(pid_, SIGSTOP);
  frozen_ = processes_in(dir_);
  for (auto pid : frozen_) kill(pid, SIGSTOP);
}

void Cluster::thaw() {
  for (auto pid : frozen_)
    if (works_in(pid, dir_)) kill(pid, SIGCONT);
  frozen_.clear();
}

std::string Cluster::sql(const std::string& statement, const std::string& database) const {
  auto done = run({program("psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                   "-h", socket_dir_, "-p", "5432", "-U", "postgres", "-d", database, "-c",
                   statement});
  if (done.status != 0) throw std::runtime_error("psql: " + done.output + done.errors);
  return done.output;
}

std::string Cluster::url(const std::string& database) const {
  if (socket_dir_.empty()) return {};
  return "postgresql://madansara@/" + database + "?host=" + socket_dir_ + "&port=5432";
}

}  // namespace sara::test
