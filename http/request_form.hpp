// The checks between a good head and its handler that need no socket: credential form, media type,
// WebSocket handshake. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "http/problem.hpp"

namespace sara::http {

/// The token of "Bearer <token>". Nothing: another scheme, or not a token.
std::optional<std::string_view> bearer_token(std::string_view authorization);

/// Whether the query carries what looks like a credential. Addresses end up in logs and histories.
bool has_credential(const Pairs& query);

/// application/json, in UTF-8 where it says a charset.
bool is_json(std::string_view content_type);

/// A client's own X-Request-Id is kept if it cannot harm a log: 1 to 64 letters, digits, -_.~:+/=@
bool is_request_id(std::string_view id);

/// What is wrong with a WebSocket handshake (RFC 6455, 4.2.1); nothing if it is right.
/// connection_upgrade: the Connection header lists "upgrade"
std::optional<Problem> judge_handshake(const Request& request, bool connection_upgrade);

}  // namespace sara::http
