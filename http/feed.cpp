// The hub: the entrance of the live feed, its tenants' events, and its turns.
#include "http/feed.hpp"

#include <algorithm>
#include <boost/beast.hpp>

#include "base/log.hpp"
#include "base/random.hpp"
#include "http/request_form.hpp"
#include "http/answer.hpp"

namespace sara::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using namespace messages;
using namespace domain;
using std::chrono::steady_clock;

namespace {

/// Each tick serves every tenth socket, so that thousands do not stop the thread at once.
constexpr auto tick_every = std::chrono::milliseconds(100);
constexpr unsigned ticks_per_round = 10;
constexpr auto ticket_life = std::chrono::seconds(30);
constexpr std::size_t tickets_max = 10'000;
constexpr std::size_t input_bytes = 64 << 10;
/// What one turn brings to each socket at most, and to how many before others have the thread.
constexpr std::size_t turn_bytes_max = 128 << 10;
constexpr std::size_t sockets_at_once = 64;

}  // namespace

FeedLog* FeedTopic::join_log(const InboxFilter& filter, std::size_t& held) {
  auto there = std::find_if(logs.begin(), logs.end(),
                            [&](auto& log) { return log->filter == filter; });
  if (there == logs.end()) there = logs.insert(there, std::make_unique<FeedLog>(filter, held));
  ++(*there)->readers;
  return there->get();
}

void FeedTopic::leave_log(FeedLog* log) {
  if (log != nullptr && --log->readers == 0)
    std::erase_if(logs, [&](auto& l) { return l.get() == log; });
}

FeedHub::FeedHub(Service& service, FeedLimits limits)
    : service_(service),
      limits_(limits),
      timer_(service.bridge.io()),
      input_(input_bytes) {
  service_.bridge.on_message = [this](caf::type_erased_tuple& content) {
    if (content.match_elements<FeedBatchPtr>()) publish(content.get_as<FeedBatchPtr>(0));
  };
  tick();
}

FeedHub::~FeedHub() { service_.bridge.on_message = nullptr; }

void FeedHub::tick() {
  timer_.expires_after(tick_every);
  timer_.async_wait([this, began = steady_clock::now()](boost::system::error_code error) {
    if (error) return;
    auto passed = std::chrono::duration_cast<Millis>(steady_clock::now() - began);
    now_ += static_cast<std::uint32_t>(passed.count());
    ++ticks_;
    for (auto& [tenant, topic] : topics_)
      for (std::size_t i = ticks_ % ticks_per_round; i < topic->sessions.size();
           i += ticks_per_round)
        topic->sessions[i]->tick();
    if (ticks_ % ticks_per_round == 0) {
      std::lock_guard lock(service_.shared->mutex);
      auto now = steady_clock::now();
      std::erase_if(service_.shared->tickets, [&](auto& t) { return t.second.expires < now; });
    }
    tick();
  });
}

// --- events ----------------------------------------------------------------------------------

void FeedHub::publish(const FeedBatchPtr& batch) {
  auto there = topics_.find(batch->tenant_id);
  if (there == topics_.end()) return;
  auto& topic = *there->second;
  topic.pending.insert(topic.pending.end(), batch->events.begin(), batch->events.end());
  // More than this is a hole: those who need it read the journal.
  while (topic.pending.size() > limits_.ring_events_max) topic.pending.pop_front();
  start_turn(topic);
}

/// What else has come by then goes with it, and requests get their time between.
void FeedHub::start_turn(FeedTopic& topic) {
  if (topic.in_turn || !topic.listening || topic.pending.empty()) return;
  topic.in_turn = true;
  asio::post(service_.bridge.io(), [this, tenant = topic.tenant_id] { take_turn(tenant); });
}

void FeedHub::take_turn(TenantId tenant) {
  auto there = topics_.find(tenant);
  if (there == topics_.end() || !there->second->in_turn) return;
  auto& topic = *there->second;
  if (topic.left == 0) {
    fill_logs(topic);
    topic.left = topic.sessions.size();
  }
  for (auto writes = sockets_at_once; topic.left > 0 && writes > 0;)
    if (topic.sessions[--topic.left]->advance()) --writes;
  if (topic.left == 0) {
    for (auto& log : topic.logs) log->end();
    topic.in_turn = false;
    start_turn(topic);
    return;
  }
  asio::post(service_.bridge.io(), [this, tenant] { take_turn(tenant); });
}

