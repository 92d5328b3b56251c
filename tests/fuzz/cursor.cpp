// Pages of a list: a cursor that is accepted is one we could have made, and one that we make is
// accepted.
#include <algorithm>
#include <string>

#include "base/crypto.hpp"
#include "http/check.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;

Result<http::Paging> paged(std::string_view cursor, std::string_view limit, std::string_view kind,
                           std::size_t parts) {
  http::Request request;
  request.query = {{"cursor", std::string(cursor)}, {"limit", std::string(limit)}};
  return http::paging(request, kind, parts, {});
}

void demand_refusal(const Error& error) {
  demand(error.code == Errc::invalid_argument && error.fields.size() == 1, "no 422 of one field");
}

/// As somebody sends it.
void attack_cursor(std::string_view bytes) {
  const auto one = paged(bytes, "50", "contact", 1);
  if (!one) demand_refusal(one.error());
  if (one) demand(http::make_cursor("contact", {one->cursor.at(0)}) == bytes, "two spellings");
  const auto three = paged(bytes, "50", "inbox", 3);
  if (!three) return demand_refusal(three.error());
  const auto& c = three->cursor;
  demand(http::make_cursor("inbox", {c.at(0), c.at(1), c.at(2)}) == bytes, "two spellings");
  for (std::size_t part = 0; part < 3; ++part)
    if (const auto number = http::cursor_number(*three, part))
      demand(*number >= 0, "a number below zero");
}

/// As we make it, of whatever stands in a row.
void attack_parts(std::string_view bytes) {
  std::string part(bytes.substr(0, 400));
  std::erase(part, '|');
  const auto page = paged(http::make_cursor("contact", {part}), "1", "contact", 1);
  demand(page && page->cursor.size() == 1 && page->cursor[0] == part, "our own cursor is refused");
  demand(!paged(http::make_cursor("contact", {part}), "1", "message", 1), "of another list");
}

void attack(std::string_view bytes) {
  attack_cursor(bytes);
  attack_parts(bytes);
  if (const auto page = paged(http::make_cursor("contact", {"x"}), bytes, "contact", 1))
    demand(page->limit >= 1 && page->limit <= 200, "a limit out of its range");
  if (const auto decoded = crypto::from_base64url(bytes))
    demand(crypto::to_base64url(*decoded) == bytes, "base64url with two spellings");
  const auto back = crypto::from_base64url(crypto::to_base64url(bytes));
  demand(back && *back == bytes, "base64url does not come back");
}

[[maybe_unused]] const bool added = fuzz::add_target("cursor", attack);

}  // namespace
