// The ladder's rungs and the shares.
#include "domain/admission.hpp"

#include <algorithm>

namespace sara::domain {

namespace {

constexpr double remembers = 0.99;  ///< of what was learned, with each new answer

/// The pressure at which a kind of work is refused.
double rung(Traffic traffic) {
  switch (traffic) {
    case Traffic::bulk: return 0.80;
    case Traffic::write: return 0.90;
    case Traffic::read: return 0.95;
    case Traffic::webhook: return 1.00;
    case Traffic::operation: break;
  }
  return 1e9;
}

double highest(const Pressure& p) { return std::max({p.memory, p.wait, p.lag}); }

}  // namespace

std::string_view to_string(Traffic traffic) {
  switch (traffic) {
    case Traffic::operation: return "operation";
    case Traffic::webhook: return "webhook";
    case Traffic::read: return "read";
    case Traffic::write: return "write";
    case Traffic::bulk: return "bulk";
  }
  return "";
}

std::string_view to_string(Refused reason) {
  switch (reason) {
    case Refused::memory: return "memory";
    case Refused::wait: return "wait";
    case Refused::lag: return "lag";
    case Refused::share: return "share";
    case Refused::closed: return "closed";
  }
  return "";
}

bool is_admitted(Traffic traffic, const Pressure& pressure) {
  return highest(pressure) < rung(traffic);
}

bool accepts_connections(const Pressure& pressure) { return highest(pressure) < 0.95; }

Refused worst(const Pressure& p) {
  if (p.memory >= p.wait && p.memory >= p.lag) return Refused::memory;
  return p.wait >= p.lag ? Refused::wait : Refused::lag;
}

void WaitEstimate::observe(std::size_t under_way, double seconds) {
  const auto x = static_cast<double>(under_way);
  for (double* sum : {&weight_, &x_, &y_, &xx_, &xy_}) *sum *= remembers;
  weight_ += 1;
  x_ += x;
  y_ += seconds;
  xx_ += x * x;
  xy_ += x * seconds;
}

double WaitEstimate::of(std::size_t under_way) const {
  if (weight_ <= 0) return 0;
  const double mean_x = x_ / weight_;
  const double mean_y = y_ / weight_;
  const double spread = xx_ / weight_ - mean_x * mean_x;
  const double together = xy_ / weight_ - mean_x * mean_y;
  // All observed at about one depth: nothing is known about others. More work is never faster.
  const double slope = spread > 1 ? std::max(0.0, together / spread) : 0;
  return std::max(0.0, mean_y + slope * (static_cast<double>(under_way) - mean_x));
}

bool has_place(const Places& places, const UnderWay& now) {
  if (now.all >= places.all || now.of_tenant >= places.per_tenant) return false;
  if (now.active_tenants <= 1 || now.all < places.shared) return true;
  return now.of_tenant < std::max<std::size_t>(1, places.shared / now.active_tenants);
}

}  // namespace sara::domain
