// The clients over Beast, each on an io_context of its own that runs until the operation ends.
#include "tests/support/http_client.hpp"

#include <poll.h>

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <stdexcept>

#include "base/text.hpp"

namespace sara::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

const auto patience = patient(std::chrono::seconds(20));

tcp::endpoint loopback(std::uint16_t port) {
  return {asio::ip::address_v4::loopback(), port};
}

Answer to_answer(http::response<http::string_body>&& response) {
  Answer answer;
  answer.status = static_cast<int>(response.result_int());
  answer.reason = std::string(response.reason());
  for (auto& field : response)
    answer.headers.emplace_back(text::lower_ascii(std::string_view(field.name_string())),
                                std::string(field.value()));
  answer.body = std::move(response.body());
  return answer;
}

}  // namespace

std::string Answer::header(std::string_view lower_case_name) const {
  for (auto& [name, value] : headers)
    if (name == lower_case_name) return value;
  return {};
}

json::Document Answer::json() const {
  auto document = json::parse(body);
  if (!document) throw std::runtime_error("not JSON: " + std::to_string(status) + " " + body);
  return std::move(*document);
}

/// What both clients share: a stream, its buffer, and running one operation to its end.
struct Wire {
  asio::io_context io{1};
  beast::tcp_stream stream{io};
  beast::flat_buffer buffer{64u << 20};

  /// start(handler) begins an operation; returns its error.
  template <class Start>
  beast::error_code finish(Start start) {
    beast::error_code result = asio::error::operation_aborted;
    stream.expires_after(patience);
    start([&](beast::error_code error, auto...) { result = error; });
    io.restart();
    io.run();
    return result;
  }
  beast::error_code connect(std::uint16_t port) {
    auto error = finish([&](auto done) { stream.async_connect(loopback(port), done); });
    if (!error) stream.socket().set_option(tcp::no_delay(true), error);
    return error;
  }
  /// Reads one answer; nothing if it does not come whole.
  std::optional<Answer> read(bool no_body) {
    http::response_parser<http::string_body> parser;
    parser.body_limit(64u << 20);
    if (no_body) parser.skip(true);
    auto error = finish([&](auto done) { http::async_read(stream, buffer, parser, done); });
    if (error) return std::nullopt;
    keep_alive = parser.get().keep_alive();
    return to_answer(parser.release());
  }

  bool keep_alive = false;
};

struct HttpClient::Impl {
  std::uint16_t port;
  std::string bearer;
  std::unique_ptr<Wire> wire;

  http::request<http::string_body> to_request(const Ask& ask) const {
    http::request<http::string_body> request;
    request.method_string(ask.method);
    request.target(ask.target);
    request.version(11);
    request.set(http::field::host, "127.0.0.1:" + std::to_string(port));
    bool authorized = false;
    for (auto& [name, value] : ask.headers) {
      request.insert(name, value);
      authorized = authorized || text::equal_ignoring_case(name, "authorization");
    }
    if (!authorized && !bearer.empty()) request.set(http::field::authorization, "Bearer " + bearer);
    request.body() = ask.body;
    request.prepare_payload();
    return request;
  }

  std::optional<Answer> attempt(const http::request<http::string_body>& request) {
    if (!wire) {
      wire = std::make_unique<Wire>();
      if (wire->connect(port)) return wire.reset(), std::nullopt;
    }
    // A server may answer before it has read everything (413), so a failed write is no verdict.
    wire->finish([&](auto done) { http::async_write(wire->stream, request, done); });
    auto answer = wire->read(request.method() == http::verb::head);
    if (!answer || !wire->keep_alive) wire.reset();
    return answer;
  }
};

HttpClient::HttpClient(std::uint16_t port, std::string bearer)
    : impl_(std::make_unique<Impl>(Impl{port, std::move(bearer), nullptr})) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

std::uint16_t HttpClient::port() const {
  return impl_->port;
}

std::optional<Answer> HttpClient::try_send(const Ask& ask) {
  auto request = impl_->to_request(ask);
  bool reused = impl_->wire != nullptr;
  auto answer = impl_->attempt(request);
  // A kept connection may have been closed while idle; a fresh one may not.
  if (!answer && reused) answer = impl_->attempt(request);
  return answer;
}

Answer HttpClient::send(const Ask& ask) {
  auto answer = try_send(ask);
  if (!answer) throw std::runtime_error("no answer to " + ask.method + " " + ask.target);
  return std::move(*answer);
}

Answer HttpClient::post(const std::string& target, std::string json, Headers more) {
  more.emplace_back("Content-Type", "application/json");
  return send({"POST", target, std::move(json), std::move(more)});
}

Answer HttpClient::patch(const std::string& target, std::string json) {
  return send({"PATCH", target, std::move(json), {{"Content-Type", "application/json"}}});
}

struct RawClient::Impl : Wire {};

RawClient::RawClient(std::uint16_t port) : impl_(std::make_unique<Impl>()) {
  if (impl_->connect(port)) throw std::runtime_error("cannot connect");
}
RawClient::~RawClient() = default;

bool RawClient::write(std::string_view bytes) {
  return !impl_->finish([&](auto done) {
    asio::async_write(impl_->stream, asio::buffer(bytes.data(), bytes.size()), done);
  });
}

void RawClient::finish() {
  beast::error_code ignored;
  impl_->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

std::optional<Answer> RawClient::read(bool answer_has_no_body) {
  return impl_->read(answer_has_no_body);
}

bool RawClient::closed() {
  if (impl_->buffer.size() > 0) return false;
  char byte = 0;
  auto error = impl_->finish(
      [&](auto done) { impl_->stream.async_read_some(asio::buffer(&byte, 1), done); });
  return error == asio::error::eof || error == asio::error::connection_reset;
}

bool eventually(std::chrono::milliseconds at_most, const std::function<bool()>& done) {
  auto deadline = within(at_most);
  for (int pause_ms = 1;; pause_ms = std::min(pause_ms * 2, 50)) {
    if (done()) return true;
    if (Clock::now() >= deadline) return false;
    poll(nullptr, 0, pause_ms);
  }
}

}  // namespace sara::test
