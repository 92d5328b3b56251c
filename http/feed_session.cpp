#include "http/feed_session.hpp"

#include <algorithm>
#include <boost/asio.hpp>
#include <span>
#include <utility>

#include "base/metric.hpp"
#include "http/feed.hpp"
#include "messages/view.hpp"

namespace sara::http {

namespace asio = boost::asio;
using namespace messages;
using namespace domain;
using boost::system::error_code;

namespace {

constexpr int replay_page = 500;
constexpr int reads_at_once = 4;
constexpr std::uint32_t close_patience_ms = 5'000;
constexpr auto failure_pause = std::chrono::milliseconds(250);
constexpr auto short_pause = std::chrono::milliseconds(20);
constexpr int failures_max = 20;
/// Pings are answered while no more than this waits: who does not read gets no more of them.
constexpr std::size_t waiting_for_pong_max = 4096;
constexpr std::size_t kept_out_bytes = 512;  ///< of a buffer that is empty again

metric::Gauge& open_sockets() {
  static auto gauge = metric::gauge("madansara_live_sockets", "open WebSockets of the live feed");
  return gauge;
}

std::string as_json(std::string_view text) {
  std::string out;
  json::Writer(out).string(text);
  return out;
}

std::uint32_t in_ms(std::chrono::milliseconds time) {
  return static_cast<std::uint32_t>(time.count());
}

bool would_block(const error_code& error) {
  return error == asio::error::would_block || error == asio::error::try_again;
}

}  // namespace

FeedSession::FeedSession(FeedHub& hub, Socket socket, Principal who, std::shared_ptr<void> place)
    : hub_(hub), socket_(std::move(socket)), who_(std::move(who)), place_(std::move(place)) {
  ++hub_.session_count_;
  open_sockets().add(1);
  // Thousands that come at once do not have their heartbeats at once.
  constexpr std::uint32_t spread = 16;
  const auto nth = hub_.joined_++ % spread;
  heard_ = second_ = hub_.now_;
  pinged_ = heard_ - in_ms(hub_.limits_.ping) / spread * nth;
  marked_ = heard_ - in_ms(hub_.limits_.mark) / spread * nth;
}

FeedSession::~FeedSession() {
  --hub_.session_count_;
  open_sockets().add(-1);
}

void FeedSession::greet(Sequence seq) {
  greeted_ = true;
  hello_seq_ = seq;
  push(Opcode::text, "{\"type\":\"hello\",\"tenant_id\":\"" + sara::to_string(who_.tenant_id) +
                         "\",\"seq\":" + std::to_string(seq) + "}");
}

// --- what comes in ---------------------------------------------------------------------------

/// Waits until the socket can be read: until then it costs no buffer. Every end of the session is
/// noticed here, so that nobody leaves while others walk over the sessions.
void FeedSession::await_readable() {
  socket_.async_wait(Socket::wait_read, [me = shared_from_this()](const error_code& error) {
    if (error)
      me->gone();
    else
      me->read();
  });
}

void FeedSession::read() {
  corked_ = true;
  const FrameLimits limits{.message_bytes_max = hub_.limits_.message_bytes_max};
  auto& input = hub_.input_;
  std::size_t n = input.size();
  for (int i = 0; i < reads_at_once && n == input.size() && socket_.is_open(); ++i) {
    error_code error;
    n = socket_.read_some(asio::buffer(input), error);
    if (would_block(error)) break;
    if (error) return gone();
    heard_ = hub_.now_;
    // Who is told goodbye is not listened to any more: what comes is read over up to its end.
    if (closing_) continue;
    auto wrong = reader_.take(input.data(), n, limits, [this](Opcode kind, std::string_view text) {
      return take_message(kind, text);
    });
    if (wrong != CloseCode::none) close(wrong, "");
  }
  corked_ = false;
  pump();
  await_readable();
}

/// Returns whether to read on.
bool FeedSession::take_message(Opcode kind, std::string_view payload) {
  switch (kind) {
    case Opcode::ping:
      if (out_.size() - out_sent_ <= waiting_for_pong_max) push(Opcode::pong, payload);
      return true;
    case Opcode::pong: return true;
    case Opcode::close: close(judge_close(payload), ""); return false;
    default: break;
  }
  if (hub_.now_ - second_ > 1000) {
    second_ = hub_.now_;
    commands_in_second_ = 0;
  }
  if (++commands_in_second_ > hub_.limits_.commands_per_second_max)
    close(CloseCode::policy_error, "too many commands");
  else if (kind != Opcode::text)
    close(CloseCode::unknown_data, "text frames only");
  else
    obey(payload);
  return !closing_;
}

void FeedSession::obey(std::string_view text) {
  auto command = parse_feed_command(text, who_.key_id);
  if (!command) {
    auto& e = command.error();
    std::string detail =
        e.fields.empty() ? e.detail : e.fields[0].pointer + " " + e.fields[0].detail;
    push(Opcode::text, "{\"type\":\"error\",\"detail\":" + as_json(detail) + "}");
    return;
  }
  switch (command->type) {
    case FeedCommand::Type::ping: push(Opcode::text, "{\"type\":\"pong\"}"); break;
    case FeedCommand::Type::subscribe: subscribe(*command); break;
    case FeedCommand::Type::typing:
    case FeedCommand::Type::viewing: {
      bool typing = command->type == FeedCommand::Type::typing;
      std::string out;
      {
        json::Writer w(out);
        w.begin_object().member("type", "presence").member("state", typing ? "typing" : "viewing");
        w.member("conversation_id", command->conversation_id).member("agent", who_.key_id);
        w.member("at", to_rfc3339(hub_.service_.clock.now())).end_object();
      }
      for (auto* other : topic_->sessions)
        if (other != this) other->tell(out);
      break;
    }
  }
}

void FeedSession::tell(std::string_view text) {
  if (!greeted_ || too_far_behind() || out_.size() >= hub_.limits_.queue_bytes_max) return;
  push(Opcode::text, text);
}

// --- events ----------------------------------------------------------------------------------

void FeedSession::subscribe(const FeedCommand& command) {
  // A new subscription replaces the one before: what that one has queued is not sent any more.
  drop_events();
  topic_->leave_log(log_);
  log_ = topic_->join_log(command.filter, hub_.held_);
  position_ = previous_ = written_ = command.after.value_or(hello_seq_);
  resyncing_ = false;
  ++subscription_;
  wake_replay();
  replay();
}

void FeedSession::replay() {
  mode_ = Mode::replaying;
  if (goes_live()) return;
  asio::co_spawn(socket_.get_executor(), catch_up(shared_from_this(), subscription_),
                 asio::detached);
}

/// Goes live if there is nothing between it and the topic's present.
bool FeedSession::goes_live() {
  if (at_ || position_ != topic_->position) return false;
  mode_ = Mode::live;
  return true;
}

bool FeedSession::advance() {
  if (mode_ != Mode::live || position_ >= topic_->position) return false;
  position_ = topic_->position;
  auto& fresh = log_->fresh();
  if (!fresh) return false;
  if (!at_)
    at_ = previous_ == log_->fresh_previous() ? fresh : log_->fresh_after(previous_);
  else if (!at_->shared && !at_->next)
    at_->next = fresh;
  previous_ = log_->previous();
  pump();
  if (too_far_behind()) overflow(written_);
  return true;
}

void FeedSession::interrupt() {
  if (mode_ == Mode::live) replay();
}

Task<void> FeedSession::catch_up(std::shared_ptr<FeedSession> me, std::uint32_t subscription) {
  auto& self = *me;
  auto current = [&] {
    return self.subscription_ == subscription && self.mode_ == Mode::replaying;
  };
  error_code ignored;
  asio::steady_timer pause(self.socket_.get_executor());
  bool first = true;
  int failures = 0;
  while (current()) {
    // A replay never overflows: the socket takes what it has before there is more.
    if (self.at_) {
      self.replay_waits_ = &pause;
      pause.expires_at(asio::steady_timer::time_point::max());
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      if (self.replay_waits_ == &pause) self.replay_waits_ = nullptr;
      continue;
    }
    if (self.goes_live()) co_return;
    if (self.takes_recent()) continue;
    int limit = std::min<int>(
        replay_page, std::max(1, static_cast<int>(self.hub_.limits_.queue_events_max / 2)));
    ReplayJournal query{self.who_.tenant_id, self.position_, limit};
    auto page = co_await self.hub_.service_.read(std::move(query));
    if (!current()) co_return;
    if (!page && ++failures >= failures_max) {
      self.close(CloseCode::try_again_later, "the journal cannot be read");
      co_return;
    }
    if (page) {
      failures = 0;
      auto& replay = **page;
      if (first && self.position_ > replay.last_seq) {
        self.mode_ = Mode::quiet;
        self.push(Opcode::text, "{\"type\":\"error\",\"detail\":\"after lies in the future\"}");
        co_return;
      }
      if (first && replay.last_seq - self.position_ > self.hub_.limits_.replay_events_max) {
        self.overflow(replay.last_seq);
        co_return;
      }
      first = false;
      if (self.takes_page(replay.events)) continue;
    }
    // The journal has no more, yet the topic stands elsewhere: it is about to hear of it.
    pause.expires_after(page ? short_pause : failure_pause);
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

/// Events that a replay puts before the log, as one chunk of this socket.
void FeedSession::take(const std::function<std::shared_ptr<const FeedEvent>()>& next) {
  auto chunk = std::make_shared<FeedChunk>(hub_.held_);
  while (chunk->bytes().size() < hub_.limits_.queue_bytes_max / 2 &&
         chunk->events() < std::max<std::size_t>(1, hub_.limits_.queue_events_max / 2)) {
    auto event = next();
    if (!event) break;
    position_ = event->seq;
    if (!wants(log_->filter, *event)) continue;
    chunk->append(*event, previous_);
    previous_ = event->seq;
  }
  if (chunk->events() == 0) return;
  at_ = std::move(chunk);
  pump();
}

/// From the topic's recent events, if they reach back to here.
bool FeedSession::takes_recent() {
  auto& ring = topic_->ring;
  if (ring.empty() || ring.front()->seq > position_ + 1 || ring.back()->seq <= position_)
    return false;
  auto at = static_cast<std::size_t>(position_ + 1 - ring.front()->seq);
  take([&]() -> std::shared_ptr<const FeedEvent> {
    return at < ring.size() ? ring[at++] : nullptr;
  });
  return true;
}

bool FeedSession::takes_page(const std::vector<std::shared_ptr<const JournalEvent>>& page) {
  if (page.empty()) return false;
  auto at = page.begin();
  take([&]() -> std::shared_ptr<const FeedEvent> {
    return at != page.end() ? render_event(**at++) : nullptr;
  });
  return true;
}

void FeedSession::overflow(Sequence after) {
  drop_events();
  mode_ = Mode::quiet;
  ++subscription_;
  resyncing_ = true;
  resync_since_ = hub_.now_;
  push(Opcode::text, "{\"type\":\"resync\",\"after\":" + std::to_string(after) + "}");
}

/// Nothing of the log is sent any more, but for the frame that has begun.
void FeedSession::drop_events() {
  if (!at_) return;
  auto end = at_->frame_end(sent_);
  if (end > sent_) {
    stop_ = end;
    return;
  }
  at_ = nullptr;
  sent_ = stop_ = 0;
}

std::uint64_t FeedSession::waiting_bytes() const {
  std::uint64_t waiting = out_.size() - out_sent_;
  if (!at_) return waiting;
  if (stop_ > 0) return waiting + stop_ - sent_;
  waiting += at_->bytes().size() - sent_;
  return at_->next ? waiting + log_->bytes() - at_->next->bytes_before : waiting;
}

bool FeedSession::too_far_behind() const {
  if (!at_) return false;
  auto& limits = hub_.limits_;
  if (waiting_bytes() >= limits.queue_bytes_max || hub_.held_ >= limits.held_bytes_max) return true;
  if (stop_ > 0) return false;
  auto events = at_->events_from(sent_);
  if (at_->next) events += static_cast<std::size_t>(log_->events() - at_->next->events_before);
  return events >= limits.queue_events_max;
}

// --- what goes out ---------------------------------------------------------------------------

void FeedSession::push(Opcode kind, std::string_view payload) {
  if (closing_) return;
  append_frame(out_, kind, payload);
  pump();
}

/// What the next write is made of: a frame that has begun, then frames of its own, then the log.
std::size_t FeedSession::gather(Parts& parts, std::size_t& count) const {
  std::size_t total = 0;
  auto add = [&](const std::string& bytes, std::size_t from, std::size_t to) {
    if (from >= to || count == parts.size()) return;
    parts[count++] = asio::buffer(bytes.data() + from, to - from);
    total += to - from;
  };
  auto from = sent_;
  if (at_ && !out_.empty()) {
    from = std::max(from, at_->frame_end(sent_));
    add(at_->bytes(), sent_, from);
  }
  add(out_, out_sent_, out_.size());
  if (!at_) return total;
  add(at_->bytes(), from, stop_ > 0 ? stop_ : at_->bytes().size());
  if (stop_ > 0) return total;
  for (auto* chunk = at_->next.get(); chunk != nullptr; chunk = chunk->next.get())
    add(chunk->bytes(), 0, chunk->bytes().size());
  return total;
}

void FeedSession::pump() {
  while (!corked_ && !blocked_ && socket_.is_open()) {
    Parts parts;
    std::size_t count = 0;
    const auto wanted = gather(parts, count);
    if (wanted == 0) break;
    error_code error;
    const auto sent =
        count == 1 ? socket_.write_some(parts[0], error)
                   : socket_.write_some(std::span(parts.data(), count), error);
    if (error && !would_block(error)) return cut();
    took(error ? 0 : sent);
    if (error || sent < wanted) return await_writable();
  }
  if (!closing_ || parted_ || corked_ || at_ || !out_.empty()) return;
  // The peer has our close: it ends the connection, or the tick does.
  parted_ = true;
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void FeedSession::took(std::size_t bytes) {
  if (at_ && !out_.empty()) {
    auto begun = std::min(bytes, std::max(at_->frame_end(sent_), sent_) - sent_);
    went_on(begun);
    bytes -= begun;
  }
  auto own = std::min(bytes, out_.size() - out_sent_);
  out_sent_ += own;
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
    if (out_.capacity() > kept_out_bytes) out_.shrink_to_fit();
  }
  went_on(bytes - own);
  if (!at_) wake_replay();
}

/// So many bytes of the log have gone.
void FeedSession::went_on(std::size_t bytes) {
  while (bytes > 0) {
    auto end = stop_ > 0 ? stop_ : at_->bytes().size();
    auto step = std::min(bytes, end - sent_);
    sent_ += step;
    bytes -= step;
    written_ = at_->event_at(sent_);
    if (sent_ < end) return;
    auto next = stop_ > 0 ? nullptr : at_->next;
    at_ = std::move(next);
    sent_ = stop_ = 0;
  }
}

void FeedSession::await_writable() {
  blocked_ = true;
  write_began_ = hub_.now_;
  socket_.async_wait(Socket::wait_write, [me = shared_from_this()](const error_code& error) {
    if (error) return;
    me->blocked_ = false;
    me->pump();
  });
}

void FeedSession::wake_replay() {
  if (auto* timer = std::exchange(replay_waits_, nullptr)) timer->cancel();
}

// --- time, and the end -----------------------------------------------------------------------

void FeedSession::tick() {
  const auto now = hub_.now_;
  auto& limits = hub_.limits_;
  if (closing_) {
    // A peer that neither reads nor answers the close would keep its socket for ever.
    if (now - closing_since_ > close_patience_ms) cut();
    return;
  }
  bool stalled = blocked_ && now - write_began_ > in_ms(limits.write_stall);
  bool silent = now - heard_ > in_ms(limits.pong_timeout);
  if (stalled || silent) return cut();
  bool caught_up = !at_ && out_.empty();
  if (resyncing_ && caught_up) resyncing_ = false;
  if (resyncing_ && now - resync_since_ > in_ms(limits.resync_patience))
    return close(CloseCode::try_again_later, "too slow");
  if (now - pinged_ > in_ms(limits.ping)) {
    pinged_ = now;
    if (out_.size() - out_sent_ <= waiting_for_pong_max) push(Opcode::ping, {});
  }
  if (mode_ == Mode::live && caught_up && now - marked_ > in_ms(limits.mark)) {
    marked_ = now;
    push(Opcode::text, "{\"type\":\"mark\",\"seq\":" + std::to_string(position_) + "}");
  }
}

void FeedSession::close(CloseCode code, std::string_view reason) {
  if (closing_) return;
  drop_events();
  append_close(out_, code, reason);
  closing_ = true;
  closing_since_ = hub_.now_;
  mode_ = Mode::quiet;
  ++subscription_;
  wake_replay();
  pump();
}

/// Ends the socket at once, without a goodbye; who waits for it hears of it. What the peer will
/// never read must not stay in the kernel's memory.
void FeedSession::cut() {
  error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
}

void FeedSession::gone() {
  if (topic_ != nullptr) hub_.leave(*this);
  closing_ = true;
  mode_ = Mode::quiet;
  ++subscription_;
  at_ = nullptr;
  wake_replay();
  cut();
}

}  // namespace sara::http
