// The command line: exit codes, machine-readable output, and configuration that is refused early.
#include <doctest/doctest.h>

#include "base/id.hpp"
#include "tests/support/inbox.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/server.hpp"

using namespace sara;
using namespace sara::test;

namespace {

Outcome madansara(std::vector<std::string> words, const Environment& environment = {}) {
  words.insert(words.begin(), server_binary());
  return run(words, environment);
}

}  // namespace

TEST_CASE("command: --help on every command, 0; wrong usage, 2") {
  CHECK(madansara({"--help"}).status == 0);
  for (std::string command : {"serve", "tenant", "migrate", "check-config", "verify", "demo"}) {
    CAPTURE(command);
    auto outcome = madansara({command, "--help"});
    CHECK(outcome.status == 0);
    CHECK(outcome.output.size() > 50);
  }
  for (std::vector<std::string> words : {std::vector<std::string>{},
                                         {"fly"},
                                         {"serve", "--wings"},
                                         {"tenant"},
                                         {"tenant", "create"},
                                         {"tenant", "create", "--name", ""},
                                         {"demo", "--seconds", "soon"}}) {
    auto outcome = madansara(words);
    CHECK(outcome.status == 2);
    CHECK(outcome.errors + outcome.output != "");
  }
}

TEST_CASE("command: tenant create beside a running server gives a key that works at once") {
  auto& server = shared_server();
  auto outcome = server.command({"tenant", "create", "--name", "Chez Nou", "--json"});
  CHECK(outcome.status == 0);
  auto document = json::parse(outcome.output);
  REQUIRE(document);
  CHECK(parse_uuid(document->root()["tenant_id"].string_or("")));
  std::string key(document->root()["api_key"].string_or(""));
  CHECK(HttpClient(server.port(), key).get("/api/v1/responses/inbox").status == 200);
  CHECK(server.command({"tenant", "create", "--name", "Chez Nou"}).output.find("sk_") !=
        std::string::npos);
}

TEST_CASE("command: verify prints a line for each invariant") {
  auto& server = shared_server();
  auto words = server.command({"verify"});
  CHECK(words.status == 0);
  CHECK(words.output.find("sequence") != std::string::npos);
  auto machine = server.command({"verify", "--json"});
  CHECK(machine.status == 0);
  auto document = json::parse(machine.output);
  REQUIRE(document);
  CHECK(document->root()["ok"].boolean() == true);
  CHECK(document->root()["checks"].size() >= 5);
}

TEST_CASE("command: a configuration that cannot be right is refused before anything starts") {
  TempDir place;
  auto data = place.path() + "/data";
  auto serve = [&](const Environment& environment) {
    return madansara({"serve", "--port", "0", "--data-dir", data}, environment).status;
  };
  CHECK(serve({{"ENVIRONMENT", "production"}}) == 1);
  CHECK(serve({{"MADANSARA_SECRET_KEY", "short"}}) == 1);
  CHECK(serve({{"MADANSARA_LIMITS_BODY_BYTES_MAX", "many"}}) == 1);
  CHECK(serve({{"PORT", "70000"}}) == 1);
  CHECK(serve({{"DATABASE_URL", "postgresql:///nowhere?host=/nonexistent"}}) == 1);
  CHECK(madansara({"check-config", "--data-dir", data, "--config", "/nonexistent.toml"}).status ==
        1);
  CHECK(madansara({"check-config", "--data-dir", data}).status == 0);
}

TEST_CASE("command: a second start on a taken port fails, and the first server goes on writing") {
  Server server;
  Shop shop(server);
  auto outcome = server.command({"serve", "--port", std::to_string(server.port())});
  CHECK(outcome.status == 1);
  CHECK(outcome.errors.find(std::to_string(server.port())) != std::string::npos);
  CHECK(shop.api.get("/ready").status == 200);
  make_sandbox(shop.api);  // Throws if it cannot be stored.
}