void FeedHub::fill_logs(FeedTopic& topic) {
  for (auto& log : topic.logs) log->begin(topic.position);
  for (std::size_t bytes = 0; !topic.pending.empty() && bytes < turn_bytes_max;) {
    auto event = topic.pending.front();
    if (event->seq > topic.position + 1) {
      // Something was committed that we were not told of: the journal knows. What stands before the
      // hole goes out first.
      if (bytes > 0) return;
      topic.position = event->seq - 1;
      topic.ring.clear();
      for (auto* session : topic.sessions) session->interrupt();
      for (auto& log : topic.logs) log->interrupt(topic.position);
    }
    topic.pending.pop_front();
    if (event->seq <= topic.position) continue;
    topic.position = event->seq;
    for (auto& log : topic.logs)
      if (wants(log->filter, *event)) log->append(event);
    bytes += event->head.size() + event->tail.size();
    topic.ring.push_back(std::move(event));
    if (topic.ring.size() > limits_.ring_events_max) topic.ring.pop_front();
  }
}

// --- sockets ---------------------------------------------------------------------------------

void FeedHub::join(FeedSession& session) {
  auto& topic = topics_[session.who_.tenant_id];
  if (!topic) {
    topic = std::make_unique<FeedTopic>();
    topic->tenant_id = session.who_.tenant_id;
  }
  session.topic_ = topic.get();
  session.index_ = topic->sessions.size();
  topic->sessions.push_back(&session);
}

void FeedHub::leave(FeedSession& session) {
  auto& topic = *session.topic_;
  topic.leave_log(session.log_);
  auto& last = topic.sessions.back();
  last->index_ = session.index_;
  topic.sessions[session.index_] = last;
  topic.sessions.pop_back();
  topic.left = std::min(topic.left, topic.sessions.size());
  session.topic_ = nullptr;
  session.log_ = nullptr;
  if (!topic.sessions.empty()) return;
  auto tenant = topic.tenant_id;
  topics_.erase(tenant);
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

Task<void> FeedHub::serve(Handover connection) {
  auto& request = connection.request;
  auto& socket = connection.socket;
  Error refusal;
  Result<Principal> principal = co_await who(request);
  auto full = [&] {
    auto topic = topics_.find(principal->tenant_id);
    return topic != topics_.end() &&
           topic->second->sessions.size() >= limits_.sockets_per_tenant_max;
  };
  if (!principal)
    refusal = principal.error();
  else if (!origin_fits(request))
    refusal = {Errc::forbidden, "this origin may not open the live feed", {}};
  else if (!connection.behind.empty())
    refusal = {Errc::malformed, "nothing may be sent before the handshake is answered", {}};
  else if (draining_ || full())
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
  if (!co_await shake_hands(request, socket)) co_return;
  auto session = std::make_shared<FeedSession>(*this, std::move(socket), std::move(*principal),
                                               std::move(connection.place));
  co_await welcome(session);
}

/// Answers the handshake. From here on the socket is ours alone: Beast's stream would cost each
/// idle socket several kilobytes.
Task<bool> FeedHub::shake_hands(const Request& request, asio::ip::tcp::socket& socket) {
  beast::http::request<beast::http::empty_body> handshake;
  handshake.method(beast::http::verb::get);
  handshake.target(request.target);
  handshake.version(11);
  for (auto& [name, value] : request.headers) handshake.insert(name, value);
  websocket::stream<asio::ip::tcp::socket&> stream(socket);
  stream.set_option(websocket::stream_base::decorator([](websocket::response_type& response) {
    response.erase(beast::http::field::server);
  }));
  boost::system::error_code error;
  co_await stream.async_accept(handshake, asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

/// Says hello as soon as the tenant's events are sure to come here.
Task<void> FeedHub::welcome(const std::shared_ptr<FeedSession>& session) {
  // Join first: another socket's leaving would stop the listening that this one has asked for.
  join(*session);
  auto& topic = *session->topic_;
  if (!topic.listening) {
    // Listen, then ask where the journal stands: nothing can fall between.
    auto listening = co_await listen(topic.tenant_id);
    ReplayJournal where{topic.tenant_id, INT64_MAX - 1, 1};
    auto stands = co_await service_.read(std::move(where));
    if (listening && stands && !topic.listening) {
      topic.position = (*stands)->last_seq;
      topic.listening = true;
      start_turn(topic);
    }
  }
  if (draining_)
    session->close(CloseCode::going_away, "resume with after=");
  else if (!topic.listening)
    session->close(CloseCode::try_again_later, "not ready");
  else
    session->greet(topic.position);
  session->await_readable();
}

void FeedHub::drain() {
  draining_ = true;
  for (auto& [tenant, topic] : topics_)
    for (auto* session : topic->sessions)
      session->close(CloseCode::going_away, "resume with after=");
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
