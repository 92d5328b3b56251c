// What can go wrong, as one closed list. Which HTTP status each becomes stands in http/problem.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sara {

/// Kinds of failure. Their numbers travel inside caf::error: append, never reorder.
enum class Errc : std::uint8_t {
  ok = 0,
  malformed,            ///< cannot be read at all (JSON, form, cursor)
  invalid_argument,     ///< readable, but a value is wrong; see Error::fields
  unauthenticated,      ///< no credential, or one that is not known
  forbidden,            ///< known, but not allowed
  not_found,            ///< missing, or another tenant's
  conflict,             ///< the object's state does not allow it
  too_large,            ///< over a size limit
  unsupported_media,    ///< content type, encoding or charset
  bad_signature,        ///< a webhook's signature is missing, wrong or stale
  overloaded,           ///< refused before any effect; try again later
  unavailable,          ///< a part we need is away (database, owner); try again later
  stale,                ///< a version or epoch that is no longer the current one
  idempotency_reused,   ///< the key was used with another body
  idempotency_running,  ///< the first request with this key is still running
  idempotency_bad_key,  ///< the key is not 1..255 visible ASCII characters
  outside_messaging_window,  ///< the channel forbids a free-form message now
  no_channel,           ///< the contact cannot be reached on the channel
  internal,             ///< a bug of ours
};

/// One wrong value inside a request.
struct FieldError {
  std::string pointer;  ///< JSON pointer, such as "/recipients/3/email"
  std::string detail;
};

/// A failure as a value. `detail` says what to do and never holds a secret, SQL or another
/// tenant's data.
struct Error {
  Errc code = Errc::ok;
  std::string detail;
  std::vector<FieldError> fields = {};
};

/// The error for one wrong field.
inline Error invalid(std::string pointer, std::string detail) {
  Error e{Errc::invalid_argument, "a value is not valid", {}};
  e.fields.push_back({std::move(pointer), std::move(detail)});
  return e;
}

std::string_view to_string(Errc code);

}  // namespace sara
