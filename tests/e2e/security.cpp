// Walls between tenants, and secrets that stay where they are.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/inbox.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/schema.hpp"

using namespace sara;
using namespace sara::test;

namespace {

/// A problem's body without what names the request.
std::string essence(const Answer& answer) {
  auto parsed = answer.json();
  auto body = parsed.root();
  return std::to_string(answer.status) + " " + body["type"].dump() + body["title"].dump() +
         body["detail"].dump() + body["errors"].dump();
}

std::string filled(std::string path, const std::string& id) {
  auto open = path.find('{');
  return open == std::string::npos ? path : path.replace(open, path.find('}') - open + 1, id);
}

}  // namespace

TEST_CASE("security: another tenant's ids are as good as none") {
  Shop ours;
  Shop theirs;
  Twilio twilio(theirs.api);
  theirs.api.send(twilio.message("SM" + unique(), "+15550100777", "theirs"));
  auto row = inbox(theirs.api).at(0);
  OpenApi api(ours.api.get("/openapi.json").body);
  constexpr const char* nobody = "0190a6f2-3b7c-7def-8123-456789abcdef";
  for (auto& operation : api.operations()) {
    if (operation.path.find("/api/v1/") != 0 || operation.path.find('{') == std::string::npos)
      continue;
    CAPTURE(operation.id);
    auto in = [&](const char* part) { return operation.path.find(part) != std::string::npos; };
    auto ask = [&](const std::string& id) {
      Ask request{operation.method, filled(operation.path, id)};
      if (operation.takes_json) {
        request.body = operation.id == "sendMessage" ? R"({"body":"x"})" : R"({"name":"x"})";
        request.headers = {{"Content-Type", "application/json"}};
      }
      return ours.api.send(request);
    };
    auto foreign = ask(in("{uuid}")           ? theirs.tenant.id
                       : in("/integrations/") ? twilio.integration.id
                       : in("/contacts/")     ? row.contact_id
                                              : row.id);
    auto missing = ask(nobody);
    CHECK(foreign.status == 404);
    CHECK(essence(foreign) == essence(missing));
  }
  auto foreign =
      ours.api.post("/api/v1/conversations", R"({"contact_id":")" + row.contact_id + "\"}");
  auto missing =
      ours.api.post("/api/v1/conversations", R"({"contact_id":")" + std::string(nobody) + "\"}");
  CHECK(foreign.status == 404);
  CHECK(essence(foreign) == essence(missing));
  // Nothing of theirs was touched, nothing of it is ours.
  CHECK(inbox(ours.api).empty());
  CHECK(list(ours.api, "/api/v1/integrations").empty());
  CHECK(theirs.api.get("/api/v1/integrations/" + twilio.integration.id).status == 200);
  CHECK(messages(theirs.api, row.id).size() == 1);
}

TEST_CASE("security: the same address and the same provider id at two tenants are two messages") {
  Shop ours;
  Shop theirs;
  auto sid = "SM" + unique();
  Twilio first(ours.api);
  Twilio second(theirs.api);
  CHECK(ours.api.send(first.message(sid, "+15550100777", "to us")).status == 200);
  CHECK(theirs.api.send(second.message(sid, "+15550100777", "to them")).status == 200);
  CHECK(inbox(ours.api).at(0).preview == "to us");
  CHECK(inbox(theirs.api).at(0).preview == "to them");
}

TEST_CASE("security: another tenant's secret opens no endpoint of ours") {
  Shop ours;
  Shop theirs;
  Meta mine(ours.api, "our_app_secret_0123456789abcdef");
  Meta other(theirs.api, "their_app_secret_0123456789abcdef");
  auto forged = other.messenger("41", "m_" + unique(), "forged");
  forged.target = mine.integration.path;
  CHECK(ours.api.send(forged).status == 401);
  CHECK(inbox(ours.api).empty());
}

