// Everything the edge can answer instead of success, as one closed list. problem.cpp gives each its
// status code, type and title; docs/problems/<type>.md tells a caller what to do about it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "http/exchange.hpp"

namespace sara::http {

/// The edge's own refusals first, then one for each Errc.
enum class Problem : std::uint8_t {
  bad_request,
  bad_framing,
  bad_host,
  bad_target,
  uri_too_long,
  headers_too_large,
  http_version,
  method_unknown,
  method_not_allowed,
  expectation,
  request_timeout,
  upgrade_required,
  rate_limited,
  malformed_json,
  invalid_field,
  unauthenticated,
  forbidden,
  not_found,
  conflict,
  content_too_large,
  unsupported_media_type,
  bad_signature,
  overloaded,
  unavailable,
  stale,
  idempotency_reused,
  idempotency_running,
  idempotency_bad_key,
  outside_messaging_window,
  no_channel,
  internal,
};

struct ProblemType {
  Problem problem;
  int status;
  std::string_view type;    ///< "/problems/<type>"
  std::string_view title;   ///< the same for every occurrence
  std::string_view detail;  ///< what to do, where the occurrence has nothing better to say
};

/// The whole table, in the order of the enumeration.
std::span<const ProblemType> problem_types();
const ProblemType& problem_type(Problem problem);
Problem to_problem(Errc code);

/// RFC 9457 answer. An empty detail is replaced by the type's own. 429 and 503 carry Retry-After,
/// 401 carries WWW-Authenticate.
Response problem(Problem kind, std::string_view detail, const Request& request);

inline constexpr int status_not_modified = 304;
/// "Not Found" and the like; "" for a code we never send.
std::string_view reason_phrase(int status);
/// Whether an answer with this code has content at all (1xx, 204 and 304 have none).
bool has_content(int status);

}  // namespace sara::http
