// A fuzz target: one function that attacks one reader with bytes and demands what must hold
// whatever they are. Under clang each target is a libFuzzer program of its own (fuzzer.cpp); the
// ordinary build replays the inputs of corpus/ against all of them (replay.cpp).
#pragma once

#include <stdexcept>
#include <string_view>
#include <vector>

namespace sara::fuzz {

/// What must hold does not. libFuzzer takes it for a crash, the replay for a failure.
struct Broken : std::logic_error {
  using std::logic_error::logic_error;
};

inline void demand(bool holds, const char* what) {
  if (!holds) throw Broken(what);
}

struct Target {
  std::string_view name;  ///< of the file, its corpus and its dictionary
  void (*attack)(std::string_view bytes);
};

/// All targets that are linked into this program.
inline std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

inline bool add_target(std::string_view name, void (*attack)(std::string_view bytes)) {
  targets().push_back({name, attack});
  return true;
}

}  // namespace sara::fuzz
