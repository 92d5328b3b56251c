// Bad input (reliability.md, section 6) on every route: the right status, one problem body,
// nothing changed, the server still there.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/inbox.hpp"
#include "tests/support/provider.hpp"
#include "tests/support/schema.hpp"

using namespace sara;
using namespace sara::test;

namespace {

using Operation = OpenApi::Operation;

OpenApi document(Shop& shop) {
  return OpenApi(shop.api.get("/openapi.json").body);
}

/// Checks that an answer is a whole RFC 9457 problem of one of these types.
void check_problem(const Answer& answer, int status, const std::string& names) {
  CHECK(answer.status == status);
  REQUIRE(answer.header("content-type") == "application/problem+json");
  auto parsed = answer.json();
  auto body = parsed.root();
  std::string type(body["type"].string_or(""));
  REQUIRE(type.starts_with("/problems/"));
  CAPTURE(type);
  CHECK((" " + names + " ").find(" " + type.substr(10) + " ") != std::string::npos);
  CHECK(body["status"].integer() == status);
  for (std::string member : {"title", "detail", "instance", "request_id"}) {
    CAPTURE(member);
    CHECK(body[member].string_or("") != "");
  }
  if (status == 429 || status == 503) CHECK(answer.header("retry-after") != "");
  if (status == 401 && names == "unauthenticated") CHECK(answer.header("www-authenticate") != "");
}

/// A path with its parameters filled in.
std::string filled(std::string path, const std::string& id) {
  for (std::size_t open; (open = path.find('{')) != std::string::npos;)
    path.replace(open, path.find('}') - open + 1, id);
  return path;
}

constexpr const char* nobody = "0190a6f2-3b7c-7def-8123-456789abcdef";

bool is_api(const Operation& operation) {
  return operation.path.starts_with("/api/");
}

/// What must not change: the journal's end and the list of integrations.
struct State {
  std::int64_t seq;
  std::size_t integrations;
  std::size_t rows;
  bool operator==(const State&) const = default;
};

State state_of(Shop& shop) {
  return {Feed(shop.server.port(), shop.tenant.api_key).hello_seq,
          list(shop.api, "/api/v1/integrations").size(), inbox(shop.api).size()};
}

/// A shop with one conversation, so that real ids can be asked with.
struct Stocked : Shop {
  Stocked() : twilio(api) {
    api.send(twilio.message("SM" + unique(), "+15550100777", "hi"));
    conversation = inbox(api).at(0).id;
    contact = inbox(api).at(0).contact_id;
  }
  Twilio twilio;
  std::string conversation;
  std::string contact;

  std::string real(const Operation& operation) const {
    auto in = [&](const char* part) { return operation.path.find(part) != std::string::npos; };
    return filled(operation.path, in("{uuid}")           ? tenant.id
                                  : in("/integrations/") ? twilio.integration.id
                                  : in("/contacts/")     ? contact
                                                         : conversation);
  }
};

}  // namespace

TEST_CASE("bad input: a wrong method is 405 and says which are right") {
  Shop shop;
  auto api = document(shop);
  for (auto& operation : api.operations()) {
    CAPTURE(operation.path);
    std::string allowed;
    for (auto& other : api.operations())
      if (other.path == operation.path) allowed += other.method + " ";
    for (std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
      if (allowed.find(method) != std::string::npos) continue;
      CAPTURE(method);
      auto answer = shop.api.send({method, filled(operation.path, nobody)});
      check_problem(answer, 405, "method-not-allowed");
      auto allow = answer.header("allow");
      CHECK(allow.find(operation.method) != std::string::npos);
      CHECK(allow.find(method) == std::string::npos);
    }
  }
  check_problem(shop.api.get("/api/v1/nothing-here"), 404, "not-found");
  check_problem(shop.api.get("/nothing-here"), 404, "not-found");
}

