#include "http/request_form.hpp"

#include <algorithm>
#include <array>

#include "base/crypto.hpp"
#include "base/text.hpp"
#include "http/head.hpp"

namespace sara::http {

namespace {

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool consists_of(std::string_view s, std::string_view punctuation) {
  return std::all_of(s.begin(), s.end(), [punctuation](char c) {
    return is_alnum(c) || punctuation.find(c) != punctuation.npos;
  });
}

std::string_view unquote(std::string_view s) {
  return s.size() >= 2 && s.front() == '"' && s.back() == '"' ? s.substr(1, s.size() - 2) : s;
}

}  // namespace

std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  if (!text::equal_ignoring_case(authorization.substr(0, scheme.size()), scheme)) return {};
  auto token = authorization.substr(scheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  if (token.empty() || token.size() > 4096 || !consists_of(token, "-._~+/=")) return {};
  return token;
}

bool has_credential(const Pairs& query) {
  static constexpr std::array<std::string_view, 7> names{
      "access_token", "token", "api_key", "apikey", "auth_token", "authorization", "jwt"};
  return std::any_of(query.begin(), query.end(), [](const auto& pair) {
    return std::any_of(names.begin(), names.end(), [&pair](std::string_view name) {
      return text::equal_ignoring_case(pair.first, name);
    });
  });
}

bool is_json(std::string_view content_type) {
  if (content_type == "application/json") return true;
  auto end = content_type.find(';');
  if (!text::equal_ignoring_case(text::trim(content_type.substr(0, end)), "application/json")) {
    return false;
  }
  while (end != content_type.npos) {
    content_type.remove_prefix(end + 1);
    end = content_type.find(';');
    const auto parameter = text::trim(content_type.substr(0, end));
    const auto sign = parameter.find('=');
    if (sign == parameter.npos ||
        !text::equal_ignoring_case(text::trim(parameter.substr(0, sign)), "charset")) {
      continue;
    }
    const auto charset = unquote(text::trim(parameter.substr(sign + 1)));
    if (!text::equal_ignoring_case(charset, "utf-8") &&
        !text::equal_ignoring_case(charset, "utf8")) {
      return false;
    }
  }
  return true;
}

bool is_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && consists_of(id, "-_.~:+/=@");
}

std::optional<Problem> judge_handshake(const Request& request, bool connection_upgrade) {
  if (!connection_upgrade || !lists_token(request.header("upgrade"), "websocket") ||
      request.header("sec-websocket-version") != "13") {
    return Problem::upgrade_required;
  }
  const auto key = crypto::from_base64(request.header("sec-websocket-key"));
  if (!key || key->size() != 16) return Problem::bad_request;
  return {};
}

}  // namespace sara::http
