// One request and its answer, as handlers see them: checked, decoded, with its credential resolved.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/id.hpp"
#include "base/json.hpp"
#include "base/result.hpp"

namespace sara::http {

/// What a credential may do. A route names exactly one; a route without one does not start.
enum class Scope : std::uint8_t {
  open,        ///< no credential: health, documents, webhooks (verified by signature)
  read,        ///< inbox, contacts, conversations
  write,       ///< reply, open a conversation
  credential,  ///< integrations and their secrets
};

enum class Role : std::uint8_t { owner, admin, marketer, agent, viewer };

/// Who asks. The tenant comes from the credential, never from the body.
struct Principal {
  TenantId tenant_id;
  std::string key_id;
  Role role = Role::viewer;
  bool may(Scope scope) const;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;      ///< upper case
  std::string target;      ///< as received: path and query, still percent-encoded
  std::string path;        ///< decoded
  std::string raw_query;   ///< without '?', as received
  Pairs query;             ///< decoded, in order
  Pairs headers;           ///< names in lower case
  std::string body;        ///< raw bytes
  Pairs params;            ///< {id} and the like of the route's path
  std::string request_id;
  std::string peer;        ///< the client's IP address
  std::optional<Principal> principal;

  /// The header's value, or "" (several values: the first).
  std::string_view header(std::string_view lower_case_name) const;
  std::string_view param(std::string_view name) const;
  std::optional<std::string_view> query_value(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  /// Instead of `body`, bytes that live as long as the program (embedded files).
  std::string_view static_body;
  Pairs headers;
  bool close = false;  ///< answer with Connection: close

  static Response json(int status, std::string body) {
    Response r;
    r.status = status;
    r.body = std::move(body);
    return r;
  }
  static Response text(int status, std::string body) {
    Response r;
    r.status = status;
    r.content_type = "text/plain; charset=utf-8";
    r.body = std::move(body);
    return r;
  }
};

/// RFC 9457 answer for an error; http/problem.cpp is the only place that knows status codes.
Response problem(const Error& error, const Request& request);

}  // namespace sara::http
