// The real server as a child: fresh data directory, real Postgres, real port; killed and restarted
// as a test asks, and gone at the end together with its private Postgres.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>

#include "tests/support/process.hpp"

namespace sara::test {

/// What `madansara tenant create` gives.
struct Tenant {
  std::string id;
  std::string api_key;
};

/// Prints what a sanitizer has found in a server, and ends this program as a failure.
[[noreturn]] void end_program(const std::string& report);
/// Is told of every sanitizer's report in a server's output, once that server has ended. A suite
/// may put something milder here.
inline void (*on_sanitizer_report)(const std::string& report) = end_program;

/// The path of the program under test.
std::string server_binary();
struct Program {
  std::string path;
};

class Server {
 public:
  /// Starts it and returns once /ready says yes. Throws with the end of its log if it does not.
  explicit Server(Environment environment = {});
  /// The same of another program, such as the one with crash points.
  Server(Environment environment, Program program);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Starts again on the same data directory and, if it can, the same port.
  void start();
  /// The same in two steps, for a server that may die on its way: with more in its environment, for
  /// this run alone; then true once it is ready, false if it ended before.
  void launch(const Environment& more = {});
  bool await_ready();
  /// kill -9. The private Postgres stays.
  void kill();
  /// The exit status of a server that ends by itself, or -1 if it still runs then.
  int ended(std::chrono::milliseconds at_most);
  /// Ends the private Postgres, by kill -9 unless said otherwise; the server stays.
  void kill_postgres(int signal = SIGKILL);
  /// SIGTERM; the exit status, or -1 if it did not stop in 20 s.
  int stop();
  /// SIGTERM alone; ended() tells the rest. And any other signal.
  void terminate() { signal(SIGTERM); }
  void signal(int number) { process_->signal(number); }
  bool running() { return process_ && process_->running(); }

  std::uint16_t port() const { return port_; }
  pid_t pid() const { return process_ ? process_->pid() : -1; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  const std::string& data_dir() const { return data_dir_; }
  /// Everything it has printed and logged so far, over all its starts.
  std::string log() const;

  Tenant make_tenant(const std::string& name) const;
  /// `madansara <words...> --data-dir DIR` with the server's environment.
  Outcome command(std::vector<std::string> words) const;
  /// A DATABASE_URL of the private Postgres as another server would be given it; "" if none.
  std::string database_url() const;

 private:
  void end_postgres();
  void judge_log();
  static void judge(const std::string& output);

  TempDir place_;
  std::string data_dir_;
  std::string log_file_;
  std::string binary_;
  Environment environment_;
  std::unique_ptr<Process> process_;
  std::uint16_t port_ = 0;
  std::size_t judged_ = 0;  ///< bytes of the log that a former end has been judged by
  std::size_t log_before_ = 0;  ///< what the log held when this run began
};

/// The one server that ordinary tests share: started at first use, ended with the program. Each
/// test makes tenants of its own on it.
Server& shared_server();

}  // namespace sara::test
