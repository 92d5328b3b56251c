#include "http/exchange.hpp"

namespace sara::http {

/// The table of reliability.md, section 10, as far as the four scopes go.
bool Principal::may(Scope scope) const {
  switch (scope) {
    case Scope::open:
    case Scope::read:
      return true;
    case Scope::write:
      return role != Role::viewer;
    case Scope::credential:
      return role == Role::owner || role == Role::admin;
  }
  return false;
}

namespace {

const std::string* find(const Pairs& pairs, std::string_view name) {
  for (const auto& [key, value] : pairs) {
    if (key == name) return &value;
  }
  return nullptr;
}

}  // namespace

std::string_view Request::header(std::string_view lower_case_name) const {
  const auto* value = find(headers, lower_case_name);
  return value ? std::string_view{*value} : std::string_view{};
}

std::string_view Request::param(std::string_view name) const {
  const auto* value = find(params, name);
  return value ? std::string_view{*value} : std::string_view{};
}

std::optional<std::string_view> Request::query_value(std::string_view name) const {
  const auto* value = find(query, name);
  return value ? std::optional<std::string_view>{*value} : std::nullopt;
}

}  // namespace sara::http
