// Entity tags for bytes that do not change while the program runs, and the 304 they allow.
#pragma once

#include <string>
#include <string_view>

#include "http/exchange.hpp"

namespace sara::http {

/// A strong tag of these bytes, in its quotes.
std::string etag_of(std::string_view bytes);

/// Whether If-None-Match names the tag: a list of tags, weak or strong, or "*".
bool matches_etag(std::string_view if_none_match, std::string_view etag);

/// The answer to a GET of embedded bytes: 200, or 304 where the client has them already.
/// bytes: live as long as the program; etag: of etag_of(bytes), made once
Response static_answer(const Request& request, std::string_view bytes, std::string content_type,
                       const std::string& etag,
                       std::string_view cache_control = "public, max-age=0, must-revalidate");

}  // namespace sara::http
