// The configuration: one struct a section, read from defaults, then the file, then the
// environment, then flags; the later wins. config.cpp holds the one table of all keys.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace sara::runtime {

struct ServerConfig {
  std::string bind = "127.0.0.1";
  int port = 8002;
  int io_threads = 1;
  std::string public_base_url;
  std::string data_dir = "./var";
  std::string environment = "development";
  std::chrono::seconds drain_s{10};
};

struct LimitsConfig {
  std::size_t connections_max = 12000;
  std::size_t connections_per_ip_max = 256;
  std::chrono::seconds header_timeout_s{10};
  std::chrono::seconds body_timeout_s{30};
  std::chrono::seconds body_rate_grace_s{5};
  std::size_t body_bytes_per_s_min = 1024;
  std::chrono::seconds keep_alive_s{60};
  std::chrono::seconds write_stall_s{20};
  std::size_t body_bytes_max = 1u << 20;
  std::size_t webhook_bytes_max = 4u << 20;
  std::size_t inbound_parse_bytes_max = 32u << 20;
  std::size_t bodies_in_flight_bytes_max = 128u << 20;
  std::size_t requests_per_connection_max = 10000;
  std::size_t requests_per_minute_max = 1200;
  std::size_t stranger_requests_per_15_min_max = 100;
  std::size_t stranger_quota_on_loopback = 0;
  std::size_t webhooks_per_minute_max = 1'200'000;
  std::size_t in_flight_per_tenant_max = 512;
  std::size_t in_flight_shared_max = 32;
  std::size_t in_flight_max = 4096;
  std::size_t reads_in_flight_max = 64;
  Millis admission_wait_ms{500};
  Millis loop_lag_ms_max{1000};
  std::size_t memory_bytes_max = 512u << 20;
};

struct LiveConfig {
  std::chrono::seconds ping_s{20};
  std::chrono::seconds pong_timeout_s{60};
  std::size_t queue_bytes_max = 256u << 10;
  std::size_t queue_events_max = 512;
  std::size_t held_bytes_max = 64u << 20;
  std::chrono::seconds mark_s{10};
  std::chrono::seconds resync_patience_s{10};
  std::size_t replay_events_max = 100000;
  std::size_t ring_events_max = 1024;
  std::size_t commands_per_s_max = 20;
  std::size_t message_bytes_max = 64u << 10;
  std::size_t sockets_per_tenant_max = 10000;
};

struct DatabaseConfig {
  std::string url;
  int writers = 1;
  int readers = 3;
  std::size_t group_max = 256;
  Millis commit_deadline_ms{1000};
  Millis read_deadline_ms{5000};
};

struct ActorsConfig {
  int threads = 2;
  std::size_t throughput = 100;
  Millis conversation_idle_ms{60000};
  Millis conversation_rest_ms{5000};
  Millis tenant_idle_ms{300000};
  std::size_t conversation_queue_max = 64;
};

struct LogConfig {
  std::string level = "info";
};

/// What the operator gives for every tenant; an integration's own value wins.
struct ProvidersConfig {
  std::string twilio_base_url;
  std::string sendgrid_base_url;
  std::string meta_base_url;
  std::string anthropic_base_url;
  std::string openai_base_url;
  std::string gemini_base_url;
  std::string xai_base_url;
  std::string cerebras_base_url;
  std::string hubspot_base_url;
  std::string engarde_base_url;
  std::string engarde_api_key;
  std::string anthropic_api_key;
  std::string sendgrid_api_key;
  std::string cerebras_api_key;
  std::string meta_access_token;
  std::string meta_page_access_token;
  std::string meta_instagram_account_id;
};

struct Config {
  ServerConfig server;
  LimitsConfig limits;
  LiveConfig live;
  DatabaseConfig database;
  ActorsConfig actors;
  LogConfig log;
  ProvidersConfig providers;
};

using Environment = std::map<std::string, std::string>;

/// Where values come from, lowest rank first.
struct ConfigSources {
  std::optional<std::filesystem::path> file;  ///< TOML
  Environment environment;
  /// ("server.port", "8002") for --port 8002, and so on.
  std::vector<std::pair<std::string, std::string>> flags;
};

struct LoadedConfig {
  Config config;
  /// Where each value came from that is no default: "server.port" -> "PORT" or "a.toml:3".
  std::map<std::string, std::string> origins;
  /// Plain sentences for the operator: what was ignored, and why.
  std::vector<std::string> notices;
};

/// errors: invalid_argument - one line for each wrong key or value, with its file and line or its
///                            environment variable or flag
///         not_found        - the file does not exist
Result<LoadedConfig> load_config(const ConfigSources& sources);

/// Every key with its value, origin, range and meaning, a line each; secrets are not shown. What
/// `madansara check-config` prints.
std::string describe(const LoadedConfig& loaded);

/// This process's environment.
Environment process_environment();

}  // namespace sara::runtime
