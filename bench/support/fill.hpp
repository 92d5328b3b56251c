// Makes a database large. A few conversations are written by the server itself, from real webhooks
// and API calls; the mass are copies of their rows, made in SQL by the superuser. The catalog says
// which columns there are, so that a new one is copied as the server wrote it.
//
// No server may run meanwhile: a writer holds its tenants' numbers in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/support/database.hpp"
#include "tests/support/provider.hpp"

namespace sara::bench {

/// A conversation that the server has written, with all of its rows.
struct Pattern {
  std::string tenant_id;
  std::string conversation_id;
  std::string address;  ///< of its contact: a prefix and seven digits, such as "+15551000000"
};

struct Copies {
  std::vector<std::string> tenants;  ///< empty: the pattern's own
  std::int64_t each = 0;             ///< conversations for each tenant
  std::int64_t first = 1;            ///< number of the first copy; its address says it
  /// Of outbound messages: as they were when they were accepted, still to be sent.
  bool queued = false;
};

/// The address of a copy, by its number.
std::string copy_address(const std::string& address, std::int64_t number);

/// Makes the copies. Their messages are numbered behind what each tenant has, in turns: the first
/// message of every copy, then the second of every copy.
void multiply(Database& database, const Pattern& pattern, const Copies& copies);

/// After the last copy: statistics, visibility, and all of it on the disk.
void settle(Database& database);

/// A tenant with a Twilio account.
struct Shop {
  std::string tenant_id;
  std::string api_key;
  test::Twilio twilio;
};
/// So many tenants more, made through the running server's API. like: whose account they have.
std::vector<Shop> make_shops(std::uint16_t port, Database& database, const test::Twilio& like,
                             std::size_t count);

/// A message id as Twilio makes them, different for each number.
std::string message_sid(std::uint64_t number);

}  // namespace sara::bench
