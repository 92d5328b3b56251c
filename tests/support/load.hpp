// Many requests over a few connections at once, each answer's status recorded.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/http_client.hpp"

namespace sara::test {

/// A request that was never sent, and one whose answer never came.
constexpr int not_sent = -1;
constexpr int no_answer = 0;
/// A 503 that does not say when to come back: no honest refusal.
constexpr int bare_503 = -503;

struct Load {
  std::uint16_t port = 0;
  std::size_t connections = 16;
  /// Reconnect after a failure and go on with the next request; else that connection is done.
  bool reconnect = false;
  std::chrono::milliseconds at_most = std::chrono::minutes(2);
  /// Called from the load's thread after each answer with the number of answers so far.
  std::function<void(std::size_t)> on_answer = {};
  /// 503 is sent again, in its turn, up to this many times.
  int repeats_of_503 = 0;
  /// Called after each of these 503 with the number of them so far.
  std::function<void(std::size_t)> on_refusal = {};
  /// Request i goes over connection i % connections and no other, so that those of one connection
  /// are sent strictly one after the other.
  bool lanes = false;
};

/// Makes the request of that number, at the moment it is sent.
using Source = std::function<Ask(std::size_t)>;

/// Sends them all, the next one over whichever connection is free, and returns each one's status:
/// that of its answer, no_answer or not_sent.
std::vector<int> send_all(const Load& load, std::size_t count, const Source& source);
std::vector<int> send_all(const Load& load, const std::vector<Ask>& asks);

/// The load as a thread of its own, for tests that do something to the server meanwhile.
class Background {
 public:
  Background(Load load, std::vector<Ask> asks);
  ~Background();
  /// Waits until so many answers have come or the load ended; false at the deadline.
  bool answered(std::size_t count, std::chrono::milliseconds at_most = std::chrono::minutes(1));
  /// The same for 503, sent again ones included.
  bool refused(std::size_t count, std::chrono::milliseconds at_most = std::chrono::minutes(1));
  /// How many of each there were so far.
  std::size_t answers() const;
  std::size_t refusals() const;
  /// Waits for the end and returns the statuses.
  const std::vector<int>& finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sara::test