TEST_CASE("bad input: no credential or a wrong one is 401 wherever one is needed") {
  Stocked shop;
  auto before = state_of(shop);
  auto api = document(shop);
  for (auto& operation : api.operations()) {
    if (!is_api(operation) || operation.scope == "open") continue;
    CAPTURE(operation.id);
    HttpClient stranger(shop.server.port());
    auto target = shop.real(operation);
    for (Headers headers : {Headers{}, Headers{{"Authorization", "Bearer"}},
                            Headers{{"Authorization", "Bearer nobody"}},
                            Headers{{"Authorization", "Bearer " + shop.tenant.api_key + "x"}},
                            Headers{{"Authorization", "Basic " + shop.tenant.api_key}},
                            Headers{{"Authorization", "Bearer " + shop.tenant.api_key},
                                    {"Authorization", "Bearer " + shop.tenant.api_key}}}) {
      check_problem(stranger.send({operation.method, target, "", headers}), 401, "unauthenticated");
    }
    for (std::string name : {"token", "api_key", "access_token"})
      check_problem(
          stranger.send({operation.method, target + "?" + name + "=" + shop.tenant.api_key}), 401,
          "unauthenticated");
  }
  CHECK(state_of(shop) == before);
}

TEST_CASE("bad input: ids that are none of ours are 404") {
  Stocked shop;
  auto before = state_of(shop);
  auto api = document(shop);
  for (auto& operation : api.operations()) {
    if (!is_api(operation) || operation.path.find('{') == std::string::npos) continue;
    CAPTURE(operation.id);
    for (std::string id : {nobody, "00000000-0000-0000-0000-000000000000", "1", "not-a-uuid",
                           "0190a6f2-3b7c-7def-8123-456789abcdeg", "%27%20OR%201=1"}) {
      CAPTURE(id);
      Ask ask{operation.method, filled(operation.path, id)};
      if (operation.takes_json) {
        ask.body = operation.id == "sendMessage" ? R"({"body":"x"})" : R"({"name":"x"})";
        ask.headers = {{"Content-Type", "application/json"}};
      }
      check_problem(shop.api.send(ask), 404, "not-found");
    }
  }
  CHECK(state_of(shop) == before);
}

