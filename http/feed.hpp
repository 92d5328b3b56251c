// The live feed's edge: WebSocket sessions and, per io thread, the hub that hands them a tenant's
// events. An event is rendered once and shared; each socket has a bounded queue of references. A
// session replays the journal up to the present and then goes live, with no gap and no repetition.
#pragma once

#include <boost/asio.hpp>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "domain/inbox.hpp"
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
  Sequence replay_events_max = 100'000;
  std::size_t ring_events_max = 1024;
  std::size_t commands_per_second_max = 20;
  std::size_t message_bytes_max = 64 << 10;
  std::size_t sockets_per_tenant_max = 10'000;
};

class FeedSession;

/// Which events a socket wants.
bool wants(const domain::InboxFilter& filter, const messages::FeedEvent& event);

/// {"type":"subscribe",...} and the like, read. errors: invalid_argument, malformed
struct FeedCommand {
  enum class Type : std::uint8_t { subscribe, typing, viewing, ping };
  Type type = Type::ping;
  domain::InboxFilter filter;
  std::optional<Sequence> after;
  std::string conversation_id;
};
Result<FeedCommand> parse_feed_command(std::string_view text, std::string_view me);

class FeedHub {
 public:
  FeedHub(Service& service, FeedLimits limits);
  ~FeedHub();

  /// The handler of GET /api/v1/inbox/live.
  Task<void> serve(Request request, boost::asio::ip::tcp::socket socket, std::string leftover);
  /// What the inbox actor sends.
  void publish(const messages::FeedBatchPtr& batch);
  /// Closes every socket with 1001; they resume elsewhere.
  void drain();
  std::size_t sockets() const { return session_count_; }

  /// Makes a one-time ticket that stands for a credential for 30 seconds.
  std::string make_ticket(const Principal& principal, TimePoint& expires_at);

 private:
  friend class FeedSession;
  struct Topic {
    std::deque<std::shared_ptr<const messages::FeedEvent>> ring;
    std::unordered_set<FeedSession*> sessions;
    bool listening = false;
  };
  Task<Result<Principal>> who(const Request& request);
  bool origin_fits(const Request& request) const;
  void join(TenantId tenant, FeedSession* session);
  void leave(TenantId tenant, FeedSession* session);
  Task<Result<void>> listen(TenantId tenant);
  void tick();

  Service& service_;
  FeedLimits limits_;
  std::unordered_map<TenantId, Topic> topics_;
  boost::asio::steady_timer timer_;
  std::size_t session_count_ = 0;
  bool draining_ = false;
};

}  // namespace sara::http
