// The gate before the handlers of one io thread: refuses by the overload ladder right after the
// head, gives each admitted request a place, and lets those without one wait for a moment, tenant
// by tenant in turn. Decides nothing by itself: domain/admission.hpp does; here is what measures
// and waits. One thread: no locks.
#pragma once

#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/id.hpp"
#include "base/metric.hpp"
#include "domain/admission.hpp"
#include "domain/fair_queue.hpp"
#include "http/server.hpp"

namespace sara::http {

using domain::Refused;
using domain::Traffic;

class Gate {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  using Now = std::function<TimePoint()>;

  Gate(boost::asio::io_context& io, const Limits& limits, Now now = std::chrono::steady_clock::now);
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate();

 private:
  struct Account;

 public:
  /// A place under way, given back when it goes.
  class Pass {
   public:
    Pass(Gate& gate, Account& account, Traffic traffic, std::size_t under_way, TimePoint since);
    Pass(Pass&& other) noexcept;
    Pass& operator=(Pass&&) = delete;
    ~Pass();
    /// The work was done, so it tells how long work takes.
    void done() { done_ = true; }

   private:
    Gate* gate_;
    Account* account_;
    Traffic traffic_;
    std::size_t under_way_;
    TimePoint since_;
    bool done_ = false;
  };

  /// Whether the ladder refuses such work at present, and why. Needs nothing but the route.
  std::optional<Refused> sheds(Traffic traffic);
  bool accepts_connections() const;

  /// A place at once, or none. tenant: none where it is not known yet.
  std::optional<Pass> try_enter(TenantId tenant, Traffic traffic);
  /// Waits for a place, at most Limits::admission_wait: the queue is bounded by time. None: refuse.
  auto enter(TenantId tenant, Traffic traffic) {
    namespace asio = boost::asio;
    return asio::async_initiate<const asio::use_awaitable_t<>, void(std::optional<Pass>)>(
        [this, tenant, traffic](auto handler) {
          using H = decltype(handler);
          struct Caller final : Waiting {
            explicit Caller(H&& h) : handler(std::move(h)) {}
            void resume(std::optional<Pass> pass) override { std::move(handler)(std::move(pass)); }
            H handler;
          };
          wait(tenant, traffic, std::make_unique<Caller>(std::move(handler)));
        },
        asio::use_awaitable);
  }
  void count_refusal(Traffic traffic, Refused why);

  /// Every sweep of the edge. lag: how late it came
  void measure(TimePoint now, std::chrono::steady_clock::duration lag);
  /// Refuses who waits, and whoever comes.
  void close();

 private:
  struct Waiting {
    virtual ~Waiting() = default;
    virtual void resume(std::optional<Pass> pass) = 0;
    TimePoint until;
  };
  using WaitingPtr = std::unique_ptr<Waiting>;
  /// What one tenant has under way.
  struct Account {
    std::array<std::size_t, domain::traffic_kinds> under_way{};
    TimePoint seen;
  };
  /// One kind of work.
  struct Kind {
    domain::Places places;
    domain::FairQueue<TenantId, WaitingPtr> waiting;
    std::size_t under_way = 0;
    std::array<metric::Counter, domain::refusals> refused;
    metric::Gauge gauge;
    double told = 0;  ///< what of it the gauge shows: several threads share one
  };

  Kind& kind(Traffic traffic) { return kinds_[static_cast<std::size_t>(traffic)]; }
  Account& account(TenantId tenant);
  bool has_place(TenantId tenant, Traffic traffic, TimePoint now);
  Pass take(TenantId tenant, Traffic traffic, TimePoint now);
  void leave(Account& account, Traffic traffic, std::size_t under_way, TimePoint since, bool done);
  void wait(TenantId tenant, Traffic traffic, WaitingPtr caller);
  void let_in(Traffic traffic);
  void answer(WaitingPtr caller, std::optional<Pass> pass);
  std::size_t writes_under_way() const;
  domain::Pressure pressure(TimePoint now) const;
  void arm();
  void dismiss();
  void forget_idle(TimePoint now);

  boost::asio::io_context& io_;
  const Limits limits_;
  const Now now_;
  boost::asio::steady_timer timer_;
  std::array<Kind, domain::traffic_kinds> kinds_;
  std::unordered_map<TenantId, Account> accounts_;
  Account nobody_;  ///< requests whose tenant is not known yet
  std::size_t waiting_ = 0;
  bool armed_ = false;
  bool closed_ = false;

  domain::Pressure measured_;
  domain::WaitEstimate estimate_;
  TimePoint entered_;                     ///< the last write that was let in
  std::optional<TimePoint> silent_since_;  ///< the first write since the last one was answered
  TimePoint tidied_;
  TimePoint relieved_;
  metric::Gauge lag_gauge_, memory_gauge_, wait_gauge_;
};

}  // namespace sara::http
