// A cheap load generator: one thread of epoll that sends prepared bytes and looks at little more
// than the status of each answer, so that what is measured is the server.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/http_client.hpp"

namespace sara::bench {

/// A socket to a port of 127.0.0.1, without Nagle's delay. Throws.
int connect_to(std::uint16_t port);
/// The status of an answer once it is whole, else 0.
int whole_answer(const std::string& received);

/// A request as it goes over the wire.
std::string wire(const test::Ask& ask, std::uint16_t port);

struct Answers {
  std::vector<int> status;       ///< of each request; 0: none came
  std::vector<double> seconds;   ///< from its sending to its whole answer
  double elapsed = 0;            ///< seconds from the first byte sent to the last answer
  std::size_t count(int wanted) const;
};

/// Sends all over so many connections of 127.0.0.1, one request at a time on each. A connection
/// that breaks is opened again; its request counts as unanswered. Stops after two minutes.
Answers send_all(std::uint16_t port, std::size_t connections,
                 const std::vector<std::string>& requests);

/// Requests that come at their own rate, whether or not the server keeps up: an open loop.
struct Stream {
  double per_second = 0;
  std::size_t connections = 0;  ///< with one request at a time on each, as HTTP clients do
  const std::vector<std::string>* requests = nullptr;  ///< distinct ones; a refused one comes again
};

/// What became of a stream. A request for which no connection is free waits at the client's.
struct Flow {
  std::size_t due = 0;     ///< arrivals in the time measured
  std::size_t sent = 0;
  std::size_t good = 0;    ///< answered 200
  std::size_t refused = 0;  ///< 503 or 429
  std::size_t refused_without_retry_after = 0;
  std::size_t other_5xx = 0;
  std::size_t failed = 0;  ///< any other answer, or a connection that broke
  std::vector<double> seconds;      ///< of the good ones, from when they were due to their answer
  std::vector<double> answered_at;  ///< of the good ones, since the start
  double last_not_good_at = 0;      ///< since the start; 0: all were good
};

/// Runs the streams side by side for so many seconds and waits, a little, for what is under way. A
/// stream that has sent all its requests is still. With settle > 0, what is sent in the first
/// seconds is not counted, and settled() is called when they are over.
std::vector<Flow> send_at_rate(std::uint16_t port, const std::vector<Stream>& streams,
                               double seconds, double settle = 0,
                               const std::function<void()>& settled = {});

}  // namespace sara::bench
