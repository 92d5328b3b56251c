// What the sessions of one io thread share, and what each holds of the whole: its place among the
// connections, its buffer.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
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

#include "http/gate.hpp"
#include "http/head.hpp"
#include "http/quota.hpp"
#include "http/server.hpp"

namespace sara::http {

/// Counters of all io threads together.
struct Server::Shared {
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> body_bytes{0};
  std::mutex mutex;  ///< for what follows; taken once for each connection, never for a request
  std::unordered_map<std::string, std::size_t> connections_per_ip;
  std::vector<boost::asio::ip::tcp::endpoint> listening;
  std::unique_ptr<Quota> key_quota;       ///< none: no quota. Made with the first edge.
  std::unique_ptr<Quota> stranger_quota;  ///< of clients without a good credential
  std::unique_ptr<Quota> webhook_quota;   ///< of a tenant's providers
};

class Session;

/// What the sessions of one io thread share. One thread: no locks.
struct Edge {
  Edge(const Router& router, Limits limits, Authenticate auth, std::shared_ptr<Server::Shared> all);

  const Router& router;
  const Limits limits;
  const Authenticate authenticate;
  const std::shared_ptr<Server::Shared> shared;
  std::unique_ptr<Gate> gate;  ///< made with the server

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
  static constexpr std::size_t bytes_min = 4 * 1024;  ///< a request of usual size, in one read

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

}  // namespace sara::http
