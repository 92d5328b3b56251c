// One WebSocket of the live feed, after its handshake: reads commands, writes frames. It is small
// while it is idle: no coroutine, no timer and no buffer of its own; it waits for readiness only.
// Everything runs on the hub's io thread.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "http/exchange.hpp"
#include "http/feed_log.hpp"
#include "http/service.hpp"
#include "http/websocket.hpp"

namespace sara::http {

class FeedHub;
struct FeedCommand;
struct FeedTopic;

class FeedSession : public std::enable_shared_from_this<FeedSession> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// place: what to give back when the socket is gone.
  FeedSession(FeedHub& hub, Socket socket, Principal who, std::shared_ptr<void> place);
  ~FeedSession();
  FeedSession(const FeedSession&) = delete;
  FeedSession& operator=(const FeedSession&) = delete;

  /// The journal stands at `seq`: everything after it will be told.
  void greet(Sequence seq);
  /// Starts to read.
  void await_readable();
  /// A turn has begun: sends what is new in its log. Returns whether there was something.
  bool advance();
  /// The topic's next event does not follow the one before: what is between stands in the journal.
  void interrupt();
  void tick();
  void close(CloseCode code, std::string_view reason);
  /// A presence of somebody else; left out if this socket is far behind.
  void tell(std::string_view text);

 private:
  friend class FeedHub;
  enum class Mode : std::uint8_t { quiet, replaying, live };
  using Parts = std::array<boost::asio::const_buffer, 16>;

  void read();
  bool take_message(Opcode kind, std::string_view payload);
  void obey(std::string_view text);

  void subscribe(const FeedCommand& command);
  void replay();
  bool goes_live();
  static Task<void> catch_up(std::shared_ptr<FeedSession> me, std::uint32_t subscription);
  void take(const std::function<std::shared_ptr<const messages::FeedEvent>()>& next);
  bool takes_recent();
  bool takes_page(const std::vector<std::shared_ptr<const domain::JournalEvent>>& page);
  void wake_replay();
  void overflow(Sequence after);
  void drop_events();
  std::uint64_t waiting_bytes() const;
  bool too_far_behind() const;

  void push(Opcode kind, std::string_view payload);
  void pump();
  std::size_t gather(Parts& parts, std::size_t& count) const;
  void took(std::size_t bytes);
  void went_on(std::size_t bytes);
  void await_writable();
  void cut();
  void gone();

  FeedHub& hub_;
  Socket socket_;
  Principal who_;
  std::shared_ptr<void> place_;
  FrameReader reader_;
  FeedTopic* topic_ = nullptr;  ///< none: it has left
  FeedLog* log_ = nullptr;
  std::size_t index_ = 0;  ///< in the topic

  std::string out_;           ///< frames of its own, sent between those of events
  std::size_t out_sent_ = 0;  ///< of out_
  FeedChunkPtr at_;           ///< where it is in its log; none: at the end
  std::size_t sent_ = 0;      ///< of that chunk
  std::size_t stop_ = 0;      ///< not 0: nothing of the log behind this byte of the chunk
  boost::asio::steady_timer* replay_waits_ = nullptr;  ///< until the socket has taken that

  Sequence hello_seq_ = 0;
  Sequence position_ = 0;  ///< every event up to here has been considered
  Sequence previous_ = 0;  ///< the last event put in the queue
  Sequence written_ = 0;   ///< the last event that the socket has taken, or is taking
  std::uint32_t subscription_ = 0;
  std::uint32_t commands_in_second_ = 0;
  // Times in the hub's milliseconds.
  std::uint32_t heard_, pinged_, marked_, second_;
  std::uint32_t write_began_ = 0, closing_since_ = 0, resync_since_ = 0;
  Mode mode_ = Mode::quiet;
  bool greeted_ = false;
  bool blocked_ = false;    ///< waits until the socket takes more
  bool corked_ = false;     ///< it reads now, and writes what that brings at its end
  bool closing_ = false;
  bool parted_ = false;     ///< the close has been sent
  bool resyncing_ = false;  ///< it was told to, and has not taken that yet
};

}  // namespace sara::http
