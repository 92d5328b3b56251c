#include "http/problem.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "base/json.hpp"
#include "http/request_form.hpp"
#include "http/answer.hpp"
#include "http/etag.hpp"

using namespace sara;
using namespace sara::http;

TEST_CASE("problem: every type has a page that says what to do") {
  for (const auto& type : problem_types()) {
    CAPTURE(type.type);
    CHECK(!reason_phrase(type.status).empty());
    CHECK(!type.detail.empty());
    std::ifstream file{std::string{SARA_SOURCE_DIR} + "/docs/problems/" + std::string{type.type} +
                       ".md"};
    std::stringstream page;
    page << file.rdbuf();
    CHECK(page.str().starts_with("# " + std::string{type.title} + "\n"));
    CHECK(page.str().find(std::to_string(type.status)) != std::string::npos);
    CHECK(page.str().find("## What to do") != std::string::npos);
  }
}

TEST_CASE("problem: an error becomes RFC 9457") {
  Request request;
  request.path = "/api/v1/contacts";
  request.raw_query = "q=private";
  request.request_id = "r1";
  Error error{Errc::invalid_argument, "a value is not valid", {}};
  error.fields.push_back({"/name", "is \"too\" long"});
  const auto answer = problem(error, request);
  CHECK(answer.status == 422);
  CHECK(answer.content_type == "application/problem+json");
  CHECK(answer.body ==
        R"({"type":"/problems/invalid-field","title":"Invalid field","status":422,)"
        R"("detail":"a value is not valid","instance":"/api/v1/contacts","request_id":"r1",)"
        R"("errors":[{"pointer":"/name","detail":"is \"too\" long"}]})");
}

TEST_CASE("problem: who may come back is told when; who must sign in is told how") {
  const auto names = [](const Response& r) {
    std::string out;
    for (const auto& [name, value] : r.headers) out += name + " ";
    return out;
  };
  CHECK(names(problem({Errc::overloaded, "", {}}, Request{})) == "Retry-After ");
  CHECK(names(problem({Errc::unavailable, "", {}}, Request{})) == "Retry-After ");
  CHECK(names(problem({Errc::idempotency_running, "", {}}, Request{})) == "Retry-After ");
  CHECK(names(problem(Problem::rate_limited, "", Request{})) == "Retry-After ");
  CHECK(names(problem({Errc::unauthenticated, "", {}}, Request{})) == "WWW-Authenticate ");
  CHECK(names(problem({Errc::bad_signature, "", {}}, Request{})) == "WWW-Authenticate ");
  CHECK(names(problem({Errc::conflict, "", {}}, Request{})) == "");
}

TEST_CASE("problem: an internal error keeps its reason to itself") {
  const auto answer = problem({Errc::internal, "SELECT secret", {}}, Request{});
  CHECK(answer.status == 500);
  CHECK(answer.body.find("SELECT") == std::string::npos);
}

TEST_CASE("exchange: what a role may do") {
  const auto may = [](Role role) {
    Principal principal;
    principal.role = role;
    std::string out;
    for (const auto& [scope, letter] : {std::pair{Scope::open, 'o'},
                                        {Scope::read, 'r'},
                                        {Scope::write, 'w'},
                                        {Scope::credential, 'c'}}) {
      if (principal.may(scope)) out += letter;
    }
    return out;
  };
  CHECK(may(Role::owner) == "orwc");
  CHECK(may(Role::admin) == "orwc");
  CHECK(may(Role::marketer) == "orw");
  CHECK(may(Role::agent) == "orw");
  CHECK(may(Role::viewer) == "or");
}

TEST_CASE("admission: the form of a bearer token") {
  CHECK(bearer_token("Bearer abc") == "abc");
  CHECK(bearer_token("bearer  abc.DEF-_~+/=") == "abc.DEF-_~+/=");
  for (const auto* wrong : {"", "Bearer", "Bearer ", "Bearerabc", "Basic abc", "Bearer a b",
                            "Bearer a,b", "Bearer \"a\"", "Bearer \xc3\xa9"}) {
    CAPTURE(wrong);
    CHECK(!bearer_token(wrong));
  }
  CHECK(!bearer_token("Bearer " + std::string(5000, 'a')));
}

TEST_CASE("etag: which tags match") {
  const auto tag = etag_of("content");
  CHECK(tag == etag_of("content"));
  CHECK(tag != etag_of("other"));
  CHECK(tag.size() == 24);
  CHECK(matches_etag(tag, tag));
  CHECK(matches_etag("W/" + tag, tag));
  CHECK(matches_etag("\"x\", W/\"y\" , " + tag, tag));
  CHECK(matches_etag(" * ", tag));
  CHECK(!matches_etag("", tag));
  CHECK(!matches_etag("\"x\"", tag));
  CHECK(!matches_etag(tag.substr(1), tag));
}

TEST_CASE("etag: an embedded file is sent once") {
  const StaticFile file{"/x.js", "text/javascript; charset=utf-8", "content", "\"tag\""};
  Request request;
  const auto first = answer_static(request, file);
  CHECK(first.status == 200);
  CHECK(content_of(first) == "content");
  request.headers.emplace_back("if-none-match", "\"tag\"");
  const auto second = answer_static(request, file);
  CHECK(second.status == 304);
  CHECK(content_of(second).empty());
  std::string head;
  CHECK(append_answer_head(head, second, {.date = "D", .request_id = "R"}));
  CHECK(head ==
        "HTTP/1.1 304 Not Modified\r\nDate: D\r\nX-Request-Id: R\r\n"
        "X-Content-Type-Options: nosniff\r\nETag: \"tag\"\r\n"
        "Cache-Control: public, max-age=0, must-revalidate\r\n\r\n");
}

TEST_CASE("answer: the date of RFC 9110") {
  CHECK(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(http_date(951827696) == "Tue, 29 Feb 2000 12:34:56 GMT");
}
