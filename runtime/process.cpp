// fork and exec. Between the two only calls are made that are safe in a process with threads.
#include "runtime/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

namespace sara::runtime {
namespace {

constexpr int cannot_change_account = 126;
constexpr int cannot_exec = 127;

tl::unexpected<Error> failed(const std::string& what) {
  return fail(Errc::unavailable, what + ": " + std::strerror(errno));
}

/// A descriptor that closes itself.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (auto& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> clean_environment(const std::optional<Account>& account) {
  std::vector<std::string> out = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"};
  if (account) out.push_back("USER=" + account->name);
  return out;
}

/// The child's life between fork and exec: async-signal-safe calls only. Raw system calls change
/// the account, because glibc's wrappers would signal threads that the child does not have.
[[noreturn]] void become(char** argv, char** env, int in, int out, const Account* account) {
  setsid();
  for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  if (close_range(3, ~0U, 0) != 0) {
    for (int fd = 3; fd < 65536; ++fd) close(fd);
  }
  umask(077);
  if (chdir("/") != 0) _exit(cannot_exec);
  if (account != nullptr) {
    const gid_t groups[] = {account->gid};
    if (syscall(SYS_setgroups, 1, groups) != 0) _exit(cannot_change_account);
    if (syscall(SYS_setgid, account->gid) != 0) _exit(cannot_change_account);
    if (syscall(SYS_setuid, account->uid) != 0) _exit(cannot_change_account);
  }
  execve(argv[0], argv, env);
  _exit(cannot_exec);
}

/// A child whose standard descriptors are `in` and `out`, both above 2.
Result<pid_t> spawn(const Command& command, int in, int out) {
  auto argv_strings = command.argv;
  auto env_strings = clean_environment(command.as);
  auto argv = pointers(argv_strings);
  auto env = pointers(env_strings);
  const bool other = command.as && command.as->uid != geteuid();
  // Signals stay blocked across the fork, so that no handler of ours runs in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0) become(argv.data(), env.data(), in, out, other ? &*command.as : nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return failed("cannot start " + command.argv.front());
  return pid;
}

/// A file in memory, its descriptor above 2 even if our own stdin is closed.
int memory_file(const char* name) {
  File first(memfd_create(name, MFD_CLOEXEC));
  return first.get() < 0 ? -1 : fcntl(first.get(), F_DUPFD_CLOEXEC, 3);
}

std::string read_all(int fd) {
  std::string out;
  std::array<char, 4096> chunk;
  off_t at = 0;
  for (;;) {
    const auto n = pread(fd, chunk.data(), chunk.size(), at);
    if (n <= 0) return out;
    out.append(chunk.data(), static_cast<std::size_t>(n));
    at += n;
  }
}

Result<Account> to_account(const passwd* entry, const std::string& who) {
  if (entry == nullptr) return fail(Errc::not_found, "the system has no account " + who);
  return Account{entry->pw_uid, entry->pw_gid, entry->pw_name};
}

}  // namespace

Result<Account> account_named(const std::string& name) {
  std::array<char, 4096> buffer;
  passwd entry;
  passwd* found = nullptr;
  getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return to_account(found, name);
}

Result<Account> account_of(uid_t uid) {
  std::array<char, 4096> buffer;
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return to_account(found, "for user id " + std::to_string(uid));
}

Result<Finished> run(const Command& command, Millis patience) {
  const File in(memory_file("stdin"));
  const File out(memory_file("stdout"));
  if (in.get() < 0 || out.get() < 0) return failed("cannot make a file in memory");
  if (!command.input.empty()) {
    const auto size = command.input.size();
    if (pwrite(in.get(), command.input.data(), size, 0) != static_cast<ssize_t>(size)) {
      return failed("cannot write a program's input");
    }
  }
  const auto pid = spawn(command, in.get(), out.get());
  if (!pid) return fail(pid.error());
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    int status = 0;
    const pid_t done = waitpid(*pid, &status, WNOHANG);
    if (done == *pid) {
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return Finished{code, read_all(out.get())};
    }
    if (done < 0 && errno != EINTR) return failed("cannot wait for " + command.argv.front());
    if (std::chrono::steady_clock::now() > deadline) {
      kill(*pid, SIGKILL);
      waitpid(*pid, &status, 0);
      return fail(Errc::unavailable, command.argv.front() + " did not end in time");
    }
    std::this_thread::sleep_for(Millis{5});
  }
}

Result<pid_t> start(const Command& command) {
  const File null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const File log(open(command.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (null.get() < 0 || log.get() < 0) return failed("cannot open " + command.log_file.string());
  // Kept above 2, so that dup2 in the child never meets its own source.
  const File in(fcntl(null.get(), F_DUPFD_CLOEXEC, 3));
  const File out(fcntl(log.get(), F_DUPFD_CLOEXEC, 3));
  return spawn(command, in.get(), out.get());
}

bool alive(pid_t pid) {
  if (pid <= 0) return false;
  waitpid(pid, nullptr, WNOHANG);
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(stat, line)) return false;
  // "pid (name) state": the name may hold anything, so look after its last parenthesis.
  const auto end = line.rfind(')');
  return end != std::string::npos && end + 2 < line.size() && line[end + 2] != 'Z' &&
         line[end + 2] != 'X';
}

std::vector<std::string> arguments_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
  std::vector<std::string> out;
  for (std::string argument; std::getline(file, argument, '\0');) out.push_back(argument);
  return out;
}

}  // namespace sara::runtime
