// Outgoing HTTP, through libcurl. Blocking: for detached actors and command-line tools only.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace sara::http {

struct ClientResponse {
  int status = 0;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
};

/// One connection cache; for one thread.
class Client {
 public:
  Client();
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  /// Sends a request and reads the whole answer, at most 10 MiB. Redirects are not followed.
  /// headers: "Name: value"
  /// errors: unavailable - no connection, time-out, or an answer that is too large
  Result<ClientResponse> send(const std::string& method, const std::string& url,
                              const std::vector<std::string>& headers, std::string_view body,
                              Millis timeout = Millis{30'000});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sara::http
