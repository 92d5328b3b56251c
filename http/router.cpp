// A tree over the path's segments, filled once at start and only read afterwards.
#include "http/router.hpp"

#include <algorithm>
#include <map>

namespace sara::http {

struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> parameter;
  std::vector<std::size_t> routes;  ///< indices of the routes that end here, one for each method
  std::vector<std::size_t> rest;    ///< of those that end here with {name...}
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

namespace {

/// Takes the first segment off "/a/b": returns "a", leaves "/b".
std::string_view take_segment(std::string_view& path) {
  const auto end = path.find('/', 1);
  const auto segment = path.substr(1, end == path.npos ? path.npos : end - 1);
  path = end == path.npos ? std::string_view{} : path.substr(end);
  return segment;
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool is_rest(std::string_view segment) {
  return is_parameter(segment) && segment.ends_with("...}");
}

/// The values of the route's parameters, by walking its pattern and the path side by side.
void bind_params(std::string_view pattern, std::string_view path, Pairs& params) {
  while (!pattern.empty()) {
    const auto name = take_segment(pattern);
    if (is_rest(name)) {
      params.emplace_back(name.substr(1, name.size() - 5), path.substr(1));
      return;
    }
    const auto value = take_segment(path);
    if (is_parameter(name)) params.emplace_back(name.substr(1, name.size() - 2), value);
  }
}

/// The routes at the end of the path. Depth is bounded by the longest pattern of the table.
template <class Node>
const std::vector<std::size_t>* find(const Node& node, std::string_view path) {
  if (path.empty()) return node.routes.empty() ? nullptr : &node.routes;
  auto behind = path;
  const auto segment = take_segment(behind);
  if (auto it = node.literals.find(segment); it != node.literals.end()) {
    if (const auto* found = find(*it->second, behind)) return found;
  }
  if (segment.empty()) return nullptr;
  if (node.parameter) {
    if (const auto* found = find(*node.parameter, behind)) return found;
  }
  return node.rest.empty() ? nullptr : &node.rest;
}

domain::Traffic usual_traffic(const Route& route) {
  using domain::Traffic;
  if (route.upgrade) return Traffic::read;
  if (route.body == Body::webhook || route.body == Body::multipart) return Traffic::webhook;
  if (route.scope == Scope::open) return Traffic::operation;
  return route.method == "GET" ? Traffic::read : Traffic::write;
}

}  // namespace

Route& Router::add(Route route) {
  ensure(route.path.starts_with('/'), "a route's path begins with a slash");
  ensure(route.handler || route.upgrade, "a route has a handler");
  auto* node = root_.get();
  auto* ends = &node->routes;
  for (std::string_view path = route.path; !path.empty();) {
    const auto segment = take_segment(path);
    if (is_rest(segment)) {
      ensure(path.empty(), "nothing stands behind {name...}");
      ends = &node->rest;
      break;
    }
    auto& next = is_parameter(segment) ? node->parameter : node->literals[std::string{segment}];
    if (!next) next = std::make_unique<Node>();
    node = next.get();
    ends = &node->routes;
  }
  for (const auto index : *ends) {
    ensure(routes_[index].method != route.method, "a method and a path have one route");
  }
  ends->push_back(routes_.size());
  route.traffic = usual_traffic(route);
  return routes_.emplace_back(std::move(route));
}

Route& Router::get(std::string path, Scope scope, Handler handler) {
  return add({"GET", std::move(path), scope, Body::none, std::move(handler), {}, {}, {}});
}
Route& Router::post(std::string path, Scope scope, Body body, Handler handler) {
  return add({"POST", std::move(path), scope, body, std::move(handler), {}, {}, {}});
}
Route& Router::put(std::string path, Scope scope, Body body, Handler handler) {
  return add({"PUT", std::move(path), scope, body, std::move(handler), {}, {}, {}});
}
Route& Router::patch(std::string path, Scope scope, Body body, Handler handler) {
  return add({"PATCH", std::move(path), scope, body, std::move(handler), {}, {}, {}});
}
Route& Router::remove(std::string path, Scope scope, Handler handler) {
  return add({"DELETE", std::move(path), scope, Body::none, std::move(handler), {}, {}, {}});
}
void Router::websocket(std::string path, UpgradeHandler handler, Scope scope) {
  add({"GET", std::move(path), scope, Body::none, {}, std::move(handler), {}, {}});
}

Router::Match Router::match(std::string_view method, std::string_view path) const {
  Match result;
  if (!path.starts_with('/')) return result;
  const auto* candidates = find(*root_, path);
  if (!candidates) return result;
  for (const auto index : *candidates) {
    const auto& route = routes_[index];
    if (route.method == method || (method == "HEAD" && route.method == "GET" && route.handler)) {
      result.route = &route;
      bind_params(route.path, path, result.params);
      return result;
    }
  }
  for (const auto index : *candidates) {
    const auto& route = routes_[index];
    result.allowed.push_back(route.method);
    if (route.method == "GET" && route.handler) result.allowed.emplace_back("HEAD");
  }
  std::sort(result.allowed.begin(), result.allowed.end());
  return result;
}

}  // namespace sara::http