TEST_CASE("bad input: JSON bodies that cannot be read are 400, what is wrong in them is 422") {
  Stocked shop;
  auto before = state_of(shop);
  auto api = document(shop);
  std::string deep(40, '[');
  deep += std::string(40, ']');
  std::string wide = "[1";
  for (int i = 0; i < 10'001; ++i) wide += ",1";
  wide += "]";
  struct {
    std::string what;
    std::string body;
    int status;
  } cases[] = {{"empty", "", 400},
               {"white space", "  ", 400},
               {"truncated", R"({"name":"x")", 400},
               {"trailing", R"({"name":"x"} {})", 400},
               {"no JSON", "name=x", 400},
               {"single quotes", "{'name':'x'}", 400},
               {"comment", R"({"name":"x"/**/})", 400},
               {"trailing comma", R"({"name":"x",})", 400},
               {"NaN", R"({"name":NaN})", 400},
               {"duplicate key", R"({"name":"x","name":"y"})", 400},
               {"invalid UTF-8", "{\"name\":\"\xC3\x28\"}", 400},
               {"overlong UTF-8", "{\"name\":\"\xC0\xAF\"}", 400},
               {"byte order mark", "\xEF\xBB\xBF{}", 400},
               {"raw control character", "{\"name\":\"\x01\"}", 400},
               {"too deep", "{\"name\":" + deep + "}", 400},
               {"too wide", "{\"name\":" + wide + "}", 400},
               {"long number", "{\"name\":" + std::string(65, '1') + "}", 400},
               {"lone surrogate", R"({"name":"\ud800"})", 422},
               {"U+0000", R"({"name":"\u0000"})", 422},
               {"array", "[]", 422},
               {"string", "\"x\"", 422},
               {"null", "null", 422},
               {"number", "1", 422},
               {"unknown field", R"({"colour":"red"})", 422}};
  for (auto& operation : api.operations()) {
    if (!operation.takes_json) continue;
    CAPTURE(operation.id);
    for (auto& [what, body, status] : cases) {
      CAPTURE(what);
      auto answer = shop.api.send(
          {operation.method, shop.real(operation), body, {{"Content-Type", "application/json"}}});
      check_problem(answer, status, status == 400 ? "malformed-json" : "invalid-field");
      if (what == "unknown field") CHECK(answer.body.find("\"/colour\"") != std::string::npos);
    }
  }
  CHECK(state_of(shop) == before);
}

TEST_CASE("bad input: another content type, encoding or size is refused before the body is read") {
  Stocked shop;
  auto before = state_of(shop);
  auto api = document(shop);
  for (auto& operation : api.operations()) {
    if (!operation.takes_json) continue;
    CAPTURE(operation.id);
    auto ask = [&](Headers headers) {
      return shop.api.send({operation.method, shop.real(operation), R"({"name":"x"})", headers});
    };
    const std::string type = "unsupported-media-type";
    check_problem(ask({}), 415, type);
    check_problem(ask({{"Content-Type", "text/plain"}}), 415, type);
    check_problem(ask({{"Content-Type", "application/x-www-form-urlencoded"}}), 415, type);
    check_problem(ask({{"Content-Type", "application/json; charset=iso-8859-1"}}), 415, type);
    check_problem(ask({{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}), 415,
                  type);
    auto big = shop.api.send({operation.method,
                              shop.real(operation),
                              "{\"name\":\"" + std::string(1u << 20, 'x') + "\"}",
                              {{"Content-Type", "application/json"}}});
    check_problem(big, 413, "content-too-large");
  }
  CHECK(state_of(shop) == before);
}

TEST_CASE("bad input: wrong values name their field") {
  Stocked shop;
  auto before = state_of(shop);
  auto reply = "/api/v1/conversations/" + shop.conversation + "/messages";
  auto one = "/api/v1/integrations/" + shop.twilio.integration.id;
  struct {
    const char* method;
    std::string target;
    std::string body;
    std::string pointer;
  } cases[] = {
      {"POST", reply, "{}", "/body"},
      {"POST", reply, R"({"body":7})", "/body"},
      {"POST", reply, R"({"body":""})", "/body"},
      {"POST", reply, "{\"body\":\"" + std::string(200'000, 'x') + "\"}", "/body"},
      {"POST", reply, R"({"body":"x","channel":"pigeon"})", "/channel"},
      {"POST", reply, R"({"body":"x","channel":1})", "/channel"},
      {"POST", reply, R"({"body":"x","subject":"a\r\nBcc: b@c.d"})", "/subject"},
      {"POST", reply, R"({"body":"x","attachments":{}})", "/attachments"},
      {"POST", reply, R"({"body":"x","attachments":[{"url":7,"type":"image"}]})",
       "/attachments/0/url"},
      {"POST", reply, R"({"body":"x","attachments":[{"type":"image"}]})", "/attachments/0/url"},
      {"POST", "/api/v1/conversations", "{}", "/contact_id"},
      {"POST", "/api/v1/conversations", R"({"contact_id":"x"})", "/contact_id"},
      {"POST", "/api/v1/integrations", R"({"name":"x","credentials":{}})", "/provider"},
      {"POST", "/api/v1/integrations", R"({"provider":"pigeon","name":"x","credentials":{}})",
       "/provider"},
      {"POST", "/api/v1/integrations",
       R"({"provider":"twilio","name":"x","credentials":{"account_sid":"AC1"}})",
       "/credentials/auth_token"},
      {"POST", "/api/v1/integrations",
       R"({"provider":"twilio","credentials":{"account_sid":"A","auth_token":"t","y":"z"}})",
       "/credentials/y"},
      {"POST", "/api/v1/integrations",
       R"({"provider":"sendgrid","credentials":{"api_key":"k","webhook_public_key":"no"}})",
       "/credentials/webhook_public_key"},
      {"POST", "/api/v1/integrations",
       R"({"provider":"sandbox","name":"x","credentials":{},"settings":{"channels":["pigeon"]}})",
       "/settings/channels"},
      {"POST", "/api/v1/integrations",
       R"({"provider":"sandbox","name":"x","credentials":{},"base_url":"not a url"})", "/base_url"},
      {"PATCH", one, R"({"name":""})", "/name"},
      {"PATCH", one, R"({"name":7})", "/name"},
      {"PATCH", one, R"({"provider":"meta"})", "/provider"},
  };
  for (auto& [method, target, body, pointer] : cases) {
    CAPTURE(target);
    CAPTURE(body.substr(0, 200));
    auto answer = shop.api.send({method, target, body, {{"Content-Type", "application/json"}}});
    check_problem(answer, 422, "invalid-field");
    auto errors = answer.json();
    std::string named;
    for (std::size_t i = 0; i < errors.root()["errors"].size(); ++i)
      named += std::string(errors.root()["errors"].at(i)["pointer"].string_or("")) + " ";
    CAPTURE(named);
    CHECK(named.find(pointer) != std::string::npos);
  }
  CHECK(state_of(shop) == before);
}

TEST_CASE("bad input: lists refuse wrong limits, cursors, filters and names") {
  Stocked shop;
  auto api = document(shop);
  for (auto& operation : api.operations()) {
    if (!operation.is_list) continue;
    for (std::string query :
         {"limit=0", "limit=-1", "limit=201", "limit=abc", "limit=", "limit=1&limit=2",
          "limit=99999999999999999999", "cursor=garbage", "cursor=%F0%9F%92%A9", "colour=red"}) {
      CAPTURE(operation.id);
      CAPTURE(query);
      check_problem(shop.api.get(shop.real(operation) + "?" + query), 422, "invalid-field");
    }
    CHECK(shop.api.get(shop.real(operation) + "?limit=200").status == 200);
    CHECK(shop.api.get(shop.real(operation) + "?limit=1").status == 200);
  }
  for (std::string query : {"status=dead", "channel=pigeon", "intent=love", "urgency=now",
                            "flagged=perhaps", "sla=maybe", "sort=random", "assigned_to="}) {
    CAPTURE(query);
    check_problem(shop.api.get("/api/v1/responses/inbox?" + query), 422, "invalid-field");
  }
}

TEST_CASE("bad input: what the connection itself says wrongly") {
  Stocked shop;
  auto before = state_of(shop);
  auto port = shop.server.port();
  std::string host = "Host: 127.0.0.1:" + std::to_string(port) + "\r\n";
  std::string bearer = "Authorization: Bearer " + shop.tenant.api_key + "\r\n";
  std::string json_type = "Content-Type: application/json\r\n";
  std::string end = "\r\n";
  auto get = [&](const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\n" + host + end;
  };
  auto with = [&](const std::string& header) {
    return "GET /health HTTP/1.1\r\n" + host + header + "\r\n" + end;
  };
  auto post = [&](const std::string& framing, const std::string& body) {
    return "POST /api/v1/integrations HTTP/1.1\r\n" + host + bearer + json_type + framing + end +
           body;
  };
  std::string many;
  for (int i = 0; i < 101; ++i) many += "X-H" + std::to_string(i) + ": 1\r\n";
  std::string body = "{}";
  struct {
    std::string what;
    std::string bytes;
    int status;
    const char* types;
    bool closes;
  } cases[] = {
      {"no request line", "hello\r\n\r\n", 400, "bad-request http-version", true},
      {"no version", "GET /health\r\n" + host + end, 505, "bad-request http-version", true},
      {"control in the method", std::string("G\x01T /health HTTP/1.1\r\n") + host + end, 400,
       "bad-request", true},
      {"NUL in a header", with(std::string("X-A: a\0b", 8)), 400, "bad-request", true},
      {"control in a header", with("X-A: a\x01"), 400, "bad-request", true},
      {"bare CR in a header", with("X-A: a\rb"), 400, "bad-request", true},
      {"bare LF lines", "GET /health HTTP/1.1\nHost: x\n\n", 400, "bad-request", true},
      {"folded header", with("X-A: a\r\n b"), 400, "bad-request", true},
      {"space before the colon", with("X-A : a"), 400, "bad-request", true},
      {"no header name", with(": a"), 400, "bad-request", true},
      {"space in a header name", with("X A: a"), 400, "bad-request", true},
      {"header without colon", with("nonsense"), 400, "bad-request", true},
      {"both framings", post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", body), 400,
       "bad-framing", true},
      {"two lengths", post("Content-Length: 2\r\nContent-Length: 3\r\n", body), 400,
       "bad-framing bad-request", true},
      {"two equal lengths", post("Content-Length: 2\r\nContent-Length: 2\r\n", body), 400,
       "bad-framing bad-request", true},
      {"length list", post("Content-Length: 2, 2\r\n", body), 400, "bad-framing bad-request", true},
      {"signed length", post("Content-Length: +2\r\n", body), 400, "bad-framing bad-request", true},
      {"negative length", post("Content-Length: -2\r\n", body), 400, "bad-framing bad-request",
       true},
      {"hex length", post("Content-Length: 0x2\r\n", body), 400, "bad-framing bad-request", true},
      {"empty length", post("Content-Length: \r\n", body), 400, "bad-framing bad-request", true},
      {"huge length", post("Content-Length: 99999999999999999999\r\n", body), 400,
       "bad-framing bad-request", true},
      {"TE identity", post("Transfer-Encoding: identity\r\n", body), 400, "bad-framing", true},
      {"TE xchunked", post("Transfer-Encoding: xchunked\r\n", body), 400, "bad-framing", true},
      {"TE chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", body), 400,
       "bad-framing", true},
      {"TE chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
       400, "bad-framing", true},
      {"TE two headers",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400,
       "bad-framing", true},
      {"TE gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400,
       "bad-framing", true},
      {"bad chunk size", post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), 400,
       "bad-framing", true},
      {"chunk without end", post("Transfer-Encoding: chunked\r\n", "2\r\n{}xx0\r\n\r\n"), 400,
       "bad-framing", true},
      {"no host", "GET /health HTTP/1.1\r\n\r\n", 400, "bad-host", true},
      {"two hosts", "GET /health HTTP/1.1\r\n" + host + host + end, 400, "bad-host", true},
      {"host with a space", "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad-host", true},
      {"host with a path", "GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad-host", true},
      {"host with a user", "GET /health HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "bad-host", true},
      {"host with a bad port", "GET /health HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, "bad-host", true},
      {"long target", get("/" + std::string(8200, 'a')), 414, "uri-too-long", false},
      {"%00", get("/health%00"), 400, "bad-target", false},
      {"bad percent", get("/health%zz"), 400, "bad-target", false},
      {"cut percent", get("/health%4"), 400, "bad-target", false},
      {"dot dot", get("/docs/../health"), 400, "bad-target", false},
      {"encoded dot dot", get("/docs/%2e%2e/health"), 400, "bad-target", false},
      {"backslash", get("/docs\\health"), 400, "bad-target", false},
      {"overlong UTF-8", get("/%c0%af"), 400, "bad-target", false},
      {"two slashes", get("//health"), 400, "bad-target", false},
      {"authority form", get("127.0.0.1:80"), 400, "bad-target bad-request", false},
      {"another authority", get("http://evil.example/health"), 400, "bad-target bad-host", false},
      {"user in the target", get("http://u@127.0.0.1:" + std::to_string(port) + "/health"), 400,
       "bad-target", false},
      {"fragment", get("/health#x"), 400, "bad-target", false},
      {"bytes above 0x7F", get("/h\xC3\xA9"), 400, "bad-target bad-request", false},
      {"headers beyond 16 KiB", with("X-A: " + std::string(17'000, 'a')), 431, "headers-too-large",
       true},
      {"more than 100 headers", "GET /health HTTP/1.1\r\n" + host + many + end, 431,
       "headers-too-large", true},
      {"unknown method", "BREW /health HTTP/1.1\r\n" + host + end, 501, "method-not-allowed",
       false},
      {"HTTP/2.0", "GET /health HTTP/2.0\r\n" + host + end, 505, "http-version", true},
      {"HTTP/0.9", "GET /health HTTP/0.9\r\n" + host + end, 505, "http-version", true},
      {"odd expectation", with("Expect: 200-ok"), 417, "expectation", false},
      {"declared too large", post("Content-Length: 2000000\r\n", ""), 413, "content-too-large",
       true},
      {"counted too large",
       post("Transfer-Encoding: chunked\r\n", "200000\r\n" + std::string(0x200000, ' ') + "\r\n"),
       413, "content-too-large", true},
  };
  for (auto& [what, bytes, status, types, closes] : cases) {
    CAPTURE(what);
    RawClient client(port);
    client.write(bytes);
    auto answer = client.read();
    REQUIRE(answer);
    check_problem(*answer, status, types);
    if (closes) CHECK(client.closed());
    CHECK(HttpClient(port).get("/health").status == 200);
  }
  CHECK(state_of(shop) == before);
}

TEST_CASE("bad input: a second request hidden in a body is never served") {
  Shop shop;
  auto port = shop.server.port();
  std::string host = "Host: 127.0.0.1:" + std::to_string(port) + "\r\n";
  std::string hidden = "GET /metrics HTTP/1.1\r\n" + host + "\r\n";
  for (std::string framing : {"Transfer-Encoding: identity\r\n", "Transfer-Encoding: xchunked\r\n",
                              "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"}) {
    CAPTURE(framing);
    RawClient client(port);
    client.write("POST /health HTTP/1.1\r\n" + host + framing + "\r\n" + hidden);
    auto answer = client.read();
    REQUIRE(answer);
    CHECK(answer->status == 400);
    CHECK(client.closed());
  }
}

TEST_CASE("bad input: HTTP/2's preface and a body that never comes whole do no harm") {
  Stocked shop;
  auto before = state_of(shop);
  auto port = shop.server.port();
  {
    RawClient client(port);
    client.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    auto answer = client.read();
    REQUIRE(answer);
    bool refused = answer->status == 505 || answer->status == 400;
    CHECK(refused);
    CHECK(client.closed());
  }
  auto sms = shop.twilio.message("SM" + unique(), "+15550100777", "cut short");
  RawClient client(port);
  std::string head = "POST " + sms.target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
                     "\r\nContent-Length: " + std::to_string(sms.body.size() + 10) + "\r\n";
  for (auto& [name, value] : sms.headers) head += name + ": " + value + "\r\n";
  client.write(head + "\r\n" + sms.body);
  client.finish();
  auto answer = client.read();
  if (answer) CHECK(answer->status / 100 == 4);
  CHECK(state_of(shop) == before);
}

TEST_CASE("bad input: pipelined requests are answered in order, one after the other") {
  Shop shop;
  std::string host = "Host: 127.0.0.1:" + std::to_string(shop.server.port()) + "\r\n\r\n";
  RawClient client(shop.server.port());
  client.write("GET /health HTTP/1.1\r\n" + host + "GET /nothing HTTP/1.1\r\n" + host +
               "GET /ready HTTP/1.1\r\n" + host);
  for (int expected : {200, 404, 200}) {
    auto answer = client.read();
    REQUIRE(answer);
    CHECK(answer->status == expected);
  }
}
