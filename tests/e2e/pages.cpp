// The documentation's pages, opened by a real browser: they render, from our own server alone.
#include <doctest/doctest.h>

#include "tests/support/inbox.hpp"

using namespace sara;
using namespace sara::test;

namespace {

/// The page as the browser has it once its scripts have run.
std::string rendered(const std::string& url) {
  TempDir profile;
  auto outcome =
      run({"/usr/bin/chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
           "--no-first-run", "--disable-background-networking", "--disable-component-update",
           "--disable-sync", "--disable-dev-shm-usage",
           "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
           "--user-data-dir=" + profile.path(), "--virtual-time-budget=15000", "--dump-dom", url},
          {}, std::chrono::minutes(2));
  CHECK(outcome.status == 0);
  return outcome.output;
}

}  // namespace

TEST_CASE("pages: /docs shows every operation in Swagger UI") {
  auto dom = rendered(shared_server().url() + "/docs");
  CHECK(dom.find("swagger-ui") != std::string::npos);
  for (std::string text : {"Madan Sara", "/api/v1/responses/inbox", "/api/v1/integrations",
                           "/webhooks/{", "opblock"}) {
    CAPTURE(text);
    CHECK(dom.find(text) != std::string::npos);
  }
}

TEST_CASE("pages: /redoc shows every operation in Redoc") {
  auto dom = rendered(shared_server().url() + "/redoc");
  for (std::string text :
       {"Madan Sara", "/responses/inbox", "Connect a provider", "The live feed"}) {
    CAPTURE(text);
    CHECK(dom.find(text) != std::string::npos);
  }
}

TEST_CASE("pages: neither asks another host for anything") {
  HttpClient client(shared_server().port());
  for (std::string page : {"/docs", "/redoc"}) {
    CAPTURE(page);
    auto answer = client.get(page);
    CHECK(answer.status == 200);
    CHECK(answer.header("content-type").starts_with("text/html"));
    CHECK(answer.header("content-security-policy") != "");
    CHECK(answer.header("x-content-type-options") == "nosniff");
    CHECK(answer.body.find("src=\"http") == std::string::npos);
    CHECK(answer.body.find("href=\"http") == std::string::npos);
  }
}
