// The route table: method, path, scope and body rule of every route, and its handler.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/admission.hpp"
#include "http/exchange.hpp"

namespace sara::http {

using Handler = std::function<boost::asio::awaitable<Response>(Request&)>;

/// What a body may be. Checked in api.md's order: path, method, credentials, permission, size,
/// content type, body.
enum class Body : std::uint8_t {
  none,       ///< a body is not expected; one that comes is read within the limit and ignored
  json,       ///< application/json, parsed by the handler
  webhook,    ///< any content type, webhook limit (4 MiB)
  multipart,  ///< any content type, inbound parse limit (32 MiB)
};

/// A connection that leaves HTTP: a WebSocket route takes it over after the checks of its GET.
struct Handover {
  Request request;
  boost::asio::ip::tcp::socket socket;
  std::string behind;           ///< bytes already read behind the header
  std::shared_ptr<void> place;  ///< its place among the connections: kept while the socket lives
};
using UpgradeHandler = std::function<boost::asio::awaitable<void>(Handover)>;

/// Whose request it is, told from its head; none if that is not known yet.
using Owner = std::function<TenantId(const Request&)>;

struct Route {
  std::string method;
  std::string path;  ///< "/api/v1/conversations/{id}/messages"
  Scope scope = Scope::read;
  Body body = Body::none;
  Handler handler;
  UpgradeHandler upgrade;  ///< set for WebSocket routes only
  /// What is refused first when there is too much. By itself: without a credential an operation or,
  /// with a webhook's body, a webhook; with one, GET reads and all else writes.
  domain::Traffic traffic = domain::Traffic::operation;
  Owner owner;  ///< for routes without a credential; with one, it tells
};

/// Paths are literal segments and parameters: "/contacts/{id}", or "/assets/{name...}" for all the
/// rest. A literal segment wins over a parameter. A parameter never matches an empty segment.
class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;
  /// Each returns its route, to say more of it; the reference lives until the next one is added.
  Route& get(std::string path, Scope scope, Handler handler);
  Route& post(std::string path, Scope scope, Body body, Handler handler);
  Route& put(std::string path, Scope scope, Body body, Handler handler);
  Route& patch(std::string path, Scope scope, Body body, Handler handler);
  Route& remove(std::string path, Scope scope, Handler handler);
  /// GET that becomes a WebSocket. The handler may return while the socket lives on. It
  /// authenticates by itself: browsers cannot set the Authorization header.
  /// scope: what a request needs that is no handshake, before it is told so.
  void websocket(std::string path, UpgradeHandler handler, Scope scope = Scope::open);

  struct Match {
    const Route* route = nullptr;      ///< none: not found, or the method is not allowed
    std::vector<std::string> allowed;  ///< methods of the path; empty: the path is unknown
    Pairs params;
  };
  /// HEAD finds the route of GET.
  Match match(std::string_view method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Node;
  Route& add(Route route);
  std::vector<Route> routes_;
  std::unique_ptr<Node> root_;
};

}  // namespace sara::http
