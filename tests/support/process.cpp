// Child processes for tests, by posix_spawn and pidfd: waiting is a poll, never a sleep.
#include "tests/support/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace sara::test {
namespace {

int open_pid(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

int until(Deadline deadline) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::clamp<long long>(left.count(), 0, 3'600'000));
}

/// True once the process behind the descriptor has ended.
bool ended(int pid_fd, Deadline deadline) {
  pollfd entry{pid_fd, POLLIN, 0};
  for (;;) {
    int n = poll(&entry, 1, until(deadline));
    if (n > 0) return true;
    if (n == 0 && Clock::now() >= deadline) return false;
  }
}

/// The server's own settings never come from the tester's shell.
bool ours(const std::string& name) {
  return name == "DATABASE_URL" || name == "PORT" || name == "PUBLIC_BASE_URL" ||
         name == "ENVIRONMENT" || name.starts_with("MADANSARA_");
}

std::vector<std::string> merged(const Environment& more) {
  Environment all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    auto equal = text.find('=');
    if (equal == std::string::npos || ours(text.substr(0, equal))) continue;
    all[text.substr(0, equal)] = text.substr(equal + 1);
  }
  for (auto& [name, value] : more) all[name] = value;
  std::vector<std::string> lines;
  for (auto& [name, value] : all) lines.push_back(name + "=" + value);
  return lines;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (auto& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

struct Plan {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  Plan() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  }
  ~Plan() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  pid_t start(const std::vector<std::string>& command, const Environment& more) {
    auto words = command;
    auto lines = merged(more);
    pid_t pid = -1;
    int error = posix_spawn(&pid, words.at(0).c_str(), &files, &attributes, pointers(words).data(),
                            pointers(lines).data());
    if (error != 0) throw std::runtime_error("cannot start " + words[0]);
    return pid;
  }
};

}  // namespace

std::int64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::chrono::milliseconds patient(std::chrono::milliseconds time) {
  static const char* const factor = std::getenv("SARA_PATIENCE");
  static const int times = factor == nullptr ? 1 : std::clamp(std::atoi(factor), 1, 100);
  return time * times;
}

TempDir::TempDir() {
  auto pattern = (std::filesystem::temp_directory_path() / "sara-e2e-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = pattern;
  chmod(path_.c_str(), 0755);  // Postgres runs as another user when we are root.
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Process::Process(const std::vector<std::string>& command, const Environment& more,
                 const std::string& output_file) {
  Plan plan;
  posix_spawn_file_actions_addopen(&plan.files, 1, output_file.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&plan.files, 1, 2);
  pid_ = plan.start(command, more);
  pid_fd_ = open_pid(pid_);
}

Process::~Process() {
  if (running()) {
    signal(SIGKILL);
    wait(within(std::chrono::seconds(10)));
  }
  if (pid_fd_ >= 0) close(pid_fd_);
}

void Process::signal(int number) {
  if (status_ < 0) kill(pid_, number);
}

bool Process::running() {
  return wait(Clock::now()) < 0;
}

int Process::wait(Deadline deadline) {
  if (status_ >= 0) return status_;
  if (!ended(pid_fd_, deadline)) return -1;
  int raw = 0;
  while (waitpid(pid_, &raw, 0) < 0 && errno == EINTR) continue;
  status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  return status_;
}

Outcome run(const std::vector<std::string>& command, const Environment& more,
            std::chrono::milliseconds at_most) {
  TempDir place;
  auto out = place.path() + "/out";
  auto errors = place.path() + "/err";
  Plan plan;
  posix_spawn_file_actions_addopen(&plan.files, 1, out.c_str(), O_WRONLY | O_CREAT, 0644);
  posix_spawn_file_actions_addopen(&plan.files, 2, errors.c_str(), O_WRONLY | O_CREAT, 0644);
  pid_t pid = plan.start(command, more);
  int pid_fd = open_pid(pid);
  bool in_time = ended(pid_fd, within(at_most));
  if (!in_time) kill(-pid, SIGKILL);
  int raw = 0;
  while (waitpid(pid, &raw, 0) < 0 && errno == EINTR) continue;
  close(pid_fd);
  int status = !in_time ? -1 : WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  return {status, read_file(out), read_file(errors)};
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string sanitizer_report(const std::string& output) {
  auto first = output.size();
  for (const char* sign : {"Sanitizer: ", ": runtime error: "})
    first = std::min(first, output.find(sign));
  if (first == output.size()) return {};
  const auto line = output.rfind('\n', first);
  return output.substr(line == std::string::npos ? 0 : line + 1);
}

bool end_process(pid_t pid, int first_signal, std::chrono::milliseconds patience) {
  int pid_fd = open_pid(pid);
  if (pid_fd < 0) return errno == ESRCH;
  kill(pid, first_signal);
  bool gone = ended(pid_fd, within(patience));
  if (!gone) {
    kill(pid, SIGKILL);
    gone = ended(pid_fd, within(patience));
  }
  close(pid_fd);
  return gone;
}

}  // namespace sara::test
