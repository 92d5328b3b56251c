// One thread, one coroutine per connection, one shared list of requests.
#include "tests/support/load.hpp"

#include <boost/asio.hpp>
#include <boost/asio/experimental/as_tuple.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace sara::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

constexpr auto quietly = asio::experimental::as_tuple(asio::use_awaitable);

struct Run {
  const Load& load;
  const Source& source;
  std::vector<int> statuses;
  std::size_t next = 0;
  std::size_t answers = 0;
  std::size_t refusals = 0;
  Deadline deadline;
};

http::request<http::string_body> to_request(const Ask& ask, std::uint16_t port) {
  http::request<http::string_body> request;
  request.method_string(ask.method);
  request.target(ask.target);
  request.version(11);
  request.set(http::field::host, "127.0.0.1:" + std::to_string(port));
  for (auto& [name, value] : ask.headers) request.insert(name, value);
  request.body() = ask.body;
  request.prepare_payload();
  return request;
}

/// One request over an open connection; no_answer if it fails, bare_503 if it is refused badly.
asio::awaitable<int> exchange(beast::tcp_stream& stream, const Ask& ask, const Run& run) {
  auto request = to_request(ask, run.load.port);
  stream.expires_at(run.deadline);
  auto [write_error, written] = co_await http::async_write(stream, request, quietly);
  if (write_error) co_return no_answer;
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  auto [read_error, size] = co_await http::async_read(stream, buffer, response, quietly);
  if (read_error) co_return no_answer;
  if (!response.keep_alive()) stream.close();
  auto status = static_cast<int>(response.result_int());
  bool bare = status == 503 && response[http::field::retry_after].empty();
  co_return bare ? bare_503 : status;
}

/// Sends one request until it has an answer that counts.
asio::awaitable<int> settle(beast::tcp_stream& stream, const Ask ask, Run& run) {
  int status = no_answer;
  for (int repeats = run.load.repeats_of_503;; --repeats) {
    status = co_await exchange(stream, ask, run);
    if (status == 503 && run.load.on_refusal) run.load.on_refusal(++run.refusals);
    if (status != 503 || repeats <= 0 || Clock::now() >= run.deadline) co_return status;
    asio::steady_timer pause(stream.get_executor(), std::chrono::milliseconds(20));
    co_await pause.async_wait(quietly);
  }
}

/// The number of a connection's next request; at the end, how many there are.
std::size_t take(Run& run, std::size_t& lane) {
  if (!run.load.lanes) return run.next++;
  auto mine = lane;
  lane += run.load.connections;
  return mine;
}

asio::awaitable<void> connection(Run& run, std::size_t lane) {
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  while (Clock::now() < run.deadline) {
    if (!stream.socket().is_open()) {
      stream.expires_at(run.deadline);
      auto [error] = co_await stream.async_connect(
          tcp::endpoint{asio::ip::address_v4::loopback(), run.load.port}, quietly);
      if (error) co_return;
      stream.socket().set_option(tcp::no_delay(true));
      continue;
    }
    std::size_t mine = take(run, lane);
    if (mine >= run.statuses.size()) co_return;
    run.statuses[mine] = no_answer;
    run.statuses[mine] = co_await settle(stream, run.source(mine), run);
    if (run.statuses[mine] != no_answer) {
      ++run.answers;
      if (run.load.on_answer) run.load.on_answer(run.answers);
    } else if (run.load.reconnect) {
      stream.close();
    } else {
      co_return;
    }
  }
}

}  // namespace

std::vector<int> send_all(const Load& load, std::size_t count, const Source& source) {
  Run run{load, source, std::vector<int>(count, not_sent), 0, 0, 0, within(load.at_most)};
  asio::io_context io{1};
  for (std::size_t i = 0; i < std::min(load.connections, count); ++i)
    asio::co_spawn(io, connection(run, i), asio::detached);
  io.run();
  return run.statuses;
}

std::vector<int> send_all(const Load& load, const std::vector<Ask>& asks) {
  return send_all(load, asks.size(), [&asks](std::size_t i) { return asks[i]; });
}

struct Background::Impl {
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::size_t answers = 0;
  std::size_t refusals = 0;
  bool ended = false;
  std::vector<int> statuses;
  std::thread thread;
};

Background::Background(Load load, std::vector<Ask> asks) : impl_(std::make_unique<Impl>()) {
  auto* impl = impl_.get();
  load.on_answer = [impl](std::size_t count) {
    std::lock_guard lock(impl->mutex);
    impl->answers = count;
    impl->changed.notify_all();
  };
  load.on_refusal = [impl](std::size_t count) {
    std::lock_guard lock(impl->mutex);
    impl->refusals = count;
    impl->changed.notify_all();
  };
  impl_->thread = std::thread([impl, load = std::move(load), asks = std::move(asks)] {
    auto statuses = send_all(load, asks);
    std::lock_guard lock(impl->mutex);
    impl->statuses = std::move(statuses);
    impl->ended = true;
    impl->changed.notify_all();
  });
}

Background::~Background() {
  if (impl_->thread.joinable()) impl_->thread.join();
}

bool Background::answered(std::size_t count, std::chrono::milliseconds at_most) {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, patient(at_most),
                                 [&] { return impl_->answers >= count || impl_->ended; });
}

bool Background::refused(std::size_t count, std::chrono::milliseconds at_most) {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, at_most,
                                 [&] { return impl_->refusals >= count || impl_->ended; }) &&
         impl_->refusals >= count;
}

std::size_t Background::answers() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->answers;
}

std::size_t Background::refusals() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->refusals;
}

const std::vector<int>& Background::finish() {
  if (impl_->thread.joinable()) impl_->thread.join();
  return impl_->statuses;
}

}  // namespace sara::test
