// The checks of a request that ask nobody: names and values of its query, its page and cursor, the
// members of its JSON body. Pure; routes and the live feed share them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "http/exchange.hpp"

namespace sara::http {

/// A page's limit and cursor. errors: invalid_argument
struct Paging {
  int limit = 50;
  std::vector<std::string> cursor;  ///< its parts; empty: from the start
};
/// kind: what the cursor must be of; its parts follow. Query names but limit, cursor and `known`
/// are an error.
Result<Paging> paging(const Request& request, std::string_view kind, std::size_t parts,
                      std::initializer_list<std::string_view> known_names);
/// A number inside a cursor. errors: invalid_argument
Result<std::int64_t> cursor_number(const Paging& page, std::size_t part);
std::string make_cursor(std::string_view kind, std::initializer_list<std::string> parts);
/// errors: invalid_argument - a query name that is not of the list
Result<void> only_query(const Request& request, std::initializer_list<std::string_view> names);

/// The body as a JSON object whose members are all known.
/// errors: malformed; invalid_argument - another type, or an unknown member
Result<json::Document> object_body(const Request& request,
                                   std::initializer_list<std::string_view> names);
/// A string member within a length. Absent and not required: "".
Result<std::string> string_member(json::Ref object, std::string_view name, std::size_t bytes_max,
                                  bool required = false);
/// Unknown members of a nested object. pointer: of the object, such as "/message"
Result<void> only_members(json::Ref object, std::string_view pointer,
                          std::initializer_list<std::string_view> names);

}  // namespace sara::http
