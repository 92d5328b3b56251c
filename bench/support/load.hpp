// A cheap load generator: one thread of epoll that sends prepared bytes and looks at little more
// than the status of each answer, so that what is measured is the server.
#pragma once

#include <cstdint>
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

}  // namespace sara::bench
