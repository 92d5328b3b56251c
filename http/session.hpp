// One connection, from its first byte to its last: read the head, judge it, find the route, check
// the credential, read the body, call the handler, write the answer; then the same again. Requests
// of one connection are served one after the other, so the order of pipelined answers is given.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/chunk.hpp"
#include "http/edge.hpp"

namespace sara::http {

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
  boost::asio::awaitable<bool> wait_for_place();
  boost::asio::awaitable<void> handle();
  boost::asio::awaitable<bool> flush();
  boost::asio::awaitable<void> linger();

  void enter(Phase phase, std::chrono::milliseconds limit);
  void await_head();
  std::size_t rescue();
  bool refuse(const Refusal& refusal);
  bool refuse(Problem kind, std::string_view detail = {}, bool close = false);
  bool refuse(Refused why);
  bool open_request();
  void fill_request(const Head& head);
  bool check_credential_form();
  bool needs_credential() const;
  bool permit(Result<Principal> principal);
  bool within_quota(bool good);
  bool in_time();
  bool enter();
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
  const bool on_loopback_;
  Quota* quota_ = nullptr;  ///< whose headers the answer carries
  Quota::Standing standing_;
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
  TenantId tenant_;               ///< whose request it is; none: not known
  bool hurried_ = false;          ///< stood behind a refused one, and so has waited already
  std::optional<Gate::Pass> pass_;
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
