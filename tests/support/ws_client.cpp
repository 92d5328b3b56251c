// One read is always under way; waiting means running the io_context until something arrived.
#include "tests/support/ws_client.hpp"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <deque>
#include <functional>
#include <stdexcept>

namespace sara::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;

}  // namespace

struct WsClient::Impl {
  asio::io_context io{1};
  websocket::stream<beast::tcp_stream> socket{io};
  beast::flat_buffer buffer;
  std::deque<std::string> arrived;
  bool ended = false;
  bool pong = false;

  /// Runs until `done` or the deadline.
  bool wait(std::chrono::milliseconds at_most, const std::function<bool()>& done) {
    auto deadline = within(at_most);
    io.restart();
    while (!done()) {
      if (Clock::now() >= deadline) return false;
      if (io.run_one_until(deadline) == 0 && io.stopped()) return done();
    }
    return true;
  }

  int handshake(std::uint16_t port, const std::string& target, const Headers& headers) {
    beast::get_lowest_layer(socket).socket().connect({asio::ip::address_v4::loopback(), port});
    beast::get_lowest_layer(socket).socket().set_option(asio::ip::tcp::no_delay(true));
    socket.set_option(
        websocket::stream_base::decorator([&headers](websocket::request_type& request) {
          for (auto& [name, value] : headers) request.set(name, value);
        }));
    websocket::response_type response;
    beast::error_code error;
    socket.handshake(response, "127.0.0.1:" + std::to_string(port), target, error);
    return error && response.result_int() == 101 ? 0 : static_cast<int>(response.result_int());
  }

  void read_on() {
    socket.async_read(buffer, [this](beast::error_code error, std::size_t) {
      if (error) {
        ended = true;
        return;
      }
      arrived.push_back(beast::buffers_to_string(buffer.data()));
      buffer.consume(buffer.size());
      read_on();
    });
  }

  bool write(const std::string& bytes, bool text) {
    bool finished = false;
    beast::error_code result;
    socket.text(text);
    socket.async_write(asio::buffer(bytes), [&](beast::error_code error, std::size_t) {
      result = error;
      finished = true;
    });
    wait(std::chrono::seconds(20), [&] { return finished; });
    return finished && !result;
  }
};

WsClient::WsClient(std::uint16_t port, const std::string& target, const Headers& headers)
    : impl_(std::make_unique<Impl>()) {
  int status = impl_->handshake(port, target, headers);
  if (status != 101) throw std::runtime_error("no upgrade: " + std::to_string(status));
  auto* impl = impl_.get();
  impl_->socket.control_callback([impl](websocket::frame_type kind, beast::string_view) {
    if (kind == websocket::frame_type::pong) impl->pong = true;
  });
  impl_->read_on();
}

WsClient::~WsClient() {
  if (impl_) drop();
}
WsClient::WsClient(WsClient&&) noexcept = default;

int WsClient::upgrade_status(std::uint16_t port, const std::string& target,
                             const Headers& headers) {
  return Impl().handshake(port, target, headers);
}

bool WsClient::send(const std::string& text) {
  return impl_->write(text, true);
}
bool WsClient::send_binary(const std::string& bytes) {
  return impl_->write(bytes, false);
}

bool WsClient::ping() {
  bool finished = false;
  impl_->pong = false;
  impl_->socket.async_ping("", [&](beast::error_code) { finished = true; });
  return impl_->wait(std::chrono::seconds(20), [&] { return finished; });
}

bool WsClient::ponged(std::chrono::milliseconds at_most) {
  return impl_->wait(at_most, [this] { return impl_->pong || impl_->ended; }) && impl_->pong;
}

std::optional<std::string> WsClient::receive(std::chrono::milliseconds at_most) {
  impl_->wait(at_most, [this] { return !impl_->arrived.empty() || impl_->ended; });
  if (impl_->arrived.empty()) return std::nullopt;
  auto text = std::move(impl_->arrived.front());
  impl_->arrived.pop_front();
  return text;
}

int WsClient::close_code(std::chrono::milliseconds at_most) {
  if (!impl_->wait(at_most, [this] { return impl_->ended; })) return 0;
  auto code = impl_->socket.reason().code;
  return code == websocket::close_code::none ? 1006 : static_cast<int>(code);
}

void WsClient::drop() {
  beast::error_code ignored;
  auto& socket = beast::get_lowest_layer(impl_->socket).socket();
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
  impl_->wait(std::chrono::seconds(5), [this] { return impl_->ended; });
}

}  // namespace sara::test
