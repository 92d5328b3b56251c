// Starting, asking and ending the real server.
#include "tests/support/server.hpp"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/json.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/http_client.hpp"

namespace sara::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// The port of the last `listening on` line in `text`, 0 if there is none.
std::uint16_t announced_port(const std::string& text) {
  constexpr std::string_view mark = "listening on http://127.0.0.1:";
  auto at = text.rfind(mark);
  if (at == std::string::npos || text.find('\n', at) == std::string::npos) return 0;
  return static_cast<std::uint16_t>(std::stoi(text.substr(at + mark.size())));
}

/// Wakes whenever a file is written to.
class Watch {
 public:
  explicit Watch(const std::string& file) : fd_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    inotify_add_watch(fd_, file.c_str(), IN_MODIFY | IN_CLOSE_WRITE);
  }
  ~Watch() { close(fd_); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void wait(std::chrono::milliseconds at_most) {
    pollfd entry{fd_, POLLIN, 0};
    poll(&entry, 1, static_cast<int>(at_most.count()));
    char events[4096];
    while (read(fd_, events, sizeof events) > 0) continue;
  }

 private:
  int fd_;
};

std::string tail(const std::string& text) {
  return text.size() > 4000 ? text.substr(text.size() - 4000) : text;
}

}  // namespace

/// $SARA_BINARY wins, so that another build can be tested.
std::string server_binary() {
  const char* named = std::getenv("SARA_BINARY");
  return named != nullptr ? named : SARA_BINARY;
}

Server::Server(Environment environment)
    : Server(std::move(environment), Program{server_binary()}) {}

Server::Server(Environment environment, Program program)
    : data_dir_(place_.path() + "/data"),
      log_file_(place_.path() + "/server.log"),
      binary_(std::move(program.path)),
      environment_(std::move(environment)) {
  // Tests ask faster than people. What quotas do is tests/e2e/quota.cpp's to show.
  environment_.try_emplace("MADANSARA_LIMITS_REQUESTS_PER_MINUTE_MAX", "10000000");
  environment_.try_emplace("MADANSARA_LIMITS_STRANGER_REQUESTS_PER_15_MIN_MAX", "10000000");
  try {
    start();
  } catch (...) {
    process_.reset();
    end_postgres();
    throw;
  }
}

Server::~Server() {
  process_.reset();
  end_postgres();
  judge_log();
}

void Server::start() {
  launch();
  if (!await_ready()) throw std::runtime_error("the server did not start:\n" + tail(log()));
}

void Server::launch(const Environment& more) {
  auto environment = environment_;
  for (auto& [name, value] : more) environment[name] = value;
  log_before_ = log().size();
  std::ofstream(log_file_, std::ios::app).flush();  // It must exist to be watched.
  process_ = std::make_unique<Process>(
      std::vector<std::string>{binary_, "serve", "--port", std::to_string(port_), "--data-dir",
                               data_dir_},
      environment, log_file_);
}

bool Server::await_ready() {
  Watch watch(log_file_);
  auto deadline = within(60s);
  std::uint16_t port = 0;
  while ((port = announced_port(log().substr(log_before_))) == 0) {
    if (!process_->running() || Clock::now() > deadline) return false;
    watch.wait(50ms);
  }
  port_ = port;
  return eventually(60s, [&] {
    auto answer = HttpClient(port_).try_send({"GET", "/ready", "", {}});
    return (answer && answer->status == 200) || !process_->running();
  }) && process_->running();
}

int Server::ended(std::chrono::milliseconds at_most) { return process_->wait(within(at_most)); }

void Server::kill() {
  process_->signal(SIGKILL);
  process_->wait(within(10s));
  judge_log();
}

int Server::stop() {
  process_->signal(SIGTERM);
  const int status = process_->wait(within(20s));
  judge_log();
  return status;
}

std::string Server::log() const {
  return read_file(log_file_);
}

Outcome Server::command(std::vector<std::string> words) const {
  words.insert(words.begin(), binary_);
  words.insert(words.end(), {"--data-dir", data_dir_});
  auto outcome = run(words, environment_);
  judge(outcome.errors);
  return outcome;
}

Tenant Server::make_tenant(const std::string& name) const {
  auto outcome = command({"tenant", "create", "--name", name, "--json"});
  auto document = json::parse(outcome.output);
  if (outcome.status != 0 || !document)
    throw std::runtime_error("tenant create: " + outcome.output + outcome.errors);
  return {std::string(document->root()["tenant_id"].string_or("")),
          std::string(document->root()["api_key"].string_or(""))};
}

std::string Server::database_url() const { return Cluster(data_dir_).url(); }

void Server::kill_postgres(int signal) { Cluster(data_dir_).end(signal); }

void Server::judge_log() {
  const auto all = log();
  judge(all.substr(judged_));
  judged_ = all.size();
}

void Server::judge(const std::string& output) {
  if (const auto report = sanitizer_report(output); !report.empty()) on_sanitizer_report(report);
}

void end_program(const std::string& report) {
  std::fprintf(stderr, "a sanitizer has found something in a server:\n%s\n", report.c_str());
  std::_Exit(EXIT_FAILURE);
}

void Server::end_postgres() {
  Cluster cluster(data_dir_);
  if (!cluster.runs()) return;
  cluster.end(SIGQUIT);
  std::error_code error;
  auto& socket_dir = cluster.socket_dir();
  if (socket_dir.starts_with("/tmp/madansara-")) fs::remove_all(socket_dir, error);
}

Server& shared_server() {
  static Server server;
  return server;
}

}  // namespace sara::test
