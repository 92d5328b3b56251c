// The documents that the binary carries: OpenAPI, its two readers, their assets.
#include "http/etag.hpp"
#include "http/routes/problem_page.hpp"
#include "http/routes/routes.hpp"
#include "http/static_file.hpp"

namespace sara::http {
namespace {

Task<Response> serve(Request& r) {
  auto* file = find_static(r.path);
  if (file == nullptr) {
    Error error{Errc::not_found, "there is no such document", {}};
    co_return problem(error, r);
  }
  auto response = answer_static(r, *file);
  response.headers.emplace_back("Content-Security-Policy", docs_policy);
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  co_return response;
}

}  // namespace

void mount_documents(Router& router) {
  auto handler = [](Request& r) { return serve(r); };
  router.get("/docs", Scope::open, handler);
  router.get("/redoc", Scope::open, handler);
  router.get("/openapi.json", Scope::open, handler);
  router.get("/assets/docs/{name...}", Scope::open, handler);
  mount_problem_pages(router);
}

}  // namespace sara::http
