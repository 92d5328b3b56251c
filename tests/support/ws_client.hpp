// A WebSocket client for tests: blocking, each wait with a deadline; can vanish without goodbye.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/http_client.hpp"

namespace sara::test {

class WsClient {
 public:
  /// Throws if the upgrade fails; refused() says how it was answered then.
  WsClient(std::uint16_t port, const std::string& target, const Headers& headers = {});
  ~WsClient();
  WsClient(WsClient&&) noexcept;

  /// The answer that a failing upgrade gets: its status.
  static int upgrade_status(std::uint16_t port, const std::string& target, const Headers& headers);

  bool send(const std::string& text);
  bool send_binary(const std::string& bytes);
  bool ping();
  /// True once a pong frame has come.
  bool ponged(std::chrono::milliseconds at_most = std::chrono::seconds(20));
  /// The next text; nothing if the socket ends or the time passes.
  std::optional<std::string> receive(std::chrono::milliseconds at_most = std::chrono::seconds(20));
  /// The code the other side closed with; 0 if it has not in time, 1006 if it vanished.
  int close_code(std::chrono::milliseconds at_most = std::chrono::seconds(20));
  /// Closes the TCP socket at once, with whatever is still unread.
  void drop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sara::test
