// Crash points that obey the environment; linked into madansara_faults, the server under test.
//   FAULT_POINT=label      the process ends by _exit(137) where the label stands
//   FAULT_POINT=label:N    ... the N-th time that it comes there
//   FAULT_PAUSE=label:N    the process stops itself there (SIGSTOP), until somebody sends SIGCONT
// Both say so on standard error first: 137 is also what a shell makes of kill -9.
#include "base/fault.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace sara::fault {
namespace {

struct Armed {
  explicit Armed(const char* variable) {
    const char* value = std::getenv(variable);
    if (value == nullptr) return;
    label = value;
    auto colon = label.rfind(':');
    if (colon == std::string::npos) return;
    left = std::atoi(label.c_str() + colon + 1);
    label.resize(colon);
  }
  /// True once: when the place is reached for the time that was asked for.
  bool is_due(const char* here) { return !label.empty() && label == here && --left == 0; }

  std::string label;
  std::atomic<int> left{1};
};

void tell(const char* what, const char* label) {
  std::fprintf(stderr, "fault: %s at %s\n", what, label);
  std::fflush(stderr);
}

}  // namespace

void point(const char* label) {
  static Armed death("FAULT_POINT");
  static Armed pause("FAULT_PAUSE");
  if (death.is_due(label)) {
    tell("died", label);
    _exit(137);
  }
  if (pause.is_due(label)) {
    tell("paused", label);
    kill(getpid(), SIGSTOP);
  }
}

}  // namespace sara::fault
