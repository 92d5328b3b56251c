// Measures, waits, and gives places back.
#include "http/gate.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <fstream>
#include <utility>

namespace sara::http {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr auto dismiss_every = 10ms;
constexpr std::size_t dismissed_at_once_max = 64;  ///< who is let in must not wait for refusals
constexpr auto active_for = 10s;  ///< so long a tenant counts as active after its last request
constexpr auto tidy_every = 1s;
constexpr auto probe_every = 250ms;
constexpr auto relieve_every = 1s;
constexpr double in_time = 0.8;  ///< the share of the deadline that an estimate may fill
constexpr std::size_t unknown_max = 32;  ///< requests whose tenant must be looked up first

double seconds(steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

/// Bytes of this process that lie in memory.
double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0;
  file >> size >> resident;
  static const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  return resident * page;
}

std::size_t part(std::size_t whole, std::size_t quarters) {
  return std::max<std::size_t>(1, whole * quarters / 4);
}

/// A quarter of what writes may have stays free for webhooks, and each kind has places of its own,
/// so that neither can starve the other.
domain::Places places_of(Traffic traffic, const Limits& l) {
  const auto reads = l.reads_in_flight_max;
  switch (traffic) {
    case Traffic::write:
      return {part(l.in_flight_max, 3), part(l.in_flight_per_tenant_max, 3),
              part(l.in_flight_shared_max, 3)};
    case Traffic::read:
      return {reads, reads, reads};
    case Traffic::bulk:
      return {part(reads, 1), part(reads, 1), part(reads, 1)};
    case Traffic::webhook:
    case Traffic::operation:
      break;
  }
  return {l.in_flight_max, l.in_flight_per_tenant_max, l.in_flight_shared_max};
}

bool writes(Traffic traffic) { return traffic == Traffic::webhook || traffic == Traffic::write; }

}  // namespace

// --- A pass ---------------------------------------------------------------------------------

Gate::Pass::Pass(Gate& gate, Account& account, Traffic traffic, std::size_t under_way,
                 TimePoint since)
    : gate_(&gate),
      account_(&account),
      traffic_(traffic),
      under_way_(under_way),
      since_(since) {}

Gate::Pass::Pass(Pass&& other) noexcept
    : gate_(std::exchange(other.gate_, nullptr)),
      account_(other.account_),
      traffic_(other.traffic_),
      under_way_(other.under_way_),
      since_(other.since_),
      done_(other.done_) {}

Gate::Pass::~Pass() {
  if (gate_ != nullptr) gate_->leave(*account_, traffic_, under_way_, since_, done_);
}

// --- The gate -------------------------------------------------------------------------------

Gate::Gate(asio::io_context& io, const Limits& limits, Now now)
    : io_(io),
      limits_(limits),
      now_(std::move(now)),
      timer_(io),
      lag_gauge_(metric::gauge("madansara_loop_lag_seconds", "how late the event loop is")),
      memory_gauge_(metric::gauge("madansara_memory_bytes", "memory that the process occupies")),
      wait_gauge_(metric::gauge("madansara_admission_wait_seconds",
                                "how long a write admitted now would take, as estimated")) {
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    const auto traffic = static_cast<Traffic>(i);
    auto& kind = kinds_[i];
    kind.places = places_of(traffic, limits_);
    if (traffic == Traffic::operation) continue;
    const std::string name(to_string(traffic));
    kind.gauge = metric::gauge("madansara_in_flight", "requests admitted and not yet answered",
                               {{"class", name}});
    for (std::size_t why = 0; why < domain::refusals; ++why)
      kind.refused[why] = metric::counter(
          "madansara_admission_refused_total", "requests refused for want of capacity",
          {{"class", name}, {"reason", std::string(to_string(static_cast<Refused>(why)))}});
  }
}

Gate::~Gate() = default;

Gate::Account& Gate::account(TenantId tenant) {
  return tenant ? accounts_[tenant] : nobody_;
}

std::size_t Gate::writes_under_way() const {
  return kinds_[static_cast<std::size_t>(Traffic::webhook)].under_way +
         kinds_[static_cast<std::size_t>(Traffic::write)].under_way;
}

domain::Pressure Gate::pressure(TimePoint now) const {
  auto p = measured_;
  const auto under_way = writes_under_way();
  // Somebody has to find out whether the database is back.
  if (under_way == 0 || now - entered_ >= probe_every) return p;
  double wait = estimate_.of(under_way);
  if (silent_since_) wait = std::max(wait, seconds(now - *silent_since_));
  p.wait = wait / (in_time * seconds(limits_.commit_deadline));
  return p;
}

std::optional<Refused> Gate::sheds(Traffic traffic) {
  if (traffic == Traffic::operation) return {};
  if (closed_) return Refused::closed;
  auto now = pressure(now_());
  // A webhook that could not be done in time waits for a place: refused at once, its client would
  // be back at once, and refusals would be all that the server does.
  if (traffic == Traffic::webhook) now.wait = 0;
  if (is_admitted(traffic, now)) return {};
  return worst(now);
}

bool Gate::accepts_connections() const {
  return domain::accepts_connections(pressure(now_()));
}

bool Gate::has_place(TenantId tenant, Traffic traffic, TimePoint now) {
  auto& of = kind(traffic);
  if (writes(traffic) && pressure(now).wait >= 1) return false;
  const auto mine = account(tenant).under_way[static_cast<std::size_t>(traffic)];
  if (!tenant && mine >= unknown_max) return false;
  return domain::has_place(of.places, {of.under_way, mine, accounts_.size()});
}