TEST_CASE("security: credentials are never given back, only their last four characters") {
  Shop shop;
  const std::string secret = "s3cr3t_" + unique() + "_wxyz";
  auto answer = shop.api.post(
      "/api/v1/integrations",
      R"({"provider":"twilio","name":"T","credentials":{"account_sid":"AC1234567890",)"
      R"("auth_token":")" +
          secret + "\"},\"settings\":{\"from\":\"+15550100001\"}}");
  REQUIRE(answer.status == 201);
  auto id = std::string(answer.json().root()["id"].string_or(""));
  auto one = "/api/v1/integrations/" + id;
  auto changed = shop.api.patch(one, R"({"credentials":{"auth_token":")" + secret + "2\"}}");
  CHECK(changed.status == 200);
  for (auto& text :
       {answer.body, changed.body, shop.api.get(one).body,
        shop.api.get("/api/v1/integrations").body, shop.api.post(one + "/test", "{}").body,
        shop.api
            .post(
                "/api/v1/integrations",
                R"({"provider":"twilio","name":7,"credentials":{"account_sid":"A","auth_token":")" +
                    secret + "\"}}")
            .body}) {
    CAPTURE(text);
    CHECK(text.find(secret) == std::string::npos);
    CHECK(text.find("s3cr3t_") == std::string::npos);
  }
  CHECK(answer.body.find("wxyz") != std::string::npos);
}

TEST_CASE("security: a changed secret works at once, and the old one no more") {
  Shop shop;
  Meta meta(shop.api);
  CHECK(shop.api.send(meta.messenger("41", "m_" + unique(), "1")).status == 200);
  CHECK(shop.api
            .patch("/api/v1/integrations/" + meta.integration.id,
                   R"({"credentials":{"app_secret":"another_app_secret_0123456789"}})")
            .status == 200);
  CHECK(shop.api.send(meta.messenger("41", "m_" + unique(), "2")).status == 401);
  meta.app_secret = "another_app_secret_0123456789";
  CHECK(shop.api.send(meta.messenger("41", "m_" + unique(), "3")).status == 200);
  CHECK(shop.api.remove("/api/v1/integrations/" + meta.integration.id).status == 204);
  CHECK(shop.api.send(meta.messenger("41", "m_" + unique(), "4")).status == 404);
  // What it brought stays.
  CHECK(inbox(shop.api).at(0).unread == 2);
}

TEST_CASE("security: no secret and no word of a customer's stands in the log or unsealed on disk") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  Meta meta(shop.api, "app_secret_" + unique() + unique());
  auto token = "inbound_" + unique();
  SendGrid sendgrid(shop.api, token);
  auto words = "private words " + unique();
  auto sms = twilio.message("SM" + unique(), "+15550100777", words);
  CHECK(shop.api.send(sms).status == 200);
  CHECK(shop.api.send(with_header(sms, "X-Twilio-Signature", "AAAA")).status == 401);
  CHECK(shop.api.send(meta.messenger("41", "m_" + unique(), words)).status == 200);
  CHECK(shop.api.send(meta.signed_body("unreadable " + words)).status == 200);
  CHECK(
      shop.api
          .send(sendgrid.mail(SendGrid::mail_parts("ana@example.com", "s", words, unique() + "@m")))
          .status == 200);
  CHECK(shop.api.get("/api/v1/integrations?access_token=" + shop.tenant.api_key).status == 401);
  CHECK(server.stop() == 0);

  auto log = server.log();
  CHECK(log.size() > 0);
  for (auto& secret : {twilio.auth_token, meta.app_secret, meta.verify_token, token,
                       shop.tenant.api_key, sms.headers.at(1).second, words,
                       std::string("+15550100777"), std::string("ana@example.com")}) {
    CAPTURE(secret);
    CHECK(log.find(secret) == std::string::npos);
  }
  // The log holds what happened nevertheless.
  CHECK(log.find("event=") != std::string::npos);

  std::size_t files = 0;
  for (auto& file : std::filesystem::recursive_directory_iterator(server.data_dir())) {
    if (!file.is_regular_file()) continue;
    ++files;
    auto bytes = read_file(file.path().string());
    for (auto& secret : {twilio.auth_token, meta.app_secret, token,
                         shop.tenant.api_key.substr(shop.tenant.api_key.size() - 24)}) {
      CAPTURE(file.path().string());
      CHECK(bytes.find(secret) == std::string::npos);
    }
  }
  CHECK(files > 100);  // It was the database that was searched.
}
