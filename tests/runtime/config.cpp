// The configuration: ranks of its sources, and what is said about wrong ones.
#include "runtime/config.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace sara;
using namespace sara::runtime;
using namespace std::chrono_literals;

namespace {

/// A configuration file that removes itself.
struct File {
  std::filesystem::path path;
  explicit File(const std::string& content) {
    std::string made = (std::filesystem::temp_directory_path() / "sara-config-XXXXXX").string();
    path = mkdtemp(made.data());
    path /= "a.toml";
    std::ofstream(path) << content;
  }
  ~File() { std::filesystem::remove_all(path.parent_path()); }
};

Config loaded(const ConfigSources& sources) {
  auto result = load_config(sources);
  if (!result) FAIL(result.error().detail);
  return result->config;
}

/// The complaint about a file, without the path of its folder.
std::string complaint(const std::string& content) {
  const File file(content);
  const auto result = load_config({.file = file.path, .environment = {}, .flags = {}});
  if (result) return "accepted";
  auto text = result.error().detail;
  const auto folder = file.path.parent_path().string() + "/";
  for (auto at = text.find(folder); at != text.npos; at = text.find(folder)) {
    text.erase(at, folder.size());
  }
  return text;
}

std::string environment_complaint(const Environment& environment) {
  const auto result = load_config({.file = {}, .environment = environment, .flags = {}});
  return result ? "accepted" : result.error().detail;
}

}  // namespace

TEST_CASE("config: nothing given means the defaults") {
  const auto config = loaded({});
  CHECK(config.server.port == 8002);
  CHECK(config.limits.inbound_parse_bytes_max == 33554432);
  CHECK(config.actors.tenant_idle_ms == 5min);
}

TEST_CASE("config: flag beats environment beats file beats default") {
  const File file(
      "[server]\nport = 1\ndrain_s = 1\nio_threads = 3\n[actors]\n"
      "conversation_idle_ms = 1\n");
  const auto config = loaded({.file = file.path,
                              .environment = {{"MADANSARA_SERVER_PORT", "2"},
                                              {"PORT", "7"},
                                              {"API_PORT", "8"},
                                              {"MADANSARA_SERVER_DRAIN_S", "2"}},
                              .flags = {{"server.port", "3"}}});
  CHECK(config.server.port == 3);
  CHECK(config.server.drain_s == 2s);
  CHECK(config.server.io_threads == 3);
  CHECK(config.actors.conversation_idle_ms == 1ms);
}

TEST_CASE("config: familiar names work, our own win") {
  CHECK(loaded({.file = {}, .environment = {{"API_PORT", "1"}}, .flags = {}}).server.port == 1);
  const auto config = loaded({.file = {},
                              .environment = {{"API_PORT", "1"},
                                              {"PORT", "2"},
                                              {"APP_ENV", "test"},
                                              {"PUBLIC_BASE_URL", "https://a.example/"},
                                              {"TWILIO_BASE_URL", "http://127.0.0.1:1"},
                                              {"META_ACCESS_TOKEN", "t"}},
                              .flags = {}});
  CHECK(config.server.port == 2);
  CHECK(config.server.environment == "test");
  CHECK(config.server.public_base_url == "https://a.example");
  CHECK(config.providers.twilio_base_url == "http://127.0.0.1:1");
  CHECK(config.providers.meta_access_token == "t");
}

