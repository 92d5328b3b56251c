// Entity tags, and the 304 they allow.
#pragma once

#include <string>
#include <string_view>

#include "http/exchange.hpp"
#include "http/static_file.hpp"

namespace sara::http {

/// A strong tag of these bytes, in its quotes.
std::string etag_of(std::string_view bytes);

/// Whether If-None-Match names the tag: a list of tags, weak or strong, or "*".
bool matches_etag(std::string_view if_none_match, std::string_view etag);

/// The answer to a GET of an embedded file: 200, or 304 where the client has it already.
Response answer_static(const Request& request, const StaticFile& file,
                       std::string_view cache_control = "public, max-age=0, must-revalidate");

}  // namespace sara::http
