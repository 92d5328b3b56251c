// The command line: `madansara serve`, `tenant create`, `migrate`, `check-config`, `verify`,
// `demo`.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/json.hpp"
#include "runtime/boot.hpp"
#include "runtime/demo.hpp"
#include "runtime/private_postgres.hpp"
#include "runtime/secret_key.hpp"
#include "storage/migration.hpp"
#include "storage/registry.hpp"
#include "storage/verify.hpp"

namespace {

using namespace sara;
using namespace sara::runtime;

constexpr int wrong_usage = 2;

int give_up(const Error& error) {
  std::fprintf(stderr, "madansara: %s\n", error.detail.c_str());
  return 1;
}

/// What every command takes.
struct Common {
  std::string config_file;
  std::string data_dir;
  std::string port;
  std::string bind;
  bool json = false;

  Result<LoadedConfig> load() const {
    ConfigSources sources;
    if (!config_file.empty()) sources.file = config_file;
    sources.environment = process_environment();
    if (!data_dir.empty()) sources.flags.emplace_back("server.data_dir", data_dir);
    if (!port.empty()) sources.flags.emplace_back("server.port", port);
    if (!bind.empty()) sources.flags.emplace_back("server.bind", bind);
    return load_config(sources);
  }
};

void add_common(CLI::App* command, Common& common) {
  command->add_option("--config", common.config_file, "configuration file (TOML)");
  command->add_option("--data-dir", common.data_dir, "where the private Postgres and keys live");
}

int serve_command(const Common& common) {
  auto loaded = common.load();
  if (!loaded) return give_up(loaded.error());
  for (auto& notice : loaded->notices) std::fprintf(stderr, "madansara: %s\n", notice.c_str());
  return serve(*loaded);
}

/// A tenant with its first key, on the database of the configuration.
Result<std::pair<TenantId, std::string>> make_tenant(const Config& config,
                                                     const std::string& name) {
  auto database = open_database(config);
  if (!database) return fail(database.error());
  if (auto migrated = storage::migrate(database->url); !migrated) return fail(migrated.error());
  storage::Connection connection(database->url);
  auto now = system_clock().now();
  auto id = TenantId::make(now);
  auto key = storage::NewApiKey::make();
  if (auto made = storage::create_tenant(connection, id, name, key, now); !made)
    return fail(made.error());
  return std::pair{id, key.text()};
}

int tenant_create(const Common& common, const std::string& name) {
  auto loaded = common.load();
  if (!loaded) return give_up(loaded.error());
  auto made = make_tenant(loaded->config, name);
  if (!made) return give_up(made.error());
  auto id = to_string(made->first);
  if (common.json) {
    std::string out;
    json::Writer w(out);
    w.begin_object().member("tenant_id", id).member("api_key", made->second).end_object();
    std::printf("%s\n", out.c_str());
  } else {
    std::printf("tenant   %s\napi key  %s\nThe key is shown once: keep it.\n", id.c_str(),
                made->second.c_str());
  }
  return 0;
}

int migrate_command(const Common& common) {
  auto loaded = common.load();
  if (!loaded) return give_up(loaded.error());
  auto database = open_database(loaded->config);
  if (!database) return give_up(database.error());
  auto done = storage::migrate(database->url);
  if (!done) return give_up(done.error());
  if (common.json)
    std::printf("{\"applied\":%d}\n", *done);
  else
    std::printf("%d migrations applied\n", *done);
  return 0;
}

int check_config(const Common& common) {
  auto loaded = common.load();
  if (!loaded) return give_up(loaded.error());
  auto key = root_key(loaded->config.server.data_dir, loaded->config.server.environment);
  if (!key) return give_up(key.error());
  for (auto& notice : loaded->notices) std::fprintf(stderr, "madansara: %s\n", notice.c_str());
  std::printf("%s", describe(*loaded).c_str());
  return 0;
}

int verify_command(const Common& common) {
  auto loaded = common.load();
  if (!loaded) return give_up(loaded.error());
  auto database = open_database(loaded->config);
  if (!database) return give_up(database.error());
  storage::Connection connection(database->url);
  auto checks = storage::verify(connection);
  if (!checks) return give_up(checks.error());
  bool fine = true;
  std::string out;
  json::Writer w(out);
  w.begin_object().key("checks").begin_array();
  for (auto& check : *checks) {
    fine = fine && check.violations == 0;
    w.begin_object().member("name", check.name).member("ok", check.violations == 0);
    w.member("violations", check.violations).member_or_null("example", check.example).end_object();
    if (!common.json)
      std::printf("%-4s %-26s %s%s%s\n", check.violations == 0 ? "ok" : "FAIL", check.name.c_str(),
                  check.meaning.c_str(), check.example.empty() ? "" : " -- ",
                  check.example.c_str());
  }
  w.end_array().member("ok", fine).end_object();
  if (common.json) std::printf("%s\n", out.c_str());
  return fine ? 0 : 1;
}

int demo_command(const Common& common, DemoOptions options) {
  options.json = common.json;
  if (options.api_key.empty()) {
    auto loaded = common.load();
    if (!loaded) return give_up(loaded.error());
    if (options.url.empty())
      options.url = "http://127.0.0.1:" + std::to_string(loaded->config.server.port);
    auto made = make_tenant(loaded->config, "Marche Demo");
    if (!made) return give_up(made.error());
    options.api_key = made->second;
  }
  return run_demo(options);
}

int run(int argc, char** argv) {
  CLI::App app{"Madan Sara: customer signals in, conversations out"};
  app.require_subcommand(1);
  Common common;
  int status = 0;

  auto* serve_app = app.add_subcommand("serve", "run the server");
  add_common(serve_app, common);
  serve_app->add_option("--port", common.port, "port to listen on; 0 picks one (default 8002)");
  serve_app->add_option("--bind", common.bind, "address to listen on (default 127.0.0.1)");
  serve_app->callback([&] { status = serve_command(common); });

  auto* tenant = app.add_subcommand("tenant", "tenants");
  tenant->require_subcommand(1);
  auto* create = tenant->add_subcommand("create", "make a tenant and its first owner key");
  std::string name;
  add_common(create, common);
  create->add_option("--name", name, "the tenant's name")->required()->check([](const auto& text) {
    return text.empty() || text.size() > 200 ? "a name has 1 to 200 bytes" : "";
  });
  create->add_flag("--json", common.json, "machine-readable output");
  create->callback([&] { status = tenant_create(common, name); });

  auto* migrate = app.add_subcommand("migrate", "bring the database to this version's schema");
  add_common(migrate, common);
  migrate->add_flag("--json", common.json, "machine-readable output");
  migrate->callback([&] { status = migrate_command(common); });

  auto* check = app.add_subcommand("check-config", "check the configuration and show it");
  add_common(check, common);
  check->callback([&] { status = check_config(common); });

  auto* verify = app.add_subcommand("verify", "check every stored invariant");
  add_common(verify, common);
  verify->add_flag("--json", common.json, "machine-readable output");
  verify->callback([&] { status = verify_command(common); });

  auto* demo = app.add_subcommand("demo", "fill a running server with a lively tenant");
  DemoOptions options;
  options.url.clear();
  add_common(demo, common);
  demo->add_option("--url", options.url, "the running server (default: the one of --data-dir)");
  demo->add_option("--api-key", options.api_key, "an owner's key; without it a tenant is made");
  demo->add_option("--seconds", options.seconds, "how long it plays; 0: as fast as it can")
      ->check(CLI::Range(0, 600));
  demo->add_flag("--json", common.json, "machine-readable output");
  demo->callback([&] { status = demo_command(common, options); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e);
    return wrong_usage;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "madansara: %s\n", e.what());
    return 1;
  }
}
