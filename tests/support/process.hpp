// Child processes for tests: start one, read what it prints, end it. Nothing here outlives the
// test.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sara::test {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

/// The time, as much longer as $SARA_PATIENCE says: a sanitizer slows everything down, and no test
/// is to mind.
std::chrono::milliseconds patient(std::chrono::milliseconds time);

/// False under a sanitizer, which keeps what was freed and much beside: what the server occupies is
/// then not the server's doing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool memory_is_ours = false;
#else
constexpr bool memory_is_ours = true;
#endif

/// Bytes of a process that lie in memory; 0 if it is gone.
std::int64_t resident_bytes(pid_t pid);

inline Deadline within(std::chrono::milliseconds time) {
  return Clock::now() + patient(time);
}

using Environment = std::map<std::string, std::string>;

/// A directory of its own under the system's temporary folder, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// One child in a process group of its own; what it prints goes into a file.
class Process {
 public:
  /// Throws if it cannot be started. `more` is added to our own environment.
  Process(const std::vector<std::string>& command, const Environment& more,
          const std::string& output_file);
  /// Kills what still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number);
  bool running();
  /// The exit status as a shell shows it (128 + signal), or -1 if it still runs at the deadline.
  int wait(Deadline deadline);
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int pid_fd_ = -1;
  int status_ = -1;
};

struct Outcome {
  int status = -1;     ///< -1: it had to be killed at the deadline
  std::string output;  ///< standard output
  std::string errors;  ///< standard error
};

/// Runs a command to its end.
Outcome run(const std::vector<std::string>& command, const Environment& more = {},
            std::chrono::milliseconds at_most = std::chrono::minutes(2));

std::string read_file(const std::string& path);

/// What a sanitizer has complained of in a program's output, from its first line on; "" if nothing.
std::string sanitizer_report(const std::string& output);

/// Ends a process we have started through another one (the private Postgres), by its number: asks,
/// waits, insists. Returns false if it is still there.
bool end_process(pid_t pid, int first_signal, std::chrono::milliseconds patience);

}  // namespace sara::test
