#include "http/session.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "http/request_form.hpp"
#include "http/answer.hpp"

namespace sara::http {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::size_t body_read_bytes = 64 * 1024;
constexpr std::size_t copied_body_bytes_max =
    16 * 1024;  // Larger ones are sent from where they are.
constexpr std::size_t skipped_body_bytes_max = 64 * 1024;
constexpr std::size_t lingering_bytes_max = 64 << 20;

/// A bijection on 64 bits (splitmix64): ids that never repeat and do not look like a count.
std::uint64_t scatter(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

void append_hex(std::string& out, std::uint64_t value, std::size_t digits) {
  const auto begin = out.size();
  out.resize(begin + digits);
  for (auto at = out.size(); at > begin; value >>= 4) out[--at] = "0123456789abcdef"[value & 15];
}

void assign_lower(std::string& to, std::string_view from) {
  to.resize(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    const char c = from[i];
    to[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
}

}  // namespace

// --- Life -----------------------------------------------------------------------------------

Session::Session(std::shared_ptr<Edge> edge, Socket socket, std::string peer,
                 std::optional<Place> place)
    : edge_(std::move(edge)),
      socket_(std::move(socket)),
      place_(std::move(place)),
      peer_(std::move(peer)),
      on_loopback_(peer_ == "::1" || peer_.starts_with("127.")),
      index_(edge_->sessions.size()),
      deadline_(edge_->now +
                (edge_->draining ? edge_->limits.linger : edge_->limits.header_timeout)) {
  edge_->sessions.push_back(this);
}

Session::~Session() {
  release();
  edge_->sessions[index_] = edge_->sessions.back();
  edge_->sessions[index_]->index_ = index_;
  edge_->sessions.pop_back();
}

asio::awaitable<void> Session::serve(std::unique_ptr<Session> session) {
  try {
    co_await session->run();
    if (!session->takeover_) co_return;
    // The session's memory is not needed while a WebSocket lives; its place among the others is.
    const auto* route = session->route_;
    Handover connection{std::move(session->request_), std::move(session->socket_),
                        std::string{session->in_.view()},
                        std::make_shared<Place>(std::move(*session->place_))};
    session.reset();
    auto work = route->upgrade(std::move(connection));
    co_await std::move(work);
  } catch (const std::exception& e) {
    log::error("http.session_failed", {{"what", e.what()}});
  }
}

void Session::sweep(TimePoint now) {
  if (phase_ == Phase::handler) return;
  bool late = now >= deadline_;
  if (phase_ == Phase::body && now - body_began_ > edge_->limits.body_rate_grace) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - body_began_).count();
    const auto due = edge_->limits.body_bytes_per_second_min * static_cast<std::size_t>(ms) / 1000;
    late = late || body_received_ < due;
  }
  if (!late) return;
  timed_out_ = true;
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void Session::drain() {
  if (phase_ == Phase::head) deadline_ = std::min(deadline_, edge_->now + edge_->limits.linger);
  if (phase_ != Phase::idle) return;
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void Session::cut() {
  ErrorCode ignored;
  socket_.close(ignored);
}

void Session::enter(Phase phase, std::chrono::milliseconds limit) {
  phase_ = phase;
  timed_out_ = false;
  deadline_ = edge_->now + limit;
}

/// A head is timed as a whole, so the time runs on while its pieces arrive.
void Session::await_head() {
  timed_out_ = false;
  if (!in_.empty()) {
    if (phase_ != Phase::head) enter(Phase::head, edge_->limits.header_timeout);
  } else if (requests_ > 0) {
    enter(Phase::idle, edge_->limits.keep_alive);
    in_.shrink();
  }
}

/// A request that arrived just when its idle connection was to be closed is still served.
std::size_t Session::rescue() {
  if (phase_ != Phase::idle) return 0;
  ErrorCode error;
  const auto n = socket_.read_some(in_.room(1024), error);
  return error ? 0 : n;
}

asio::awaitable<void> Session::run() {
  if (!place_) {
    next_request_id();
    refuse(Problem::overloaded, "The server has no room for another connection.", true);
    write_head();
    if (send() == Sent::all) co_await linger();
    co_return;
  }
  for (std::size_t in_a_row = 0;; ++in_a_row) {
    auto progress = reader_.feed(in_.view());
    if (progress != HeadReader::Progress::more && in_a_row >= edge_->limits.pipelined_max) {
      in_a_row = 0;
      const auto executor = socket_.get_executor();
      co_await asio::post(executor, asio::use_awaitable);
    }
    bool broken = false;
    while (progress == HeadReader::Progress::more && !broken) {
      in_a_row = 0;
      await_head();
      const auto room = in_.room(1024);
      ErrorCode error;
      auto n =
          co_await socket_.async_read_some(room, asio::redirect_error(asio::use_awaitable, error));
      if (error) n = error == asio::error::operation_aborted ? rescue() : 0;
      if (n == 0 && in_.empty()) co_return;
      broken = n == 0;
      in_.commit(n);
      if (!broken) progress = reader_.feed(in_.view());
    }

    phase_ = Phase::handler;
    ++requests_;
    answer_ = Response{};
    next_request_id();
    bool good = !broken && open_request() && in_time();
    if (broken) {
      fill_request(Head{});
      refuse(timed_out_ ? Problem::request_timeout : Problem::bad_request,
             timed_out_ ? "" : "The request ended before its head did.", true);
    }
    if (good && needs_credential()) {
      auto asked = edge_->authenticate(bearer_);
      auto principal = co_await std::move(asked);
      good = permit(std::move(principal));
    }
    if (!broken) good = within_quota(good);
    good = good && (route_->upgrade ? admit_upgrade() : admit_body());
    if (takeover_) co_return;
    // A refused request's body is read over if it is small; else the connection ends.
    if (!answer_.close && wants_body()) {
      if (!good && !skippable_body()) {
        answer_.close = true;
      } else if (!take_body() && !answer_.close) {
        const bool complete = co_await read_body();
        good = good && complete;
      }
      good = good && !answer_.close;
    }
    if (good && !enter()) {
      auto waiting = wait_for_place();
      good = co_await std::move(waiting);
    }
    if (good) co_await handle();
    if (pass_ && answer_.status / 100 == 2) pass_->done();
    pass_.reset();

    const bool ours =
        answer_.close || edge_->draining || requests_ >= edge_->limits.requests_per_connection_max;
    answer_.close = ours || client_closes_;
    if (quota_) quota_->tell(standing_, answer_);
    write_head();
    auto sent = send();
    if (sent == Sent::some) sent = co_await flush() ? Sent::all : Sent::failed;
    release();
    if (sent == Sent::failed) co_return;
    if (answer_.close) {
      if (ours || !in_.empty()) co_await linger();
      co_return;
    }
  }
}

// --- From the head to the handler -----------------------------------------------------------

bool Session::refuse(const Refusal& refusal) {
  return refuse(refusal.problem, refusal.detail, refusal.close);
}

bool Session::refuse(Problem kind, std::string_view detail, bool close) {
  answer_ = problem(kind, detail, request_);
  answer_.close = close;
  return false;
}

bool Session::refuse(Refused why) {
  edge_->gate->count_refusal(route_->traffic, why);
  return refuse(Problem::overloaded,
                why == Refused::share ? "Too much of this account is under way." : "");
}

/// Judges the head, finds the route, looks at the form of the credential.
bool Session::open_request() {
  route_ = nullptr;
  auto& head = edge_->head;
  const bool complete = !reader_.refusal();
  const auto refusal =
      complete ? judge(in_.view().substr(0, reader_.size()), head) : *reader_.refusal();
  if (!complete) head = Head{};
  fill_request(head);
  if (refusal && refusal->close) return refuse(*refusal);
  in_.consume(reader_.size());
  reader_.reset();
  if (refusal) return refuse(*refusal);

  auto match = edge_->router.match(request_.method, request_.path);
  route_ = match.route;
  if (!route_ && match.allowed.empty()) return refuse(Problem::not_found);
  if (!route_) {
    refuse(Problem::method_not_allowed);
    std::string allow;
    for (const auto& method : match.allowed) allow += (allow.empty() ? "" : ", ") + method;
    answer_.headers.emplace_back("Allow", std::move(allow));
    return false;
  }
  request_.params = std::move(match.params);
  return check_credential_form();
}

/// Strings of the request before are overwritten, not replaced: most headers stay the same.
void Session::fill_request(const Head& head) {
  request_.method.assign(head.method);
  request_.target.assign(head.target);
  request_.path.assign(head.path);
  request_.raw_query.assign(head.raw_query);
  request_.query = head.query;
  request_.headers.resize(head.fields.size());
  for (std::size_t i = 0; i < head.fields.size(); ++i) {
    auto& [name, value] = request_.headers[i];
    assign_lower(name, head.fields[i].name);
    value.assign(head.fields[i].value);
  }
  if (const auto id = request_.header("x-request-id"); is_request_id(id)) {
    request_.request_id.assign(id);
  }
  request_.peer = peer_;
  content_length_ = head.content_length;
  chunked_ = head.chunked;
  client_closes_ = head.close;
  upgrade_ = head.upgrade;
  expect_continue_ = head.expect_continue;
  authorizations_ = head.authorizations;
  content_types_ = head.content_types;
}

bool Session::check_credential_form() {
  if (authorizations_ > 1) {
    return refuse(Problem::unauthenticated, "Send one Authorization header.");
  }
  if (!needs_credential()) return true;
  if (has_credential(request_.query)) {
    return refuse(Problem::unauthenticated,
                  "Send the credential in the Authorization header, never in the address.");
  }
  const auto token = bearer_token(request_.header("authorization"));
  if (!token || !edge_->authenticate) return refuse(Problem::unauthenticated);
  bearer_ = *token;
  return true;
}

/// A handshake's handler authenticates by itself: browsers cannot set the Authorization header.
bool Session::needs_credential() const {
  if (route_->scope == Scope::open) return false;
  return !route_->upgrade || judge_handshake(request_, upgrade_);
}

bool Session::permit(Result<Principal> principal) {
  if (!principal) {
    answer_ = problem(principal.error(), request_);
    return false;
  }
  const bool allowed = principal->may(route_->scope);
  request_.principal = std::move(*principal);
  return allowed || refuse(Problem::forbidden);
}

/// Counts an API request against its key, or, without a good one, against the client's address.
bool Session::within_quota(bool good) {
  if (!route_ || !needs_credential()) return good;
  const bool known = request_.principal.has_value();
  if (!known && answer_.status != 401) return good;
  quota_ = known ? edge_->shared->key_quota.get() : edge_->shared->stranger_quota.get();
  if (!quota_) return good;
  standing_ = quota_->take(known ? request_.principal->key_id : peer_,
                           std::chrono::steady_clock::now());
  // On loopback is a proxy, whose clients must not shut each other out, or the operator.
  if (!known && on_loopback_ && !edge_->limits.stranger_quota_on_loopback)
    standing_.admitted = true;
  return standing_.admitted ? good : refuse(Problem::rate_limited);
}

/// Refuses by the ladder what could not be answered in time, while it has cost no more than its
/// head; and a webhook whose tenant's providers are beyond all measure.
bool Session::in_time() {
  const auto traffic = route_->traffic;
  if (const auto why = edge_->gate->sheds(traffic)) return refuse(*why);
  tenant_ = route_->owner ? route_->owner(request_) : TenantId{};
  if (traffic != Traffic::webhook || !tenant_ || !edge_->shared->webhook_quota) return true;
  const std::string_view name(reinterpret_cast<const char*>(&tenant_), sizeof(Uuid));
  const auto standing =
      edge_->shared->webhook_quota->take(name, std::chrono::steady_clock::now());
  return standing.admitted || refuse(Refused::share);
}

/// Takes a place among the requests under way, if there is one at once.
bool Session::enter() {
  if (route_->traffic == Traffic::operation) return true;
  if (request_.principal) tenant_ = request_.principal->tenant_id;
  auto pass = edge_->gate->try_enter(tenant_, route_->traffic);
  if (!pass) return false;
  pass_.emplace(std::move(*pass));
  hurried_ = false;
  return true;
}

/// False: there was none in time.
asio::awaitable<bool> Session::wait_for_place() {
  if (!std::exchange(hurried_, false)) {
    auto waiting = edge_->gate->enter(tenant_, route_->traffic);
    auto pass = co_await std::move(waiting);
    if (pass) {
      pass_.emplace(std::move(*pass));
      co_return true;
    }
  }
  hurried_ = !in_.empty();
  co_return refuse(edge_->draining ? Refused::closed : Refused::share);
}

bool Session::admit_upgrade() {
  const auto wrong = judge_handshake(request_, upgrade_);
  if (wrong) {
    refuse(*wrong);
    answer_.headers.emplace_back("Upgrade", "websocket");
    answer_.headers.emplace_back("Sec-WebSocket-Version", "13");
    return false;
  }
  if (wants_body()) return refuse(Problem::bad_framing, "A handshake has no body.", true);
  if (edge_->draining) return refuse(Problem::overloaded, "The server is about to stop.", true);
  takeover_ = true;
  return true;
}

std::size_t Session::body_bytes_max() const {
  switch (route_->body) {
    case Body::webhook:
      return edge_->limits.webhook_bytes_max;
    case Body::multipart:
      return edge_->limits.inbound_parse_bytes_max;
    case Body::none:
    case Body::json:
      break;
  }
  return edge_->limits.body_bytes_max;
}

bool Session::admit_body() {
  if (chunked_) chunks_.emplace(body_bytes_max());
  if (content_length_ > body_bytes_max()) return refuse(Problem::content_too_large, {}, true);
  if (route_->body == Body::none) return true;
  if (!request_.header("content-encoding").empty()) {
    return refuse(Problem::unsupported_media_type, "Send the body without a content encoding.");
  }
  if (route_->body == Body::json &&
      (content_types_ != 1 || !is_json(request_.header("content-type")))) {
    return refuse(Problem::unsupported_media_type);
  }
  return true;
}

// --- The body -------------------------------------------------------------------------------

/// Whether a refused request's body is worth reading, to keep the connection.
bool Session::skippable_body() const {
  // After a final answer nobody knows whether a body follows that waited for "100 Continue".
  if (expect_continue_) return false;
  return !chunked_ && content_length_ <= skipped_body_bytes_max;
}

/// Takes the body from what is there already. False: more is needed, or it was refused.
bool Session::take_body() {
  if (chunked_) {
    const auto used = chunks_->read(in_.view(), request_.body);
    in_.consume(used);
    if (chunks_->refusal()) return refuse(*chunks_->refusal());
    return reserve(request_.body.size()) && chunks_->done();
  }
  const auto here =
      std::min<std::size_t>(content_length_ - request_.body.size(), in_.view().size());
  request_.body.append(in_.view().substr(0, here));
  in_.consume(here);
  return reserve(request_.body.size()) && request_.body.size() == content_length_;
}

/// Counts this body among those in flight.
bool Session::reserve(std::size_t bytes) {
  if (bytes <= reserved_) return true;
  auto& all = edge_->shared->body_bytes;
  const auto more = bytes - reserved_;
  if (all.fetch_add(more, std::memory_order_relaxed) + more >
      edge_->limits.bodies_in_flight_bytes_max) {
    all.fetch_sub(more, std::memory_order_relaxed);
    return refuse(Problem::overloaded, "Too many bodies are on their way.", true);
  }
  reserved_ = bytes;
  return true;
}

/// Ends one exchange: the body's bytes are given back, and memory if it was much.
void Session::release() {
  if (reserved_ > 0) {
    edge_->shared->body_bytes.fetch_sub(reserved_, std::memory_order_relaxed);
    reserved_ = 0;
  }
  request_.body.clear();
  if (request_.body.capacity() > body_read_bytes) request_.body.shrink_to_fit();
  if (out_.capacity() > 2 * copied_body_bytes_max) out_.shrink_to_fit();
  chunks_.reset();
}

/// Reads what take_body() did not find. False: refused, the connection is to be closed.
asio::awaitable<bool> Session::read_body() {
  if (expect_continue_ && in_.empty()) {
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    unsent_ = {asio::buffer(out_), asio::const_buffer{}};
    auto sent = send();
    if (sent == Sent::some) sent = co_await flush() ? Sent::all : Sent::failed;
  }
  enter(Phase::body, edge_->limits.body_timeout);
  body_began_ = edge_->now;
  body_received_ = request_.body.size();
  do {
    // A body of known length is read to where it stays; chunks pass through the buffer.
    const auto have = request_.body.size();
    asio::mutable_buffer room;
    if (chunked_) {
      room = in_.room(Buffer::bytes_min);
    } else {
      request_.body.resize(have + std::min<std::size_t>(content_length_ - have, body_read_bytes));
      room = asio::buffer(request_.body.data() + have, request_.body.size() - have);
    }
    ErrorCode error;
    const auto n =
        co_await socket_.async_read_some(room, asio::redirect_error(asio::use_awaitable, error));
    if (chunked_) {
      in_.commit(n);
    } else {
      request_.body.resize(have + n);
    }
    if (error) {
      phase_ = Phase::handler;
      if (timed_out_) co_return refuse(Problem::request_timeout, {}, true);
      co_return refuse(Problem::bad_framing, "The request ended before its body did.", true);
    }
    body_received_ += n;
  } while (!take_body() && !answer_.close);
  phase_ = Phase::handler;
  co_return !answer_.close;
}

// --- The answer -----------------------------------------------------------------------------

asio::awaitable<void> Session::handle() {
  try {
    auto work = route_->handler(request_);
    answer_ = co_await std::move(work);
    co_return;
  } catch (const std::exception& e) {
    log::error("http.handler_failed",
               {{"request", request_.request_id}, {"route", route_->path}, {"what", e.what()}});
  }
  refuse(Problem::internal);
}

void Session::next_request_id() {
  request_.request_id.clear();
  append_hex(request_.request_id, edge_->request_id_prefix, 8);
  append_hex(request_.request_id, scatter(edge_->next_request_id++), 16);
  request_.params.clear();
  request_.principal.reset();
  quota_ = nullptr;
}

void Session::write_head() {
  out_.clear();
  const bool harmless = append_answer_head(
      out_, answer_,
      {.date = edge_->date, .request_id = request_.request_id, .close = answer_.close});
  if (!harmless) {
    log::error("http.answer_header_refused",
               {{"request", request_.request_id}, {"path", request_.path}});
  }
  const auto leading = static_cast<std::size_t>(answer_.status / 100);
  ++edge_->answers[std::min<std::size_t>(leading, edge_->answers.size() - 1)];

  std::string_view content = content_of(answer_);
  if (request_.method == "HEAD" || !has_content(answer_.status)) content = {};
  if (content.size() <= copied_body_bytes_max) {
    out_.append(content);
    content = {};
  }
  unsent_ = {asio::buffer(out_), asio::buffer(content)};
}

/// Writes what the kernel takes at once: nearly always everything.
Session::Sent Session::send() {
  while (unsent_[0].size() + unsent_[1].size() > 0) {
    ErrorCode error;
    // One buffer is cheaper to hand over than a sequence of one.
    const auto n = unsent_[1].size() == 0 ? socket_.write_some(unsent_[0], error)
                                          : socket_.write_some(unsent_, error);
    if (error == asio::error::would_block) return Sent::some;
    if (error) return Sent::failed;
    const auto of_first = std::min(n, unsent_[0].size());
    unsent_[0] += of_first;
    unsent_[1] += n - of_first;
  }
  return Sent::all;
}

/// Writes the rest as the client takes it. Every bit of progress starts the stall time anew.
asio::awaitable<bool> Session::flush() {
  for (;;) {
    enter(Phase::write, edge_->limits.write_stall);
    ErrorCode error;
    co_await socket_.async_wait(Socket::wait_write,
                                asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      // What it will never read must not stay in the kernel's memory.
      ErrorCode ignored;
      socket_.set_option(asio::socket_base::linger(true, 0), ignored);
      socket_.close(ignored);  // The destructor would let it linger all the same.
      co_return false;
    }
    const auto sent = send();
    if (sent != Sent::some) co_return sent == Sent::all;
  }
}

/// Closing a socket with unread bytes resets the connection, and the answer may never be read. So:
/// say that nothing more comes, then read on for a while.
asio::awaitable<void> Session::linger() {
  ErrorCode error;
  socket_.shutdown(Socket::shutdown_send, error);
  enter(Phase::linger, edge_->limits.linger);
  std::size_t bytes = 0;
  while (!error && bytes < lingering_bytes_max) {
    bytes += co_await socket_.async_read_some(asio::buffer(edge_->waste),
                                              asio::redirect_error(asio::use_awaitable, error));
  }
}

}  // namespace sara::http
