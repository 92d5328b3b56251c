// The head of an answer, written by hand into a buffer that is used again and again.
#pragma once

#include <string>
#include <string_view>

#include "http/exchange.hpp"

namespace sara::http {

struct AnswerContext {
  std::string_view date;
  std::string_view request_id;
  bool close = false;
};

/// Appends status line, headers and the empty line. A header of the handler's that could break the
/// line it stands on is left out. Returns false if that happened.
bool append_answer_head(std::string& out, const Response& answer, const AnswerContext& context);

std::string_view content_of(const Response& answer);

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(std::int64_t unix_seconds);

}  // namespace sara::http
