#include "http/routes/problem_page.hpp"

#include "http/etag.hpp"
#include "http/problem.hpp"
#include "http/static_file.hpp"

namespace sara::http {

namespace {

boost::asio::awaitable<Response> read(Request& request) {
  const auto* page = find_static(request.path);
  if (!page) co_return problem(Problem::not_found, "There is no such problem type.", request);
  co_return answer_static(request, *page);
}

}  // namespace

void mount_problem_pages(Router& router) {
  router.get("/problems/{name}", Scope::open, read);
}

}  // namespace sara::http
