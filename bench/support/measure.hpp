// What benchmarks measure with: processor time and memory of processes, medians, the JSON line.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sara::bench {

/// Processor seconds that a process has used, in user and kernel mode, its ended children's left
/// out. 0 if it is gone.
double cpu_seconds(pid_t pid);
/// The same of a Postgres: of its postmaster, of all children alive and of those that have ended.
double postgres_cpu_seconds(pid_t postmaster);

double seconds_since(std::chrono::steady_clock::time_point begin);

/// The value in the middle, of a copy. 0 for an empty list.
double median(std::vector<double> values);
/// share: 0.99 for p99
double percentile(std::vector<double> values, double share);

/// A number from the environment, or the default: how large a benchmark is.
std::size_t from_environment(const char* name, std::size_t otherwise);

/// One line of JSON: Line("live_feed").add("ratio", 1.2).print().
class Line {
 public:
  explicit Line(std::string_view bench);
  Line& add(std::string_view name, double value, int digits = 2);
  Line& add(std::string_view name, std::string_view text);
  void print();

 private:
  std::string text_;
};

}  // namespace sara::bench
