// Small blocking HTTP/1.1 clients for tests: one that speaks properly, one that sends any bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "tests/support/process.hpp"

namespace sara::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Ask {
  std::string method;
  std::string target;
  std::string body = {};
  Headers headers = {};
};

struct Answer {
  int status = 0;
  std::string reason = {};
  Headers headers = {};  ///< names in lower case
  std::string body = {};

  /// The header's value, or "".
  std::string header(std::string_view lower_case_name) const;
  /// Throws if the body is no JSON.
  json::Document json() const;
};

/// One keep-alive connection to 127.0.0.1. Throws std::runtime_error where no answer comes.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port, std::string bearer = {});
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;

  Answer send(const Ask& ask);
  /// Nothing where no whole answer came.
  std::optional<Answer> try_send(const Ask& ask);

  Answer get(const std::string& target) { return send({"GET", target}); }
  Answer post(const std::string& target, std::string json, Headers more = {});
  Answer patch(const std::string& target, std::string json);
  Answer remove(const std::string& target) { return send({"DELETE", target}); }

  std::uint16_t port() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A socket that sends what it is told, wrong or right, and reads answers as they come.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port);
  ~RawClient();

  /// False if the other side has closed already.
  bool write(std::string_view bytes);
  /// No more bytes from us; we still listen.
  void finish();
  /// The next answer; nothing if the connection ends or 20 s pass before it is whole.
  std::optional<Answer> read(bool answer_has_no_body = false);
  /// True once the other side closes; false if it has not in 20 s, or sends more.
  bool closed();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Asks again and again, each time after a pause that grows to 50 ms, until `done` or the deadline.
bool eventually(std::chrono::milliseconds at_most, const std::function<bool()>& done);

}  // namespace sara::test
