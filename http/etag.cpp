#include "http/etag.hpp"

#include "base/crypto.hpp"
#include "base/text.hpp"
#include "http/problem.hpp"

namespace sara::http {

std::string etag_of(std::string_view bytes) {
  const auto digest = crypto::sha256(bytes);
  const std::string_view half{reinterpret_cast<const char*>(digest.data()), digest.size() / 2};
  return '"' + crypto::to_base64url(half) + '"';
}

bool matches_etag(std::string_view if_none_match, std::string_view etag) {
  if (text::trim(if_none_match) == "*") return true;
  // Tags of ours hold no comma, so a list may be cut at commas.
  while (!if_none_match.empty()) {
    const auto comma = if_none_match.find(',');
    auto candidate = text::trim(if_none_match.substr(0, comma));
    if (candidate.starts_with("W/")) candidate.remove_prefix(2);
    if (candidate == etag) return true;
    if_none_match.remove_prefix(comma == if_none_match.npos ? if_none_match.size() : comma + 1);
  }
  return false;
}

Response answer_static(const Request& request, const StaticFile& file,
                       std::string_view cache_control) {
  Response r;
  r.headers.emplace_back("ETag", file.etag);
  r.headers.emplace_back("Cache-Control", cache_control);
  if (matches_etag(request.header("if-none-match"), file.etag)) {
    r.status = status_not_modified;
    return r;
  }
  r.content_type = file.content_type;
  r.static_body = file.content;
  return r;
}

}  // namespace sara::http
