// The head of a request, judged byte by byte before anything else sees it: every refusal of
// reliability.md, section 6, that needs no route. Pure: no socket, no clock. Nothing is repaired;
// what two readers could understand differently is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/problem.hpp"

namespace sara::http {

inline constexpr std::size_t target_bytes_max = 8 * 1024;
inline constexpr std::size_t field_section_bytes_max = 16 * 1024;
inline constexpr std::size_t fields_max = 100;

/// Why a request is not served, and whether the connection can still be trusted.
struct Refusal {
  Problem problem;
  std::string_view detail;  ///< a literal
  bool close;
};

struct Field {
  std::string_view name;   ///< as sent
  std::string_view value;  ///< without white space at both ends
};

/// Views point into the judged bytes.
struct Head {
  std::string_view method;
  std::string_view target;
  std::string_view raw_query;
  std::string path;  ///< decoded: UTF-8, no control characters, no dot segments
  Pairs query;       ///< decoded
  std::vector<Field> fields;
  std::uint64_t content_length = 0;
  bool chunked = false;
  bool close = false;            ///< Connection: close
  bool upgrade = false;          ///< Connection: upgrade
  bool expect_continue = false;  ///< Expect: 100-continue
  unsigned authorizations = 0;   ///< how many Authorization fields there are
  unsigned content_types = 0;
};

/// Finds the end of a head in bytes that arrive piece by piece, and refuses early what can never
/// become one, so that nobody has to wait for a time-out to hear it.
class HeadReader {
 public:
  enum class Progress { more, complete, refused };
  /// bytes: all that arrived of this head so far; each call sees the former bytes again, and more.
  Progress feed(std::string_view bytes);
  /// Bytes of the complete head, its empty line included.
  std::size_t size() const { return line_; }
  const std::optional<Refusal>& refusal() const { return refusal_; }
  void reset() { *this = HeadReader{}; }

 private:
  Progress refuse(Problem problem, std::string_view detail);
  std::size_t line_ = 0;     ///< where the current line begins
  std::size_t scanned_ = 0;  ///< no line feed before here that is not dealt with
  std::size_t fields_begin_ = 0;
  std::size_t fields_ = 0;
  std::optional<Refusal> refusal_;
};

/// Judges a complete head. Refused: `head` holds what was understood so far (possibly nothing).
std::optional<Refusal> judge(std::string_view bytes, Head& head);

/// One field line without its CRLF. errors: bad-request
std::optional<Refusal> judge_field(std::string_view line, Field& field);

/// Whether a comma-separated list contains the token, in any case.
bool lists_token(std::string_view list, std::string_view lower_case_token);

}  // namespace sara::http
