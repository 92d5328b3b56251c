// Time as the product stores it: UTC, milliseconds. The clock is injectable.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sara {

using Millis = std::chrono::milliseconds;
/// UTC. The epoch itself stands for "no time".
using TimePoint = std::chrono::sys_time<Millis>;

inline bool known(TimePoint t) { return t.time_since_epoch().count() != 0; }
inline std::int64_t to_millis(TimePoint t) { return t.time_since_epoch().count(); }
inline TimePoint from_millis(std::int64_t ms) { return TimePoint{Millis{ms}}; }

/// RFC 3339, UTC, milliseconds: "2026-11-21T09:35:00.123Z"
std::string to_rfc3339(TimePoint t);
void append_rfc3339(std::string& out, TimePoint t);
/// errors: malformed - not RFC 3339
Result<TimePoint> parse_rfc3339(std::string_view text);

/// Wall-clock time. Tests turn one by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

/// The machine's clock.
const Clock& system_clock();

/// A clock that stands still until it is moved.
class ManualClock : public Clock {
 public:
  explicit ManualClock(TimePoint start) : now_(start) {}
  TimePoint now() const override { return now_; }
  void advance(Millis by) { now_ += by; }

 private:
  TimePoint now_;
};

}  // namespace sara
