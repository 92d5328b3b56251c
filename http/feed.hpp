// The live feed's edge: per io thread, the hub that hands a tenant's events to its sockets. An
// event is made into a frame once and shared; a socket is a place in the log of its filter. What
// comes while a turn is under way goes out together with the next. A session replays the journal up
// to the present and then goes live, with no gap and no repetition.
#pragma once

#include <boost/asio.hpp>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "domain/inbox.hpp"
#include "http/feed_command.hpp"
#include "http/feed_log.hpp"
#include "http/feed_session.hpp"
#include "http/router.hpp"
#include "http/service.hpp"
#include "messages/inbox.hpp"

namespace sara::http {

struct FeedLimits {
  std::chrono::milliseconds ping{20'000};
  std::chrono::milliseconds pong_timeout{60'000};
  std::chrono::milliseconds mark{10'000};
  std::chrono::milliseconds write_stall{20'000};
  std::chrono::milliseconds resync_patience{10'000};  ///< for who was told to reload to read so far
  std::size_t queue_bytes_max = 256 << 10;
  std::size_t queue_events_max = 512;
  /// Of all logs of an io thread: beyond it, who is behind is told to reload.
  std::size_t held_bytes_max = 64 << 20;
  Sequence replay_events_max = 100'000;
  std::size_t ring_events_max = 1024;
  std::size_t commands_per_second_max = 20;
  std::size_t message_bytes_max = 64 << 10;
  std::size_t sockets_per_tenant_max = 10'000;
};

/// One tenant's sockets on this io thread, and its recent events.
struct FeedTopic {
  TenantId tenant_id;
  std::vector<FeedSession*> sessions;
  std::vector<std::unique_ptr<FeedLog>> logs;  ///< one for each filter
  std::deque<std::shared_ptr<const messages::FeedEvent>> ring;
  std::deque<std::shared_ptr<const messages::FeedEvent>> pending;  ///< for the next turn
  Sequence position = 0;   ///< every event up to here stands in the logs
  bool listening = false;  ///< the inbox tells us, and `position` is known
  bool in_turn = false;
  std::size_t left = 0;  ///< sessions that this turn has still to serve

  FeedLog* join_log(const domain::InboxFilter& filter, std::size_t& held);
  void leave_log(FeedLog* log);
};

class FeedHub {
 public:
  FeedHub(Service& service, FeedLimits limits);
  ~FeedHub();

  /// The handler of GET /api/v1/inbox/live.
  Task<void> serve(Handover connection);
  /// What the inbox actor sends.
  void publish(const messages::FeedBatchPtr& batch);
  /// Closes every socket with 1001; they resume elsewhere.
  void drain();
  std::size_t sockets() const { return session_count_; }

  /// Makes a one-time ticket that stands for a credential for 30 seconds.
  std::string make_ticket(const Principal& principal, TimePoint& expires_at);

 private:
  friend class FeedSession;
  Task<Result<Principal>> who(const Request& request);
  bool origin_fits(const Request& request) const;
  Task<bool> shake_hands(const Request& request, boost::asio::ip::tcp::socket& socket);
  Task<void> welcome(const std::shared_ptr<FeedSession>& session);
  void join(FeedSession& session);
  void leave(FeedSession& session);
  Task<Result<void>> listen(TenantId tenant);
  void start_turn(FeedTopic& topic);
  void take_turn(TenantId tenant);
  void fill_logs(FeedTopic& topic);
  void tick();

  Service& service_;
  const FeedLimits limits_;
  std::unordered_map<TenantId, std::unique_ptr<FeedTopic>> topics_;
  boost::asio::steady_timer timer_;
  std::vector<char> input_;   ///< where all sockets read to
  std::size_t held_ = 0;      ///< bytes in the logs' chunks
  std::size_t session_count_ = 0;
  std::uint32_t joined_ = 0;  ///< sockets so far: spreads their heartbeats
  std::uint32_t now_ = 1;     ///< milliseconds, as of the last look at the clock
  unsigned ticks_ = 0;
  bool draining_ = false;
};

}  // namespace sara::http