TEST_CASE("config: a wrong file is told by file, line and key") {
  CHECK(complaint("[server]\nprot = 1\n") ==
        "a.toml:2: unknown key prot in [server]; did you mean port?");
  CHECK(complaint("[sever]\n") == "a.toml:1: unknown section [sever]; did you mean server?");
  CHECK(complaint("port = 1\n") == "a.toml:1: key port stands in no section");
  CHECK(complaint("[server]\nport = \"1\"\n") == "a.toml:2: server.port must be a whole number");
  CHECK(complaint("[server]\nport = 1.5\n") == "a.toml:2: server.port must be a whole number");
  CHECK(complaint("[server]\nbind = 1\n") ==
        "a.toml:2: server.bind must be text in quotation marks");
  CHECK(complaint("[server]\n\nport = 65536\n") ==
        "a.toml:3: server.port must be 0 to 65535, not 65536");
  CHECK(complaint("[actors]\nconversation_idle_ms = 0\n") ==
        "a.toml:2: actors.conversation_idle_ms must be 1 to 86400000 milliseconds, not 0");
  CHECK(complaint("[log]\nlevel = \"loud\"\n") ==
        "a.toml:2: log.level must be one of debug|info|warn|error, not \"loud\"");
  CHECK(complaint("[server\n").starts_with("a.toml:1: "));
  CHECK(complaint("[server]\nport = 1\nport = 2\n").starts_with("a.toml:3: "));
  CHECK(complaint("[limits]\nin_flight_max = 0\n[live]\nping_s = 0\n").find('\n') !=
        std::string::npos);
  const auto missing = load_config({.file = "/nowhere/a.toml", .environment = {}, .flags = {}});
  CHECK(missing.error().code == Errc::not_found);
}

TEST_CASE("config: a wrong variable is told by its name") {
  CHECK(environment_complaint({{"PORT", "http"}}) ==
        "PORT: server.port must be a whole number, not \"http\"");
  CHECK(environment_complaint({{"MADANSARA_SERVER_PORTT", "1"}}) ==
        "MADANSARA_SERVER_PORTT: unknown key; did you mean MADANSARA_SERVER_PORT?");
  CHECK(environment_complaint({{"PUBLIC_BASE_URL", "example.org"}}) ==
        "PUBLIC_BASE_URL: server.public_base_url must start with http:// or https://");
  CHECK(environment_complaint({{"MADANSARA_SECRET_KEY", "x"}, {"PORT", ""}}) == "accepted");
}

TEST_CASE("config: only Postgres will do") {
  const auto url = [](const std::string& given) {
    auto result = load_config({.file = {}, .environment = {{"DATABASE_URL", given}}, .flags = {}});
    return result ? result->config.database.url : "refused: " + result.error().detail;
  };
  CHECK(url("postgresql://u:p@h:5432/d") == "postgresql://u:p@h:5432/d");
  CHECK(url("postgres://h/d") == "postgres://h/d");
  CHECK(url("postgresql+asyncpg://h/d") == "postgresql://h/d");
  CHECK(url("host=/tmp dbname=d") == "host=/tmp dbname=d");
  for (const auto* wrong : {"sqlite:///./app.db", "mysql://u:secret@h/d", "app.db"}) {
    CHECK(url(wrong).starts_with("refused: DATABASE_URL: database.url must be a postgresql://"));
    CHECK(url(wrong).find("secret") == std::string::npos);
  }
}

TEST_CASE("config: what is ignored is said") {
  const auto result = load_config(
      {.file = {},
       .environment = {{"REDIS_URL", "r"}, {"PLAYWRIGHT_HEADLESS", "1"}, {"MADANSARA_X", "1"}},
       .flags = {}});
  REQUIRE(result);
  REQUIRE(result->notices.size() == 3);
  CHECK(result->notices[0].starts_with("REDIS_URL is ignored"));
}

TEST_CASE("config: the description names every key with its origin, and no secret") {
  const auto result = load_config({.file = {},
                                   .environment = {{"PORT", "9"},
                                                   {"SENDGRID_API_KEY", "hush"},
                                                   {"DATABASE_URL", "postgres://u:hush@h/d"}},
                                   .flags = {}});
  REQUIRE(result);
  const auto text = describe(*result);
  CHECK(text.find("[actors]") != std::string::npos);
  CHECK(
      text.find("port = 9  # port to listen on; 0 picks one (from PORT, default 8002; 0..65535)") !=
      std::string::npos);
  CHECK(text.find("hush") == std::string::npos);
}
