// Result<T>: a value or an Error. ensure(): a broken invariant, which ends the actor that met it.
#pragma once

#include <stdexcept>
#include <string>
#include <tl/expected.hpp>

#include "base/error.hpp"

namespace sara {

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string detail) {
  return tl::unexpected<Error>(Error{code, std::move(detail), {}});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

/// Thrown by ensure(). Only an actor's death or main() may catch it.
struct BrokenInvariant : std::logic_error {
  using std::logic_error::logic_error;
};

inline void ensure(bool condition, const char* why) {
  if (!condition) throw BrokenInvariant(why);
}

}  // namespace sara
