#include "http/check.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/crypto.hpp"

namespace sara::http {

namespace {

bool contains(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Result<void> only_query(const Request& request, std::initializer_list<std::string_view> names) {
  std::set<std::string_view> seen;
  for (auto& [name, value] : request.query) {
    if (!contains(names, name))
      return fail(invalid("?" + name, "is not a parameter of this route"));
    if (!seen.insert(name).second) return fail(invalid("?" + name, "stands twice"));
  }
  return {};
}

Result<Paging> paging(const Request& request, std::string_view kind, std::size_t parts,
                      std::initializer_list<std::string_view> known_names) {
  std::set<std::string_view> seen;
  for (auto& [name, value] : request.query) {
    if (name != "limit" && name != "cursor" && !contains(known_names, name))
      return fail(invalid("?" + name, "is not a parameter of this route"));
    if (!seen.insert(name).second) return fail(invalid("?" + name, "stands twice"));
  }
  Paging page;
  if (auto limit = request.query_value("limit")) {
    auto end = limit->data() + limit->size();
    auto [last, error] = std::from_chars(limit->data(), end, page.limit);
    if (error != std::errc{} || last != end || page.limit < 1 || page.limit > 200)
      return fail(invalid("?limit", "must be a whole number from 1 to 200"));
  }
  if (auto cursor = request.query_value("cursor")) {
    auto wrong = [] { return fail(invalid("?cursor", "is not a cursor of this list")); };
    auto text = crypto::from_base64url(*cursor);
    if (!text || text->size() > 500) return wrong();
    std::string_view rest = *text;
    std::vector<std::string> all;
    while (true) {
      auto bar = rest.find('|');
      all.emplace_back(rest.substr(0, bar));
      if (bar == rest.npos) break;
      rest.remove_prefix(bar + 1);
    }
    if (all.size() != parts + 1 || all[0] != kind) return wrong();
    page.cursor.assign(all.begin() + 1, all.end());
  }
  return page;
}

Result<std::int64_t> cursor_number(const Paging& page, std::size_t part) {
  auto& text = page.cursor.at(part);
  std::int64_t value = 0;
  auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc{} || end != text.data() + text.size() || value < 0)
    return fail(invalid("?cursor", "is not a cursor of this list"));
  return value;
}

std::string make_cursor(std::string_view kind, std::initializer_list<std::string> parts) {
  std::string text(kind);
  for (auto& part : parts) text += "|" + part;
  return crypto::to_base64url(text);
}

Result<void> only_members(json::Ref object, std::string_view pointer,
                          std::initializer_list<std::string_view> names) {
  if (!object.is_object()) return fail(invalid(std::string(pointer), "must be an object"));
  Error error;
  for (auto& [name, value] : object.members())
    if (!contains(names, name)) {
      error.code = Errc::invalid_argument;
      error.detail = "the body has a field that this route does not know";
      error.fields.push_back(
          {std::string(pointer) + "/" + std::string(name), "is not a known field"});
    }
  if (error.code != Errc::ok) return fail(error);
  return {};
}

Result<json::Document> object_body(const Request& request,
                                   std::initializer_list<std::string_view> names) {
  auto doc = json::parse(request.body);
  if (!doc) return fail(doc.error());
  if (!doc->root().is_object()) return fail(invalid("", "the body must be a JSON object"));
  if (auto known = only_members(doc->root(), "", names); !known) return fail(known.error());
  return doc;
}

Result<std::string> string_member(json::Ref object, std::string_view name, std::size_t bytes_max,
                                  bool required) {
  auto value = object[name];
  std::string pointer = "/" + std::string(name);
  if (!value.exists() || value.is_null()) {
    if (required) return fail(invalid(pointer, "is required"));
    return std::string{};
  }
  auto text = value.string();
  if (!text) return fail(invalid(pointer, "must be a string"));
  if (required && text->empty()) return fail(invalid(pointer, "must not be empty"));
  if (text->size() > bytes_max)
    return fail(invalid(pointer, "has more than " + std::to_string(bytes_max) + " bytes"));
  return std::string(*text);
}

}  // namespace sara::http
