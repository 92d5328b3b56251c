// openapi.json is the full and final word: served as it stands in docs/, equal to the routes, and
// every answer is as it says.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/text.hpp"
#include "tests/support/inbox.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/schema.hpp"

using namespace sara;
using namespace sara::test;

namespace {

const std::string sources = SARA_SOURCE_DIR;

/// "METHOD /path" of every route in the tables of http/routes/ and runtime/, read as text.
std::set<std::string> mounted() {
  std::set<std::string> found;
  for (std::string room : {"/http/routes", "/http", "/runtime"})
    for (auto& file : std::filesystem::directory_iterator(sources + room)) {
      if (file.path().extension() != ".cpp") continue;
      auto text = read_file(file.path().string());
      for (auto [call, method] : {std::pair{".get", "GET"},
                                  {".post", "POST"},
                                  {".patch", "PATCH"},
                                  {".remove", "DELETE"},
                                  {".websocket", "GET"}})
        for (auto at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
          auto open = text.find_first_not_of(' ', at + std::string(call).size());
          if (open == std::string::npos || text[open] != '(') continue;
          auto quote = text.find_first_not_of(" \n", open + 1);
          if (quote == std::string::npos || text[quote] != '"') continue;
          auto path = text.substr(quote + 1, text.find('"', quote + 1) - quote - 1);
          if (path.starts_with("/")) found.insert(std::string(method) + " " + path);
        }
    }
  return found;
}

}  // namespace

TEST_CASE("openapi: what is served is the document of the repository") {
  Shop shop;
  auto answer = shop.api.get("/openapi.json");
  CHECK(answer.status == 200);
  CHECK(answer.header("content-type").starts_with("application/json"));
  CHECK(answer.body == read_file(sources + "/docs/openapi.json"));
  CHECK(answer.json().root()["openapi"].string_or("").starts_with("3.1"));
}

TEST_CASE("openapi: the document and the route tables name the same routes") {
  OpenApi api(read_file(sources + "/docs/openapi.json"));
  std::set<std::string> documented;
  for (auto& operation : api.operations()) {
    documented.insert(operation.method + " " + operation.path);
    CAPTURE(operation.id);
    CHECK(!operation.scope.empty());
  }
  auto tables = mounted();
  // Static files and the dashboard at "/" are not the API's.
  std::erase_if(tables, [](const std::string& route) {
    // SendGrid's own row only allows larger bodies.
    return route == "GET /" || route == "POST /webhooks/sendgrid/{endpoint}" ||
           route.find("/docs/") != std::string::npos ||
           route.find("/redoc/") != std::string::npos || route.find("/assets") != std::string::npos;
  });
  for (auto& route : documented) {
    CAPTURE(route);
    CHECK(tables.contains(route));
  }
  for (auto& route : tables) {
    CAPTURE(route);
    CHECK(documented.contains(route));
  }
}

