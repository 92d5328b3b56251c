// WebSocket sessions of the live feed.
#include "http/feed.hpp"

#include <boost/beast.hpp>

#include "base/log.hpp"
#include "base/metric.hpp"
#include "base/random.hpp"
#include "http/admission.hpp"
#include "http/answer.hpp"
#include "messages/view.hpp"

namespace sara::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using namespace messages;
using namespace domain;
using std::chrono::steady_clock;

namespace {

constexpr int replay_page = 500;
constexpr auto tick_every = std::chrono::seconds(1);
constexpr auto ticket_life = std::chrono::seconds(30);
constexpr auto close_patience = std::chrono::seconds(5);
constexpr std::size_t tickets_max = 10'000;

metric::Gauge& open_sockets() {
  static auto gauge = metric::gauge("madansara_live_sockets", "open WebSockets of the live feed");
  return gauge;
}

std::string as_json(std::string_view text) {
  std::string out;
  json::Writer(out).string(text);
  return out;
}

}  // namespace

bool wants(const InboxFilter& filter, const FeedEvent& event) {
  if (filter.empty()) return true;
  if (!event.about_conversation) return false;
  if (!passes(filter, event.before) && !passes(filter, event.after)) return false;
  return filter.text.empty() ||
         (event.contact && mentions(filter.text, *event.contact, event.preview));
}

Result<FeedCommand> parse_feed_command(std::string_view text, std::string_view me) {
  auto doc = json::parse(text);
  if (!doc) return fail(doc.error());
  auto root = doc->root();
  auto type = root["type"].string_or("");
  FeedCommand command;
  if (type == "ping") {
    command.type = FeedCommand::Type::ping;
    if (auto known = only_members(root, "", {"type"}); !known) return fail(known.error());
    return command;
  }
  if (type == "typing" || type == "viewing") {
    command.type = type == "typing" ? FeedCommand::Type::typing : FeedCommand::Type::viewing;
    if (auto known = only_members(root, "", {"type", "conversation_id"}); !known)
      return fail(known.error());
    command.conversation_id = root["conversation_id"].string_or("");
    if (!ConversationId::parse(command.conversation_id))
      return fail(invalid("/conversation_id", "is not an id"));
    return command;
  }
  if (type != "subscribe")
    return fail(invalid("/type", "must be subscribe, typing, viewing or ping"));
  command.type = FeedCommand::Type::subscribe;
  if (auto known = only_members(root, "", {"type", "filter", "after"}); !known)
    return fail(known.error());
  if (auto after = root["after"]; after.exists() && !after.is_null()) {
    command.after = after.integer();
    if (!command.after || *command.after < 0)
      return fail(invalid("/after", "must be a sequence number"));
  }
  auto filter = root["filter"];
  if (filter.exists() && !filter.is_null() && !filter.is_object())
    return fail(invalid("/filter", "must be an object"));
  for (auto& [name, value] : filter.members()) {
    if (value.is_null()) continue;
    std::string as_text = value.string()    ? std::string(*value.string())
                          : value.boolean() ? (*value.boolean() ? "true" : "false")
                                            : std::string();
    if (as_text.empty()) return fail(invalid("/filter/" + std::string(name), "must be a string"));
    if (auto set = set_filter(command.filter, name, as_text, me); !set)
      return fail(invalid("/filter/" + std::string(name), set.error().fields.empty()
                                                              ? set.error().detail
                                                              : set.error().fields[0].detail));
  }
  return command;
}

/// One socket. Everything runs on the hub's io thread; the coroutines that use it hold it.
class FeedSession : public std::enable_shared_from_this<FeedSession> {
 public:
  FeedSession(FeedHub& hub, asio::ip::tcp::socket socket, Principal who)
      : hub_(hub), ws_(std::move(socket)), who_(std::move(who)), wake_(ws_.get_executor()) {
    ++hub_.session_count_;
    open_sockets().add(1);
    wake_.expires_at(steady_clock::time_point::max());
  }
  ~FeedSession() {
    --hub_.session_count_;
    open_sockets().add(-1);
  }

