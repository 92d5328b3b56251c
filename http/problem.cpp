// The only file that knows status codes.
#include "http/problem.hpp"

#include <array>
#include <functional>

#include "base/json.hpp"

namespace sara::http {

namespace {

using P = Problem;

// Two problems may share a type: 501 is a method nobody serves, 405 one that this path does not.
constexpr auto table = std::to_array<ProblemType>({
    {P::bad_request, 400, "bad-request", "Bad request", "The request is not well-formed HTTP/1.1."},
    {P::bad_framing, 400, "bad-framing", "Bad framing",
     "The length of the request's body is not stated in exactly one valid way."},
    {P::bad_host, 400, "bad-host", "Bad Host header",
     "Send exactly one Host header with a host name and, optionally, a port."},
    {P::bad_target, 400, "bad-target", "Bad request target",
     "Send a path that is percent-encoded UTF-8, without dot segments and fragments."},
    {P::uri_too_long, 414, "uri-too-long", "URI too long",
     "The request target is longer than 8 KiB."},
    {P::headers_too_large, 431, "headers-too-large", "Header fields too large",
     "Send at most 100 header fields of 16 KiB together, and trailers of at most 1 KiB."},
    {P::http_version, 505, "http-version", "HTTP version not supported", "Speak HTTP/1.1."},
    {P::method_unknown, 501, "method-not-allowed", "Method not allowed",
     "The server does not know this method. Methods are upper case."},
    {P::method_not_allowed, 405, "method-not-allowed", "Method not allowed",
     "This path exists, but not for this method: see the Allow header."},
    {P::expectation, 417, "expectation", "Expectation failed",
     "The only expectation that is met is 100-continue."},
    {P::request_timeout, 408, "request-timeout", "Request timeout",
     "The request did not arrive in time. Send it again on a new connection."},
    {P::upgrade_required, 426, "upgrade-required", "Upgrade required",
     "This path speaks WebSocket, version 13."},
    {P::rate_limited, 429, "rate-limited", "Too many requests",
     "Wait as long as Retry-After says, then go on at a lower rate."},
    {P::malformed_json, 400, "malformed-json", "Malformed JSON", "The body is not valid JSON."},
    {P::invalid_field, 422, "invalid-field", "Invalid field", "A value is not valid: see errors."},
    {P::unauthenticated, 401, "unauthenticated", "Unauthenticated",
     "Send a valid credential as one header: Authorization: Bearer <key>."},
    {P::forbidden, 403, "forbidden", "Forbidden",
     "The credential is valid, but its role or scope does not allow this."},
    {P::not_found, 404, "not-found", "Not found", "There is nothing here, or it is not yours."},
    {P::conflict, 409, "conflict", "Conflict", "The object's state does not allow this now."},
    {P::content_too_large, 413, "content-too-large", "Content too large",
     "The body is larger than this path accepts."},
    {P::unsupported_media_type, 415, "unsupported-media-type", "Unsupported media type",
     "Send application/json in UTF-8, without a content encoding."},
    {P::bad_signature, 401, "bad-signature", "Bad signature",
     "The webhook's signature is missing, wrong or too old."},
    {P::overloaded, 503, "overloaded", "Overloaded",
     "Nothing was done. Try again after the time in Retry-After."},
    {P::unavailable, 503, "unavailable", "Temporarily unavailable",
     "A part the server needs is away. Try again after the time in Retry-After."},
    {P::stale, 412, "stale", "Stale version",
     "The object has changed since it was read. Read it again, then repeat the change."},
    {P::idempotency_reused, 422, "idempotency-reused", "Idempotency key reused",
     "This key was used with another request. Use a fresh key for a new request."},
    {P::idempotency_running, 409, "idempotency-running", "Idempotent request still running",
     "The first request with this key has not finished. Ask again shortly."},
    {P::idempotency_bad_key, 400, "idempotency-bad-key", "Bad idempotency key",
     "An Idempotency-Key is 1 to 255 visible ASCII characters."},
    {P::outside_messaging_window, 409, "outside-messaging-window", "Outside the messaging window",
     "The channel allows a free-form message only for a time after the contact wrote."},
    {P::no_channel, 409, "no-channel", "No channel",
     "The contact cannot be reached on this channel."},
    {P::internal, 500, "internal", "Internal error",
     "This is our fault. The request id helps us find it."},
});

constexpr bool in_order() {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].problem) != i) return false;
  }
  return table.size() == static_cast<std::size_t>(P::internal) + 1;
}
static_assert(in_order(), "a problem stands where its enumerator says");

