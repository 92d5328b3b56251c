// Other programs: run one to its end, or start one that outlives us. No shell is ever involved.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace sara::runtime {

/// An account of the operating system.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
};

/// errors: not_found - the system has no such account
Result<Account> account_named(const std::string& name);
Result<Account> account_of(uid_t uid);

/// A program to run. It starts in "/", with a small clean environment, default signals and no
/// open files of ours, so it inherits neither our secrets nor our listening socket.
struct Command {
  std::vector<std::string> argv;        ///< argv[0] is the program's full path
  std::optional<Account> as = {};       ///< whom it runs as; only root may name another account
  std::string input = {};               ///< what it reads on stdin
  std::filesystem::path log_file = {};  ///< where start() appends its output
};

struct Finished {
  int status = 0;      ///< exit status; 128 + N if signal N ended it
  std::string output;  ///< stdout and stderr together
};

/// Runs a program and waits for its end; kills it when `patience` is over.
/// errors: unavailable - it could not be started, or did not end in time
Result<Finished> run(const Command& command, Millis patience);
/// Starts a program in a session of its own and returns its process id at once.
/// errors: unavailable - it could not be started
Result<pid_t> start(const Command& command);

/// True if the process exists and is no zombie. A dead child of ours is reaped on the way.
bool alive(pid_t pid);
/// The arguments of a running process; empty if there is none.
std::vector<std::string> arguments_of(pid_t pid);

}  // namespace sara::runtime