TEST_CASE("openapi: every operation, asked rightly, answers as its schema says") {
  Shop shop;
  OpenApi api(shop.api.get("/openapi.json").body);
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  auto sandbox = make_integration(
      shop.api, R"({"provider":"sandbox","name":"Sandbox","credentials":{},"settings":{}})");
  auto doomed = make_integration(
      shop.api, R"({"provider":"sandbox","name":"Doomed","credentials":{},"settings":{}})");
  REQUIRE(shop.api.send(twilio.message("SM" + unique(), "+15550100777", "hi")).status == 200);
  REQUIRE(shop.api.send(meta.signed_body("unreadable")).status == 200);
  auto row = inbox(shop.api).at(0);

  std::set<std::string> asked;
  auto ask = [&](const std::string& id, const std::string& target, const std::string& body = {},
                 int expected = 200) {
    auto found = std::find_if(api.operations().begin(), api.operations().end(),
                              [&](auto& operation) { return operation.id == id; });
    CAPTURE(id);
    REQUIRE(found != api.operations().end());
    asked.insert(id);
    Ask request{found->method, target, body};
    if (!body.empty()) request.headers = {{"Content-Type", "application/json"}};
    auto answer = shop.api.send(request);
    CAPTURE(answer.body.substr(0, 600));
    CHECK(answer.status == expected);
    CHECK(api.wrong_answer(*found, answer.status, answer.body) == "");
    if (found->scope != "open") {
      CHECK(answer.header("ratelimit") != "");
      CHECK(answer.header("ratelimit-policy") != "");
      CHECK(answer.header("x-ratelimit-limit") != "");
      CHECK(answer.header("x-ratelimit-remaining") != "");
      CHECK(answer.header("x-ratelimit-reset") != "");
    }
    return answer;
  };
  const std::string v1 = "/api/v1";
  ask("listIntegrations", v1 + "/integrations");
  ask("createIntegration", v1 + "/integrations",
      R"({"provider":"sandbox","name":"S","credentials":{},"settings":{"channels":["chat"]}})",
      201);
  ask("getIntegration", v1 + "/integrations/" + twilio.integration.id);
  ask("changeIntegration", v1 + "/integrations/" + twilio.integration.id, R"({"name":"New name"})");
  ask("testIntegration", v1 + "/integrations/" + sandbox.id + "/test", "{}");
  ask("deleteIntegration", v1 + "/integrations/" + doomed.id, "", 204);
  ask("listInbox", v1 + "/responses/inbox");
  ask("listConversations", v1 + "/conversations");
  ask("openConversation", v1 + "/conversations", R"({"contact_id":")" + row.contact_id + "\"}");
  auto one = ask("getConversation", v1 + "/conversations/" + row.id);
  ask("listMessages", v1 + "/conversations/" + row.id + "/messages");
  ask("sendMessage", v1 + "/conversations/" + row.id + "/messages", R"({"body":"Yes."})", 202);
  SendGrid sendgrid(shop.api);
  auto parts = SendGrid::mail_parts("eve@example.com", "s", "t", unique() + "@m");
  parts.push_back({"attachment1", "bytes"});
  CHECK(shop.api.send(sendgrid.mail(parts)).status == 200);
  auto mails = shop.api.get(v1 + "/conversations/" + inbox(shop.api).at(0).id + "/messages");
  auto mail = mails.json();
  ask("getAttachment",
      std::string(mail.root()["data"].at(0)["attachments"].at(0)["url"].string_or("")));
  ask("createContact", v1 + "/contacts",
      R"({"name":"Bo","identities":[{"channel":"email","address":"bo@example.com"}]})", 201);
  ask("listContacts", v1 + "/contacts");
  ask("getContact", v1 + "/contacts/" + row.contact_id);
  ask("listTenantIntegrations", v1 + "/tenants/" + shop.tenant.id + "/integrations");
  ask("listTenantIntegrationsAlias",
      v1 + "/integrations/tenants/" + shop.tenant.id + "/integrations");
  ask("listWebhookFailures", v1 + "/webhook-failures");
  ask("createLiveTicket", v1 + "/inbox/live/tickets", "", 201);
  for (std::string id : {"health", "healthz", "ready", "readyz", "metrics", "docs", "redoc"})
    ask(id, "/" + id);
  ask("openapi", "/openapi.json");
  ask("problem", "/problems/not-found");
  ask("debugActors", "/debug/actors");
  ask("webhookHandshake",
      meta.integration.path +
          "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=" + meta.verify_token);
  CHECK(shop.api.send(twilio.message("SM" + unique(), "+15550100777", "hi")).status == 200);
  asked.insert("receiveWebhook");
  Feed feed(shop.server.port(), shop.tenant.api_key);
  feed.subscribe(0);
  while (auto frame = feed.next_frame()) {
    auto event = json::parse(*frame);
    CAPTURE(*frame);
    CHECK(api.wrong("LiveEvent", event->root()) == "");
    if (event->root()["seq"].integer() == feed.hello_seq) break;
  }
  asked.insert("live");
  for (auto& operation : api.operations()) {
    CAPTURE(operation.id);
    CHECK(asked.contains(operation.id));
  }
}

TEST_CASE("openapi: single resources carry an ETag, and If-None-Match spares their body") {
  Shop shop;
  Twilio twilio(shop.api);
  shop.api.send(twilio.message("SM" + unique(), "+15550100777", "hi"));
  for (auto& target : {"/api/v1/integrations/" + twilio.integration.id,
                       "/api/v1/conversations/" + inbox(shop.api).at(0).id}) {
    CAPTURE(target);
    auto tag = shop.api.get(target).header("etag");
    REQUIRE(!tag.empty());
    auto again = shop.api.send({"GET", target, "", {{"If-None-Match", tag}}});
    CHECK(again.status == 304);
    CHECK(again.body.empty());
    CHECK(shop.api.send({"GET", target, "", {{"If-None-Match", "\"other\""}}}).status == 200);
  }
  auto target = "/api/v1/integrations/" + twilio.integration.id;
  auto change = [&](const std::string& tag) {
    return shop.api.send({"PATCH",
                          target,
                          R"({"name":"Mine"})",
                          {{"Content-Type", "application/json"}, {"If-Match", tag}}});
  };
  auto tag = shop.api.get(target).header("etag");
  CHECK(change("\"other\"").status == 412);
  CHECK(change(tag).status == 200);
  CHECK(change(tag).status == 412);
  // The body is judged before the object.
  auto unreadable = [&](const std::string& where) {
    return shop.api.send({"PATCH", where, "{", {{"Content-Type", "application/json"}}}).status;
  };
  CHECK(unreadable(target) == 400);
  CHECK(unreadable("/api/v1/integrations/0199a6f2-3b7c-7c01-8a23-000000000007") == 400);
}

TEST_CASE("openapi: every problem type has its page") {
  Shop shop;
  std::set<std::string> types;
  auto text = shop.api.get("/openapi.json").body;
  const std::string mark = "/problems/";
  for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    auto end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at + mark.size());
    if (end > at + mark.size()) types.insert(text.substr(at, end - at));
  }
  CHECK(types.size() > 20);
  for (auto& type : types) {
    CAPTURE(type);
    auto page = shop.api.get(type);
    CHECK(page.status == 200);
    CHECK(page.body.size() > 80);
  }
  CHECK(shop.api.get("/problems/never-heard-of").status == 404);
}