constexpr std::size_t spread_seconds = 3;

/// Seconds after which a refused caller may come back; 0: not said. Those who were refused together
/// must not come back together.
std::size_t retry_after_seconds(const ProblemType& type, const Request& request) {
  if (type.status == 503)
    return 1 + std::hash<std::string_view>{}(request.request_id) % spread_seconds;
  return type.status == 429 || type.problem == P::idempotency_running ? 1 : 0;
}

Response make(const ProblemType& type, std::string_view detail,
              const std::vector<FieldError>& fields, const Request& request) {
  Response r;
  r.status = type.status;
  r.content_type = "application/problem+json";
  r.body.reserve(320);
  json::Writer w{r.body};
  w.begin_object();
  w.member("type", "/problems/" + std::string{type.type});
  w.member("title", type.title);
  w.member("status", type.status);
  w.member("detail", detail.empty() ? type.detail : detail);
  // A target that could not be read is no address: then the request itself is named.
  w.member("instance", request.path.empty() ? "#" + request.request_id : request.path);
  w.member("request_id", request.request_id);
  if (!fields.empty()) {
    w.key("errors").begin_array();
    for (const auto& field : fields) {
      w.begin_object();
      w.member("pointer", field.pointer).member("detail", field.detail);
      w.end_object();
    }
    w.end_array();
  }
  w.end_object();
  if (const auto seconds = retry_after_seconds(type, request); seconds > 0) {
    r.headers.emplace_back("Retry-After", std::to_string(seconds));
  }
  if (type.problem == P::unauthenticated) {
    r.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"madansara\"");
  } else if (type.problem == P::bad_signature) {
    r.headers.emplace_back("WWW-Authenticate", "Signature");
  }
  return r;
}

}  // namespace

std::span<const ProblemType> problem_types() {
  return table;
}

const ProblemType& problem_type(Problem problem) {
  return table[static_cast<std::size_t>(problem)];
}

Problem to_problem(Errc code) {
  switch (code) {
    case Errc::malformed:
      return P::malformed_json;
    case Errc::invalid_argument:
      return P::invalid_field;
    case Errc::unauthenticated:
      return P::unauthenticated;
    case Errc::forbidden:
      return P::forbidden;
    case Errc::not_found:
      return P::not_found;
    case Errc::conflict:
      return P::conflict;
    case Errc::too_large:
      return P::content_too_large;
    case Errc::unsupported_media:
      return P::unsupported_media_type;
    case Errc::bad_signature:
      return P::bad_signature;
    case Errc::overloaded:
      return P::overloaded;
    case Errc::unavailable:
      return P::unavailable;
    case Errc::stale:
      return P::stale;
    case Errc::idempotency_reused:
      return P::idempotency_reused;
    case Errc::idempotency_running:
      return P::idempotency_running;
    case Errc::idempotency_bad_key:
      return P::idempotency_bad_key;
    case Errc::outside_messaging_window:
      return P::outside_messaging_window;
    case Errc::no_channel:
      return P::no_channel;
    case Errc::ok:
    case Errc::internal:
      return P::internal;
  }
  return P::internal;
}

Response problem(Problem kind, std::string_view detail, const Request& request) {
  return make(problem_type(kind), detail, {}, request);
}

Response problem(const Error& error, const Request& request) {
  const auto kind = to_problem(error.code);
  // What an internal error says is for the log, not for the caller.
  const std::string_view detail = kind == P::internal ? std::string_view{} : error.detail;
  return make(problem_type(kind), detail, error.fields, request);
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

bool has_content(int status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace sara::http
