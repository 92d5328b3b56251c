// The names of the error kinds, as logs and tests spell them.
#include "base/error.hpp"

namespace sara {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::ok:
      return "ok";
    case Errc::malformed:
      return "malformed";
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::unauthenticated:
      return "unauthenticated";
    case Errc::forbidden:
      return "forbidden";
    case Errc::not_found:
      return "not_found";
    case Errc::conflict:
      return "conflict";
    case Errc::too_large:
      return "too_large";
    case Errc::unsupported_media:
      return "unsupported_media";
    case Errc::bad_signature:
      return "bad_signature";
    case Errc::overloaded:
      return "overloaded";
    case Errc::unavailable:
      return "unavailable";
    case Errc::stale:
      return "stale";
    case Errc::idempotency_reused:
      return "idempotency_reused";
    case Errc::idempotency_running:
      return "idempotency_running";
    case Errc::idempotency_bad_key:
      return "idempotency_bad_key";
    case Errc::outside_messaging_window:
      return "outside_messaging_window";
    case Errc::no_channel:
      return "no_channel";
    case Errc::internal:
      return "internal";
  }
  return "unknown";
}

}  // namespace sara
