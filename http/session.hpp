// One connection, from its first byte to its last: read the head, judge it, find the route, check the
// credential, read the body, call the handler, write the answer; then the same again. Requests of one
// connection are served one after the other, so the order of pipelined answers is given.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/chunk.hpp"
#include "http/head.hpp"
#include "http/server.hpp"

namespace sara::http {

/// Counters of all io threads together.
struct Server::Shared {
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> body_bytes{0};
  std::mutex mutex;  ///< for what follows; taken once for each connection, never for a request
  std::unordered_map<std::string, std::size_t> connections_per_ip;
  std::vector<boost::asio::ip::tcp::endpoint> listening;
};

class Session;

/// What the sessions of one io thread share. One thread: no locks.
struct Edge {
  Edge(const Router& router, Limits limits, Authenticate auth, std::shared_ptr<Server::Shared> all);

  const Router& router;
  const Limits limits;
  const Authenticate authenticate;
  const std::shared_ptr<Server::Shared> shared;

  std::chrono::steady_clock::time_point now;  ///< as of the last sweep: cheap, and exact enough
  std::string date;                           ///< the Date header's value
  bool draining = false;
  std::atomic<std::size_t> open{0};  ///< connections of this server
  std::vector<Session*> sessions;
  std::array<std::uint64_t, 6> answers{};  ///< by the status code's first digit
  Head head;                               ///< scratch; not valid beyond a suspension
  std::vector<char> waste;                 ///< where bytes go that nobody wants
  std::uint64_t next_request_id;
  std::uint32_t request_id_prefix;
};

/// A place among the connections, given back when it goes.
class Place {
 public:
  /// Nothing: the server, or this address, has too many connections.
  static std::optional<Place> take(const std::shared_ptr<Edge>& edge,
                                   const boost::asio::ip::address& peer);
  Place(Place&& other) noexcept = default;
  Place& operator=(Place&& other) = delete;
  ~Place();

 private:
  Place(std::shared_ptr<Edge> edge, std::string ip) : edge_(std::move(edge)), ip_(std::move(ip)) {}
  std::shared_ptr<Edge> edge_;
  std::string ip_;  ///< "": not counted
};

/// Bytes that were received and not yet used.
class Buffer {
 public:
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void consume(std::size_t n);
  /// Room behind the bytes, at least `n`.
  boost::asio::mutable_buffer room(std::size_t n);
  void commit(std::size_t n) { end_ += n; }
  /// Gives memory back if there is much of it. Only when empty.
  void shrink();

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

class Session {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using TimePoint = std::chrono::steady_clock::time_point;

  /// place: none - the connection is told so and closed.
  Session(std::shared_ptr<Edge> edge, Socket socket, std::string peer, std::optional<Place> place);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// The whole life of a connection. Never throws.
  static boost::asio::awaitable<void> serve(std::unique_ptr<Session> session);

  /// The edge's sweep: cuts what is over its time.
  void sweep(TimePoint now);
  /// The process stood still for so long: nobody is to blame for it.
  void postpone(std::chrono::steady_clock::duration by) { deadline_ += by; }
  /// Ends an idle connection; a busy one ends with its answer.
  void drain();
  void cut();

 private:
  enum class Phase : std::uint8_t { idle, head, body, handler, write, linger };
  enum class Sent : std::uint8_t { all, some, failed };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<bool> read_body();
  boost::asio::awaitable<void> handle();
  boost::asio::awaitable<bool> flush();
  boost::asio::awaitable<void> linger();

  void enter(Phase phase, std::chrono::milliseconds limit);
  void await_head();
  std::size_t rescue();
  bool refuse(const Refusal& refusal);
  bool refuse(Problem kind, std::string_view detail = {}, bool close = false);
  bool open_request();
  void fill_request(const Head& head);
  bool check_credential_form();
  bool permit(Result<Principal> principal);
  bool admit_upgrade();
  bool admit_body();
  std::size_t body_bytes_max() const;
  bool wants_body() const { return chunked_ || content_length_ > 0; }
  bool skippable_body() const;
  bool take_body();
  bool reserve(std::size_t bytes);
  void release();
  void next_request_id();
  void write_head();
  Sent send();

  const std::shared_ptr<Edge> edge_;
  Socket socket_;
  std::optional<Place> place_;
  const std::string peer_;
  std::size_t index_;  ///< in Edge::sessions

  Phase phase_ = Phase::idle;
  bool timed_out_ = false;
  TimePoint deadline_;
  TimePoint body_began_;
  std::size_t body_received_ = 0;

  Buffer in_;
  HeadReader reader_;
  Request request_;
  const Route* route_ = nullptr;
  std::string_view bearer_;
  std::uint64_t content_length_ = 0;
  std::optional<ChunkReader> chunks_;
  bool chunked_ = false;
  bool client_closes_ = false;
  bool upgrade_ = false;
  bool expect_continue_ = false;
  bool takeover_ = false;
  unsigned authorizations_ = 0;
  unsigned content_types_ = 0;
  std::size_t reserved_ = 0;
  std::size_t requests_ = 0;

  Response answer_;
  std::string out_;
  std::array<boost::asio::const_buffer, 2> unsent_;
};

}  // namespace sara::http