  static Task<void> run(const std::shared_ptr<FeedSession>& me, const Request& request);
  void deliver(const std::shared_ptr<const FeedEvent>& event);
  void tick(steady_clock::time_point now);
  void close(websocket::close_code code, const char* reason);
  void cut();
  void push_text(std::string text);

 private:
  enum class Mode : std::uint8_t { quiet, replaying, live };
  /// A frame that waits: an event with its prev_seq, or a text of its own.
  struct Frame {
    std::shared_ptr<const FeedEvent> event;
    std::string text;  ///< of an event: ,"prev_seq":1290
    std::size_t size() const {
      return text.size() + (event ? event->head.size() + event->tail.size() : 0);
    }
  };

  static Task<void> write_all(std::shared_ptr<FeedSession> me);
  static Task<void> catch_up(std::shared_ptr<FeedSession> me, std::uint64_t subscription);
  void handle(std::string_view text);
  void subscribe(const FeedCommand& command);
  void enqueue(Frame frame);
  void offer(const std::shared_ptr<const FeedEvent>& event);
  bool attach();
  void overflow(Sequence after);
  bool full() const {
    return queue_.size() >= hub_.limits_.queue_events_max ||
           queued_bytes_ >= hub_.limits_.queue_bytes_max;
  }

  FeedHub& hub_;
  websocket::stream<asio::ip::tcp::socket> ws_;
  Principal who_;
  asio::steady_timer wake_;
  std::deque<Frame> queue_;
  std::size_t queued_bytes_ = 0;
  Mode mode_ = Mode::quiet;
  InboxFilter filter_;
  Sequence hello_seq_ = 0;
  Sequence position_ = 0;  ///< every event up to here has been considered
  Sequence previous_ = 0;  ///< the last event put in the queue
  Sequence written_ = 0;   ///< the last event that the socket has taken, or is taking
  std::uint64_t subscription_ = 0;
  bool closing_ = false;
  bool greeted_ = false;
  bool writing_ = false;
  bool pinging_ = false;
  steady_clock::time_point closing_since_{};
  steady_clock::time_point write_began_{};
  steady_clock::time_point heard_ = steady_clock::now();
  steady_clock::time_point pinged_ = steady_clock::now();
  steady_clock::time_point marked_ = steady_clock::now();
  steady_clock::time_point resync_since_{};
  steady_clock::time_point second_ = steady_clock::now();
  std::size_t commands_in_second_ = 0;
};

