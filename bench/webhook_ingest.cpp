// Acknowledged webhooks per second: signed Twilio messages over 256 loopback connections, each
// answered after its commit, every status checked, stored rows counted against the acknowledged.
// Prints one JSON line. There is no reference yet to hold it against: budgets.md says what is due.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/server.hpp"

namespace {

using namespace sara::test;

/// Seconds of CPU that a process has used.
double cpu_seconds(const std::filesystem::path& proc) {
  std::ifstream file(proc / "stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  auto behind_name = text.rfind(')');
  if (behind_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(behind_name + 2));
  std::string field;
  double ticks = 0;
  // After the name: state is field 3; utime and stime are 14 and 15.
  for (int i = 3; i <= 15 && fields >> field; ++i)
    if (i >= 14) ticks += std::atof(field.c_str());
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// The same over every Postgres process of this machine.
double postgres_cpu_seconds() {
  double sum = 0;
  for (auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream name(entry.path() / "comm");
    std::string comm;
    if (std::getline(name, comm) && comm == "postgres") sum += cpu_seconds(entry.path());
  }
  return sum;
}

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* value = std::getenv(name);
  return value ? static_cast<std::size_t>(std::atol(value)) : otherwise;
}

}  // namespace

int main() {
  const std::size_t messages = from_environment("SARA_BENCH_MESSAGES", 40'000);
  const std::size_t contacts = from_environment("SARA_BENCH_CONTACTS", 2'000);
  Server server(Environment{{"MADANSARA_LIMITS_IN_FLIGHT_PER_TENANT_MAX", "4096"}});
  auto tenant = server.make_tenant("bench");
  HttpClient api(server.port(), tenant.api_key);
  Twilio twilio(api);
  auto run = unique();
  auto prepared = [&](std::size_t count, const std::string& prefix) {
    std::vector<Ask> asks;
    asks.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
      asks.push_back(twilio.message("SM" + prefix + run + std::to_string(i),
                                    "+1555" + std::to_string(1'000'000 + i % contacts),
                                    "Good morning, is the blue one still there? " +
                                        std::to_string(i)));
    return asks;
  };
  Load load;
  load.port = server.port();
  load.connections = 256;
  auto warm = prepared(contacts, "warm");
  send_all(load, warm);
  auto asks = prepared(messages, "main");
  double server_before = cpu_seconds("/proc/" + std::to_string(server.pid()));
  double postgres_before = postgres_cpu_seconds();
  auto begin = std::chrono::steady_clock::now();
  auto statuses = send_all(load, asks);
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  double server_cpu = cpu_seconds("/proc/" + std::to_string(server.pid())) - server_before;
  double postgres_cpu = postgres_cpu_seconds() - postgres_before;
  auto accepted = static_cast<double>(std::count(statuses.begin(), statuses.end(), 200));
  std::printf(
      "{\"bench\":\"webhook_ingest\",\"messages\":%zu,\"accepted\":%.0f,\"per_second\":%.0f,"
      "\"server_us_per_message\":%.1f,\"postgres_us_per_message\":%.1f}\n",
      messages, accepted, accepted / seconds, server_cpu / accepted * 1e6,
      postgres_cpu / accepted * 1e6);
  return accepted == static_cast<double>(messages) ? 0 : 1;
}
