#include "http/router.hpp"

#include <doctest/doctest.h>

using namespace sara::http;

namespace {

boost::asio::awaitable<Response> nothing(Request&) {
  co_return Response{};
}
boost::asio::awaitable<void> no_socket(Handover) {
  co_return;
}

std::string found(const Router& router, std::string_view method, std::string_view path) {
  const auto match = router.match(method, path);
  if (match.route) {
    std::string out = match.route->method + " " + match.route->path;
    for (const auto& [name, value] : match.params) out += " " + name + "=" + value;
    return out;
  }
  std::string out;
  for (const auto& allowed : match.allowed) out += (out.empty() ? "" : ", ") + allowed;
  return out.empty() ? "unknown" : "allowed: " + out;
}

}  // namespace

TEST_CASE("router: a path finds its route") {
  Router r;
  r.get("/", Scope::open, nothing);
  r.get("/contacts", Scope::read, nothing);
  r.post("/contacts", Scope::write, Body::json, nothing);
  r.get("/contacts/{id}", Scope::read, nothing);
  r.patch("/contacts/{id}", Scope::write, Body::json, nothing);
  r.get("/contacts/export", Scope::read, nothing);
  r.post("/contacts/{id}/merge", Scope::write, Body::json, nothing);
  r.post("/contacts/import/start", Scope::write, Body::json, nothing);
  r.put("/webhooks/{provider}/{endpoint}", Scope::open, Body::webhook, nothing);
  r.remove("/contacts/{id}", Scope::write, nothing);
  r.get("/assets/{name...}", Scope::open, nothing);
  r.get("/assets/index", Scope::open, nothing);
  r.websocket("/live", no_socket);

  CHECK(found(r, "GET", "/") == "GET /");
  CHECK(found(r, "GET", "/contacts") == "GET /contacts");
  CHECK(found(r, "POST", "/contacts") == "POST /contacts");
  CHECK(found(r, "GET", "/contacts/7") == "GET /contacts/{id} id=7");
  CHECK(found(r, "HEAD", "/contacts/7") == "GET /contacts/{id} id=7");
  CHECK(found(r, "DELETE", "/contacts/7") == "DELETE /contacts/{id} id=7");
  CHECK(found(r, "GET", "/contacts/export") == "GET /contacts/export");
  CHECK(found(r, "POST", "/contacts/7/merge") == "POST /contacts/{id}/merge id=7");
  CHECK(found(r, "POST", "/contacts/import/merge") == "POST /contacts/{id}/merge id=import");
  CHECK(found(r, "PUT", "/webhooks/a/b") ==
        "PUT /webhooks/{provider}/{endpoint} provider=a endpoint=b");
  CHECK(found(r, "GET", "/assets/a/b.js") == "GET /assets/{name...} name=a/b.js");
  CHECK(found(r, "GET", "/assets/index") == "GET /assets/index");
  CHECK(found(r, "GET", "/live") == "GET /live");

  CHECK(found(r, "PATCH", "/contacts/export") == "allowed: GET, HEAD");
  CHECK(found(r, "PATCH", "/contacts") == "allowed: GET, HEAD, POST");
  CHECK(found(r, "POST", "/contacts/7") == "allowed: DELETE, GET, HEAD, PATCH");
  CHECK(found(r, "HEAD", "/live") == "allowed: GET");

  for (const auto* path :
       {"/none", "/contacts/", "//", "/contacts//merge", "/contacts/7/", "*", "",
        "/contacts/7/merge/x", "/webhooks/a", "/webhooks/a/", "/assets/", "/assets", "contacts"}) {
    CAPTURE(path);
    CHECK(found(r, "GET", path) == "unknown");
  }
}

TEST_CASE("router: a table with a mistake does not start") {
  Router r;
  r.get("/a/{id}", Scope::open, nothing);
  CHECK_THROWS(r.get("/a/{other}", Scope::open, nothing));
  CHECK_THROWS(r.get("b", Scope::open, nothing));
  CHECK_THROWS(r.get("/b", Scope::open, Handler{}));
  CHECK_THROWS(r.get("/b/{rest...}/c", Scope::open, nothing));
}