Task<void> FeedSession::run(const std::shared_ptr<FeedSession>& me, const Request& request) {
  auto& self = *me;
  beast::http::request<beast::http::empty_body> handshake;
  handshake.method(beast::http::verb::get);
  handshake.target(request.target);
  handshake.version(11);
  for (auto& [name, value] : request.headers) handshake.insert(name, value);
  self.ws_.set_option(websocket::stream_base::decorator([](websocket::response_type& response) {
    response.erase(beast::http::field::server);
  }));
  self.ws_.read_message_max(self.hub_.limits_.message_bytes_max);
  self.ws_.auto_fragment(false);
  self.ws_.text(true);
  boost::system::error_code error;
  co_await self.ws_.async_accept(handshake, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;
  self.ws_.control_callback([raw = me.get()](websocket::frame_type, beast::string_view) {
    raw->heard_ = steady_clock::now();
  });

  // Join first: another socket's leaving would stop the listening that this one has asked for.
  self.hub_.join(self.who_.tenant_id, me.get());
  // Listen, then ask where the journal stands: nothing can fall between.
  auto listening = co_await self.hub_.listen(self.who_.tenant_id);
  ReplayJournal where{self.who_.tenant_id, INT64_MAX - 1, 1};
  auto now = co_await self.hub_.service_.read(std::move(where));
  if (self.hub_.draining_) {
    self.close(websocket::close_code::going_away, "resume with after=");
  } else if (!listening || !now) {
    self.close(websocket::close_code::try_again_later, "not ready");
  } else {
    self.hello_seq_ = (*now)->last_seq;
    self.greeted_ = true;
    self.push_text("{\"type\":\"hello\",\"tenant_id\":\"" +
                   sara::to_string(self.who_.tenant_id) +
                   "\",\"seq\":" + std::to_string(self.hello_seq_) + "}");
  }
  asio::co_spawn(self.ws_.get_executor(), write_all(me), asio::detached);

  beast::flat_buffer buffer;
  while (true) {
    co_await self.ws_.async_read(buffer, asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    self.heard_ = steady_clock::now();
    if (self.heard_ - self.second_ > std::chrono::seconds(1)) {
      self.second_ = self.heard_;
      self.commands_in_second_ = 0;
    }
    if (++self.commands_in_second_ > self.hub_.limits_.commands_per_second_max) {
      self.close(websocket::close_code::policy_error, "too many commands");
    } else if (!self.ws_.got_text()) {
      self.close(websocket::close_code::unknown_data, "text frames only");
    } else {
      auto data = buffer.cdata();
      self.handle({static_cast<const char*>(data.data()), data.size()});
    }
    buffer.consume(buffer.size());
    if (buffer.capacity() > 8192) buffer = beast::flat_buffer();
  }
  self.hub_.leave(self.who_.tenant_id, me.get());
  self.closing_ = true;
  self.mode_ = Mode::quiet;
  self.wake_.cancel();
  // A write that hangs would keep the socket for ever: nobody ticks it any more.
  self.ws_.next_layer().close(error);
}

void FeedSession::push_text(std::string text) { enqueue(Frame{nullptr, std::move(text)}); }

void FeedSession::enqueue(Frame frame) {
  if (closing_) return;
  queued_bytes_ += frame.size();
  queue_.push_back(std::move(frame));
  wake_.cancel();
}

Task<void> FeedSession::write_all(std::shared_ptr<FeedSession> me) {
  auto& self = *me;
  boost::system::error_code error;
  while (!self.closing_) {
    if (self.queue_.empty()) {
      co_await self.wake_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    Frame frame = std::move(self.queue_.front());
    self.queue_.pop_front();
    self.queued_bytes_ -= frame.size();
    self.writing_ = true;
    self.write_began_ = steady_clock::now();
    if (frame.event) {
      self.written_ = frame.event->seq;
      std::array<asio::const_buffer, 3> parts{asio::buffer(frame.event->head),
                                              asio::buffer(frame.text),
                                              asio::buffer(frame.event->tail)};
      co_await self.ws_.async_write(parts, asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await self.ws_.async_write(asio::buffer(frame.text),
                                    asio::redirect_error(asio::use_awaitable, error));
    }
    self.writing_ = false;
    if (error) break;
  }
}

void FeedSession::handle(std::string_view text) {
  auto command = parse_feed_command(text, who_.key_id);
  if (!command) {
    auto& e = command.error();
    std::string detail =
        e.fields.empty() ? e.detail : e.fields[0].pointer + " " + e.fields[0].detail;
    push_text("{\"type\":\"error\",\"detail\":" + as_json(detail) + "}");
    return;
  }
  switch (command->type) {
    case FeedCommand::Type::ping: push_text("{\"type\":\"pong\"}"); break;
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
      for (auto* other : hub_.topics_[who_.tenant_id].sessions)
        if (other != this && other->greeted_ && !other->full()) other->push_text(out);
      break;
    }
  }
}

void FeedSession::subscribe(const FeedCommand& command) {
  // A new subscription replaces the one before: what that one has queued is not sent any more.
  std::erase_if(queue_, [&](const Frame& f) {
    if (!f.event) return false;
    queued_bytes_ -= f.size();
    return true;
  });
  filter_ = command.filter;
  position_ = previous_ = written_ = command.after.value_or(hello_seq_);
  resync_since_ = {};
  mode_ = Mode::replaying;
  asio::co_spawn(ws_.get_executor(), catch_up(shared_from_this(), ++subscription_),
                 asio::detached);
}

void FeedSession::offer(const std::shared_ptr<const FeedEvent>& event) {
  position_ = event->seq;
  if (!wants(filter_, *event)) return;
  enqueue(Frame{event, ",\"prev_seq\":" + std::to_string(previous_)});
  previous_ = event->seq;
}

void FeedSession::deliver(const std::shared_ptr<const FeedEvent>& event) {
  if (mode_ != Mode::live || event->seq <= position_) return;
  if (event->seq != position_ + 1) {
    // Something was committed that we were not told of: the journal knows.
    mode_ = Mode::replaying;
    asio::co_spawn(ws_.get_executor(), catch_up(shared_from_this(), subscription_),
                   asio::detached);
    return;
  }
  if (full()) {
    overflow(written_);
    return;
  }
  offer(event);
}

void FeedSession::overflow(Sequence after) {
  queue_.clear();
  queued_bytes_ = 0;
  mode_ = Mode::quiet;
  ++subscription_;
  resync_since_ = steady_clock::now();
  push_text("{\"type\":\"resync\",\"after\":" + std::to_string(after) + "}");
}

/// Goes live if the hub's recent events reach back to this position.
bool FeedSession::attach() {
  auto& ring = hub_.topics_[who_.tenant_id].ring;
  if (ring.empty() || ring.back()->seq <= position_) {
    mode_ = Mode::live;
    return true;
  }
  if (ring.front()->seq > position_ + 1) return false;
  for (auto& event : ring) {
    if (event->seq <= position_) continue;
    if (event->seq != position_ + 1 || full()) return false;
    offer(event);
  }
  mode_ = Mode::live;
  return true;
}

Task<void> FeedSession::catch_up(std::shared_ptr<FeedSession> me, std::uint64_t subscription) {
  auto& self = *me;
  auto current = [&] {
    return !self.closing_ && self.subscription_ == subscription && self.mode_ == Mode::replaying;
  };
  boost::system::error_code ignored;
  asio::steady_timer pause(self.ws_.get_executor());
  bool first = true;
  int failures = 0;
  while (current()) {
    // Wait for the socket to take what it has: a replay never overflows the queue.
    if (self.queue_.size() >= self.hub_.limits_.queue_events_max / 4 ||
        self.queued_bytes_ >= self.hub_.limits_.queue_bytes_max / 4) {
      pause.expires_after(std::chrono::milliseconds(5));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      continue;
    }
    int limit = std::min<int>(replay_page,
                              static_cast<int>(self.hub_.limits_.queue_events_max / 2));
    ReplayJournal query{self.who_.tenant_id, self.position_, limit};
    auto page = co_await self.hub_.service_.read(std::move(query));
    if (!current()) co_return;
    if (!page) {
      if (++failures >= 20) {
        self.close(websocket::close_code::try_again_later, "the journal cannot be read");
        co_return;
      }
      pause.expires_after(std::chrono::milliseconds(250));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      continue;
    }
    failures = 0;
    auto& replay = **page;
    if (first) {
      first = false;
      if (self.position_ > std::max(replay.last_seq, self.hello_seq_)) {
        self.mode_ = Mode::quiet;
        self.push_text("{\"type\":\"error\",\"detail\":\"after lies in the future\"}");
        co_return;
      }
      if (replay.last_seq - self.position_ > self.hub_.limits_.replay_events_max) {
        self.overflow(replay.last_seq);
        co_return;
      }
    }
    bool all = replay.events.size() < static_cast<std::size_t>(limit);
    for (auto& event : replay.events) {
      if (event->entry.seq <= self.position_) continue;
      // A page of long messages is more than the queue may hold: what is left is read again.
      if (self.full()) {
        all = false;
        break;
      }
      self.offer(render_event(*event));
    }
    if (all && self.attach()) co_return;
  }
}

void FeedSession::tick(steady_clock::time_point now) {
  if (closing_) {
    // A peer that neither reads nor answers the close would keep its socket for ever.
    if (now - closing_since_ > close_patience) cut();
    return;
  }
  auto& limits = hub_.limits_;
  bool stalled = writing_ && now - write_began_ > limits.write_stall;
  bool silent = now - heard_ > limits.pong_timeout;
  if (stalled || silent) {
    cut();
    return;
  }
  if (resync_since_ != steady_clock::time_point{} && now - resync_since_ > limits.resync_patience &&
      !queue_.empty()) {
    close(websocket::close_code::try_again_later, "too slow");
    return;
  }
  if (now - pinged_ > limits.ping && !pinging_) {
    pinged_ = now;
    pinging_ = true;
    ws_.async_ping({}, [me = shared_from_this()](boost::system::error_code) {
      me->pinging_ = false;
    });
  }
  if (mode_ == Mode::live && now - marked_ > limits.mark && !full()) {
    marked_ = now;
    push_text("{\"type\":\"mark\",\"seq\":" + std::to_string(position_) + "}");
  }
}

/// Without a goodbye. What it will never read must not stay in the kernel's memory.
void FeedSession::cut() {
  boost::system::error_code ignored;
  ws_.next_layer().set_option(asio::socket_base::linger(true, 0), ignored);
  ws_.next_layer().close(ignored);
}

void FeedSession::close(websocket::close_code code, const char* reason) {
  if (closing_) return;
  closing_ = true;
  closing_since_ = steady_clock::now();
  mode_ = Mode::quiet;
  wake_.cancel();
  // Behind a write that hangs the close would hang too; the tick cuts both.
  ws_.async_close({code, reason}, [me = shared_from_this()](boost::system::error_code) {
    boost::system::error_code ignored;
    me->ws_.next_layer().close(ignored);
  });
}

FeedHub::FeedHub(Service& service, FeedLimits limits)
    : service_(service), limits_(limits), timer_(service.bridge.io()) {
  service_.bridge.on_message = [this](caf::type_erased_tuple& content) {
    if (content.match_elements<FeedBatchPtr>()) publish(content.get_as<FeedBatchPtr>(0));
  };
  tick();
}

FeedHub::~FeedHub() { service_.bridge.on_message = nullptr; }

void FeedHub::tick() {
  timer_.expires_after(tick_every);
  timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    auto now = steady_clock::now();
    for (auto& [tenant, topic] : topics_) {
      auto sessions = topic.sessions;
      for (auto* session : sessions) session->tick(now);
    }
    std::lock_guard lock(service_.shared->mutex);
    std::erase_if(service_.shared->tickets, [&](auto& t) { return t.second.expires < now; });
    tick();
  });
}

void FeedHub::publish(const FeedBatchPtr& batch) {
  auto there = topics_.find(batch->tenant_id);
  if (there == topics_.end()) return;
  auto& topic = there->second;
  for (auto& event : batch->events) {
    // A hole makes the ring useless before it: those who need more read the journal.
    if (!topic.ring.empty() && topic.ring.back()->seq + 1 != event->seq) topic.ring.clear();
    topic.ring.push_back(event);
    if (topic.ring.size() > limits_.ring_events_max) topic.ring.pop_front();
    for (auto* session : topic.sessions) session->deliver(event);
  }
}

void FeedHub::join(TenantId tenant, FeedSession* session) {
  topics_[tenant].sessions.insert(session);
}

void FeedHub::leave(TenantId tenant, FeedSession* session) {
  auto there = topics_.find(tenant);
  if (there == topics_.end()) return;
  there->second.sessions.erase(session);
  if (!there->second.sessions.empty()) return;
  topics_.erase(there);
  if (draining_) return;
  // The inbox hears this and a later listen() in this order: who joins from here on is heard.
  asio::co_spawn(
      service_.bridge.io(),
      [](FeedHub* hub, TenantId id) -> Task<void> {
        Listen off{id, false};
        auto done = co_await hub->service_.bridge.ask(hub->service_.inbox,
                                                      hub->service_.options.read_deadline,
                                                      std::move(off));
        // Somebody may have come meanwhile; the inbox has heard the two in another order then.
        if (done && hub->topics_.contains(id)) co_await hub->listen(id);
      }(this, tenant),
      asio::detached);
}

Task<Result<void>> FeedHub::listen(TenantId tenant) {
  topics_[tenant].listening = true;
  Listen on{tenant, true};
  auto done = co_await service_.bridge.ask(service_.inbox, service_.options.read_deadline,
                                           std::move(on));
  if (!done) co_return fail(done.error());
  co_return Result<void>{};
}

Task<Result<Principal>> FeedHub::who(const Request& request) {
  auto ticket = request.query_value("ticket");
  if (ticket) {
    std::lock_guard lock(service_.shared->mutex);
    auto& tickets = service_.shared->tickets;
    auto there = tickets.find(std::string(*ticket));
    if (there == tickets.end() || there->second.expires < steady_clock::now())
      co_return fail(Errc::unauthenticated, "the ticket is not valid any more");
    Principal principal = there->second.principal;
    tickets.erase(there);
    co_return principal;
  }
  auto token = bearer_token(request.header("authorization"));
  if (!token) co_return fail(Errc::unauthenticated, "a credential or a ticket is needed");
  auto principal = co_await service_.authenticate(*token);
  if (principal && !principal->may(Scope::read))
    co_return fail(Errc::forbidden, "this credential may not read the inbox");
  co_return principal;
}

bool FeedHub::origin_fits(const Request& request) const {
  auto origin = request.header("origin");
  // No browser, then: it has to bring the header's credential.
  if (origin.empty())
    return !request.header("authorization").empty() || request.query_value("ticket");
  auto host = std::string(request.header("host"));
  return origin == service_.options.public_base_url || origin == "http://" + host ||
         origin == "https://" + host;
}

Task<void> FeedHub::serve(Request request, asio::ip::tcp::socket socket, std::string leftover) {
  Error refusal;
  Result<Principal> principal = co_await who(request);
  if (!principal)
    refusal = principal.error();
  else if (!origin_fits(request))
    refusal = {Errc::forbidden, "this origin may not open the live feed", {}};
  else if (!leftover.empty())
    refusal = {Errc::malformed, "nothing may be sent before the handshake is answered", {}};
  else if (draining_ || (topics_.contains(principal->tenant_id) &&
                         topics_[principal->tenant_id].sessions.size() >=
                             limits_.sockets_per_tenant_max))
    refusal = {Errc::overloaded, "there are too many live feeds", {}};
  if (refusal.code != Errc::ok) {
    Response answer = problem(refusal, request);
    std::string out;
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
        service_.clock.now().time_since_epoch());
    auto date = http_date(seconds.count());
    append_answer_head(out, answer, {date, request.request_id, true});
    out += answer.body;
    boost::system::error_code ignored;
    co_await asio::async_write(socket, asio::buffer(out),
                               asio::redirect_error(asio::use_awaitable, ignored));
    socket.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    co_return;
  }
  auto session = std::make_shared<FeedSession>(*this, std::move(socket), std::move(*principal));
  co_await FeedSession::run(session, request);
}

void FeedHub::drain() {
  draining_ = true;
  for (auto& [tenant, topic] : topics_) {
    auto sessions = topic.sessions;
    for (auto* session : sessions)
      session->close(websocket::close_code::going_away, "resume with after=");
  }
  // The ticks go on: they cut who does not answer the close.
}

std::string FeedHub::make_ticket(const Principal& principal, TimePoint& expires_at) {
  std::lock_guard lock(service_.shared->mutex);
  auto& tickets = service_.shared->tickets;
  if (tickets.size() >= tickets_max) tickets.clear();
  auto ticket = random_base62(43);
  tickets[ticket] = {principal, steady_clock::now() + ticket_life};
  expires_at = service_.clock.now() + ticket_life;
  return ticket;
}

}  // namespace sara::http
