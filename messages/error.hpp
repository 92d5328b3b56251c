// Errors across actors: sara::Error inside caf::error and back. Nothing is lost, nothing renamed.
#pragma once

#include <caf/all.hpp>

#include "base/result.hpp"

namespace sara::messages {

/// The code becomes caf::error's, the detail and the fields its context.
caf::error to_caf(const Error& error);
inline caf::error to_caf(Errc code, std::string detail) {
  return to_caf(Error{code, std::move(detail), {}});
}
/// CAF's own errors (a dead actor, a time-out) become Errc::unavailable.
Error from_caf(const caf::error& error);

}  // namespace sara::messages
