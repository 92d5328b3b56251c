// The forward-only rule, written out: every pair of states.
#include "domain/delivery.hpp"

#include <array>
#include <map>
#include <set>

#include "support.hpp"

using namespace sara;
using namespace sara::domain;

namespace {

constexpr std::array all{MessageStatus::received,   MessageStatus::queued,
                         MessageStatus::sending,    MessageStatus::sent,
                         MessageStatus::delivered,  MessageStatus::read,
                         MessageStatus::failed,     MessageStatus::bounced,
                         MessageStatus::complained, MessageStatus::cancelled,
                         MessageStatus::expired,    MessageStatus::unknown};

}  // namespace

TEST_CASE("delivery: the full table of what moves on to what") {
  const std::map<std::string, std::set<std::string>> table{
      {"received", {}},
      {"queued",
       {"sending", "sent", "delivered", "read", "failed", "bounced", "complained", "cancelled",
        "expired"}},
      {"sending",
       {"queued", "sent", "delivered", "read", "failed", "bounced", "complained", "unknown"}},
      {"sent", {"delivered", "read", "failed", "bounced", "complained"}},
      {"delivered", {"read", "bounced", "complained"}},
      {"read", {"complained"}},
      {"failed", {}},
      {"bounced", {}},
      {"complained", {}},
      {"cancelled", {}},
      {"expired", {}},
      {"unknown",
       {"sent", "delivered", "read", "failed", "bounced", "complained", "cancelled", "expired"}},
  };
  for (auto from : all)
    for (auto to : all) {
      INFO(to_string(from), " -> ", to_string(to));
      CHECK(advances(from, to) ==
            table.at(std::string(to_string(from))).contains(std::string(to_string(to))));
    }
}

TEST_CASE("delivery: no walk of reports ever comes back to a state") {
  // Only the queue may be entered again: a send that was never written to the socket.
  for (auto a : all)
    for (auto b : all)
      for (auto c : all) {
        if (!advances(a, b) || !advances(b, c)) continue;
        INFO(to_string(a), " -> ", to_string(b), " -> ", to_string(c));
        CHECK((a != c || a == MessageStatus::queued || a == MessageStatus::sending));
      }
}

TEST_CASE("delivery: settled is what only a complaint can change") {
  for (auto status : all) {
    if (status == MessageStatus::received) continue;
    bool moves = false;
    for (auto to : all) moves |= to != MessageStatus::complained && advances(status, to);
    INFO(to_string(status));
    CHECK(settled(status) == !moves);
  }
}

TEST_CASE("delivery: the words of the API") {
  std::set<std::string_view> names;
  for (auto status : all) names.insert(to_string(status));
  CHECK(names.size() == all.size());
  CHECK(names.contains("complained"));
}
