#include "bench/support/measure.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sara::bench {
namespace {

/// Fields 4 and on of /proc/<pid>/stat: parent is 0; utime, stime, cutime, cstime are 10 to 13.
std::vector<double> stat_fields(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  auto behind_name = text.rfind(')');
  if (behind_name == std::string::npos) return {};
  std::istringstream rest(text.substr(behind_name + 2));
  std::string field;
  rest >> field;  // The state.
  std::vector<double> fields;
  while (fields.size() < 14 && rest >> field) fields.push_back(std::atof(field.c_str()));
  return fields.size() == 14 ? fields : std::vector<double>{};
}

double in_seconds(double ticks) { return ticks / static_cast<double>(sysconf(_SC_CLK_TCK)); }

/// Nanoseconds on a processor, over all threads: finer than the ticks of stat.
double scheduled_seconds(pid_t pid) {
  double sum = 0;
  std::error_code gone;
  auto tasks = "/proc/" + std::to_string(pid) + "/task";
  for (auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    std::ifstream file(task.path() / "schedstat");
    double ns = 0;
    if (file >> ns) sum += ns / 1e9;
  }
  return sum;
}

}  // namespace

double cpu_seconds(pid_t pid) {
  auto fields = stat_fields(pid);
  if (fields.empty()) return 0;
  // schedstat forgets threads that have ended; ticks do not.
  return std::max(in_seconds(fields[10] + fields[11]), scheduled_seconds(pid));
}

double postgres_cpu_seconds(pid_t postmaster) {
  auto own = stat_fields(postmaster);
  if (own.empty()) return 0;
  double sum = in_seconds(own[10] + own[11] + own[12] + own[13]);
  for (auto& entry : std::filesystem::directory_iterator("/proc")) {
    auto pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (pid <= 0) continue;
    auto fields = stat_fields(pid);
    if (!fields.empty() && static_cast<pid_t>(fields[0]) == postmaster) sum += cpu_seconds(pid);
  }
  return sum;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  auto at = static_cast<std::size_t>(
      std::ceil(share * static_cast<double>(values.size())));
  at = std::min(values.size() - 1, at == 0 ? 0 : at - 1);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* value = std::getenv(name);
  return value ? static_cast<std::size_t>(std::atoll(value)) : otherwise;
}

Line::Line(std::string_view bench) : text_("{\"bench\":\"" + std::string(bench) + "\"") {}

Line& Line::add(std::string_view name, double value, int digits) {
  char number[64];
  std::snprintf(number, sizeof number, "%.*f", digits, value);
  text_ += ",\"" + std::string(name) + "\":" + (std::isfinite(value) ? number : "null");
  return *this;
}

Line& Line::add(std::string_view name, std::string_view text) {
  text_ += ",\"" + std::string(name) + "\":\"" + std::string(text) + "\"";
  return *this;
}

void Line::print() {
  std::printf("%s}\n", text_.c_str());
  std::fflush(stdout);
}

}  // namespace sara::bench
