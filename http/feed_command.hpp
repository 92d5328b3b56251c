// What a client of the live feed may send: one JSON object for each WebSocket message. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.hpp"
#include "base/result.hpp"
#include "domain/inbox.hpp"

namespace sara::http {

/// {"type":"subscribe",...} and the like, read. errors: invalid_argument, malformed
struct FeedCommand {
  enum class Type : std::uint8_t { subscribe, typing, viewing, ping };
  Type type = Type::ping;
  domain::InboxFilter filter;
  std::optional<Sequence> after;
  std::string conversation_id;
};
Result<FeedCommand> parse_feed_command(std::string_view text, std::string_view me);

}  // namespace sara::http
