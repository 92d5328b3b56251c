// The demo's way to the server: one HTTP/1.1 request over a plain socket. It knows no TLS, no
// redirects and no proxies; the demo speaks to a server of its own machine.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace sara::runtime {

struct DemoAnswer {
  int status = 0;
  std::string body;
};

class DemoClient {
 public:
  /// url: "http://host:port", anything behind it is ignored.
  /// errors: invalid_argument - another scheme or no host
  static Result<DemoClient> make(std::string_view url);

  /// errors: unavailable - no connection, or no whole answer within 20 s
  Result<DemoAnswer> send(std::string_view method, std::string_view target,
                          const std::vector<std::pair<std::string, std::string>>& headers,
                          std::string_view body) const;

 private:
  std::string host_;
  std::string port_;
};

}  // namespace sara::runtime