Gate::Pass Gate::take(TenantId tenant, Traffic traffic, TimePoint now) {
  auto& mine = account(tenant);
  const auto before = writes_under_way();
  ++mine.under_way[static_cast<std::size_t>(traffic)];
  ++kind(traffic).under_way;
  Pass pass(*this, mine, traffic, before, now);
  if (writes(traffic)) {
    entered_ = now;
    if (!silent_since_) silent_since_ = entered_;
  }
  return pass;
}

std::optional<Gate::Pass> Gate::try_enter(TenantId tenant, Traffic traffic) {
  if (closed_) return {};
  auto& mine = account(tenant);
  const auto now = now_();
  mine.seen = now;
  // Who came first goes first.
  if (kind(traffic).waiting.waiting(tenant) > 0 || !has_place(tenant, traffic, now)) return {};
  return take(tenant, traffic, now);
}

void Gate::leave(Account& mine, Traffic traffic, std::size_t under_way, TimePoint since,
                 bool done) {
  --mine.under_way[static_cast<std::size_t>(traffic)];
  --kind(traffic).under_way;
  if (done && writes(traffic)) {
    const auto now = now_();
    estimate_.observe(under_way, seconds(now - since));
    silent_since_.reset();
    if (writes_under_way() > 0) silent_since_ = now;
  }
  let_in(traffic);
}

void Gate::wait(TenantId tenant, Traffic traffic, WaitingPtr caller) {
  if (closed_) {
    answer(std::move(caller), {});
    return;
  }
  caller->until = now_() + limits_.admission_wait;
  ++waiting_;
  kind(traffic).waiting.push(tenant, std::move(caller));
  arm();
}

/// Gives free places to those who wait, in turn.
void Gate::let_in(Traffic traffic) {
  auto& of = kind(traffic);
  if (of.waiting.empty() || closed_ || sheds(traffic)) return;
  const auto now = now_();
  TenantId whose;
  const auto may = [&](const TenantId& tenant) {
    whose = tenant;
    return has_place(tenant, traffic, now);
  };
  while (auto next = of.waiting.pop(may)) {
    --waiting_;
    answer(std::move(*next), take(whose, traffic, now));
  }
}

/// Never from inside another request's work: each has the stack to itself.
void Gate::answer(WaitingPtr caller, std::optional<Pass> pass) {
  struct Resume {
    WaitingPtr caller;
    std::optional<Pass> pass;
    void operator()() { caller->resume(std::move(pass)); }
  };
  asio::post(io_, Resume{std::move(caller), std::move(pass)});
}

void Gate::arm() {
  if (armed_ || closed_) return;
  armed_ = true;
  timer_.expires_after(dismiss_every);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;  // This may be gone already.
    armed_ = false;
    dismiss();
  });
}

/// Refuses those who have waited too long.
void Gate::dismiss() {
  const auto now = now_();
  const auto overdue = [now](const WaitingPtr& caller) { return caller->until <= now; };
  std::size_t dismissed = 0;
  for (auto& of : kinds_) {
    // What was held back by the ladder may go on now.
    let_in(static_cast<Traffic>(&of - kinds_.data()));
    while (dismissed < dismissed_at_once_max) {
      auto next = of.waiting.drop(overdue);
      if (!next) break;
      --waiting_;
      ++dismissed;
      answer(std::move(*next), {});
    }
  }
  if (waiting_ > 0) arm();
}

void Gate::count_refusal(Traffic traffic, Refused why) {
  kind(traffic).refused[static_cast<std::size_t>(why)].add();
}

void Gate::measure(TimePoint now, std::chrono::steady_clock::duration lag) {
  // One late turn is the machine's doing; several in a row are ours.
  measured_.lag = (measured_.lag + std::max(0.0, seconds(lag) / seconds(limits_.loop_lag_max))) / 2;
  const auto bytes = resident_bytes();
  measured_.memory = bytes / static_cast<double>(limits_.memory_bytes_max);
  const bool full = !domain::is_admitted(Traffic::bulk, {measured_.memory, 0, 0});
  if (full && limits_.give_memory_back && now - relieved_ >= relieve_every) {
    relieved_ = now;
    limits_.give_memory_back();
  }
  lag_gauge_.set(seconds(lag));
  memory_gauge_.set(bytes);
  wait_gauge_.set(estimate_.of(writes_under_way()));
  for (auto& of : kinds_) {
    const auto there = static_cast<double>(of.under_way);
    of.gauge.add(there - std::exchange(of.told, there));
  }
  forget_idle(now);
}

void Gate::forget_idle(TimePoint now) {
  if (now - tidied_ < tidy_every) return;
  tidied_ = now;
  std::erase_if(accounts_, [&](const auto& entry) {
    const auto& [tenant, mine] = entry;
    if (now - mine.seen < active_for) return false;
    for (std::size_t i = 0; i < kinds_.size(); ++i)
      if (mine.under_way[i] > 0 || kinds_[i].waiting.waiting(tenant) > 0) return false;
    return true;
  });
}

void Gate::close() {
  if (closed_) return;
  closed_ = true;
  timer_.cancel();
  for (auto& of : kinds_)
    while (auto next = of.waiting.pop()) answer(std::move(*next), {});
  waiting_ = 0;
}

}  // namespace sara::http
