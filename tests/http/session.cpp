// Sessions over real sockets: what a client sees, and what a handler never sees.
#include "http/session.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <boost/asio/read.hpp>

#include "base/metric.hpp"
#include "tests/http/loopback.hpp"

using namespace sara::http;
using namespace sara::http::test;
using namespace std::string_literals;

namespace {

/// One request on a connection of its own.
Answer ask(const Loopback& server, const std::string& bytes) {
  return Client{server}.send(bytes).answer();
}

const std::string as_owner = "Authorization: Bearer owner-key\r\n";
const std::string json = "Content-Type: application/json\r\n";

}  // namespace

TEST_CASE("session: an answer carries what every answer carries") {
  Loopback server;
  const auto answer = ask(server, post("/echo", "{}"));
  CHECK(answer.status == 200);
  CHECK(answer.body == "{}");
  CHECK(answer.header("content-type") == "application/json");
  CHECK(answer.header("content-length") == "2");
  CHECK(answer.header("cache-control") == "no-store");
  CHECK(answer.header("x-content-type-options") == "nosniff");
  CHECK(answer.header("date").size() == 29);
  CHECK(answer.header("date").ends_with(" GMT"));
  CHECK(answer.header("x-request-id").size() == 24);
  CHECK(answer.header("server").empty());
  CHECK(answer.header("connection").empty());
}

TEST_CASE("session: a client's own request id is kept if it is harmless") {
  Loopback server;
  Client client{server};
  const auto id_for = [&](const std::string& id) {
    return client.send(get("/hello", "X-Request-Id: " + id + "\r\n"))
        .answer()
        .header("x-request-id");
  };
  CHECK(id_for("trace-1.2_3:4") == "trace-1.2_3:4");
  CHECK(id_for(std::string(64, 'a')) == std::string(64, 'a'));
  CHECK(id_for(std::string(65, 'a')).size() == 24);
  CHECK(id_for("a b").size() == 24);
  CHECK(id_for("\"a\"").size() == 24);
  CHECK(id_for("<script>").size() == 24);
  CHECK(id_for("caf\xc3\xa9").size() == 24);
  CHECK(id_for("").size() == 24);
  const auto refused = client.send(get("/none", "X-Request-Id: mine\r\n")).answer();
  CHECK(refused.header("x-request-id") == "mine");
  CHECK(refused.body.find("\"request_id\":\"mine\"") != std::string::npos);
  CHECK(client.send(get("/hello")).answer().header("x-request-id").size() == 24);
}

TEST_CASE("session: requests follow each other on one connection") {
  Loopback server;
  Client client{server};
  for (int i = 0; i < 50; ++i) {
    const auto body = "{\"n\":" + std::to_string(i) + "}";
    CHECK(client.send(post("/echo", body)).answer().body == body);
  }
  CHECK(server.server().connections() == 1);
}

TEST_CASE("session: pipelined requests are answered in order") {
  Loopback server;
  Client client{server};
  std::string all;
  for (int i = 0; i < 100; ++i) all += post("/echo", std::to_string(i));
  client.send(all);
  for (int i = 0; i < 100; ++i) CHECK(client.answer().body == std::to_string(i));
}

TEST_CASE("session: requests that arrive in pieces") {
  Loopback server;
  Client client{server};
  const auto request = post("/echo", "{\"a\":1}") + post_chunked("/echo", "3\r\nabc\r\n0\r\n\r\n");
  for (const char c : request) client.send({&c, 1});
  CHECK(client.answer().body == "{\"a\":1}");
  CHECK(client.answer().body == "abc");
}

TEST_CASE("session: bodies of all sizes") {
  Loopback server;
  Client client{server};
  for (const std::size_t size : {0u, 1u, 700u, 4095u, 4096u, 16'384u, 65'536u, 65'537u, 1u << 20}) {
    CAPTURE(size);
    const std::string body(size, 'b');
    CHECK(client.send(post("/echo", body)).answer().body == body);
    std::string chunks;
    for (std::size_t at = 0; at < size; at += 9999) {
      const auto piece = body.substr(at, 9999);
      chunks += fmt::format("{:x}\r\n", piece.size()) + piece + "\r\n";
    }
    CHECK(client.send(post_chunked("/echo", chunks + "0\r\nTrailer: x\r\n\r\n")).answer().body ==
          body);
  }
}

TEST_CASE("session: an answer larger than any socket buffer arrives whole") {
  Loopback server;
  Client client{server};
  CHECK(client.send(get("/large")).answer().body == std::string(16 << 20, 'x'));
  CHECK(client.send(get("/hello")).answer().status == 200);
}

TEST_CASE("session: HEAD is GET without the content") {
  Loopback server;
  Client client{server};
  client.send("HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto answer = client.answer(false);
  CHECK(answer.status == 200);
  CHECK(answer.header("content-length") == std::to_string(16 << 20));
  CHECK(client.send(get("/hello")).answer().status == 200);
  client.send("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(client.answer(false).status == 404);
  CHECK(client.send(get("/hello")).answer().status == 200);
}

TEST_CASE("session: an answer without content has no length") {
  Loopback server;
  Client client{server};
  const auto answer = client.send(get("/empty")).answer();
  CHECK(answer.status == 204);
  CHECK(answer.header("content-length").empty());
  CHECK(client.send(get("/hello")).answer().status == 200);
}

TEST_CASE("session: path before method, method before credential") {
  Loopback server;
  Client client{server};
  CHECK(kind(client.send(get("/none")).answer()) == "404 not-found");
  CHECK(kind(client.send(get("/hello/")).answer()) == "404 not-found");
  CHECK(kind(client.send(post("/none", "{}")).answer()) == "404 not-found");
  auto wrong = client.send(post("/hello", "{}")).answer();
  CHECK(kind(wrong) == "405 method-not-allowed");
  CHECK(wrong.header("allow") == "GET, HEAD");
  wrong = client.send("PATCH /items/7 HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  CHECK(kind(wrong) == "405 method-not-allowed");
  CHECK(wrong.header("allow") == "DELETE, GET, HEAD");
  CHECK(kind(client.send("BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n").answer()) ==
        "501 method-not-allowed");
  CHECK(kind(client.send(get("/a%zz")).answer()) == "400 bad-target");
  CHECK(client.send(get("/hello")).answer().status == 200);
}

TEST_CASE("session: credentials") {
  Loopback server;
  Client client{server};
  const auto asked = [&](const std::string& target, const std::string& fields) {
    return kind(client.send(get(target, fields)).answer());
  };
  const std::string refused = "401 unauthenticated";
  CHECK(client.send(get("/items/7")).answer().header("www-authenticate").starts_with("Bearer"));
  CHECK(asked("/items/7", "") == refused);
  CHECK(asked("/items/7", "Authorization: Bearer other\r\n") == refused);
  CHECK(asked("/items/7", "Authorization: Basic b3duZXIta2V5\r\n") == refused);
  CHECK(asked("/items/7", "Authorization: Bearer\r\n") == refused);
  CHECK(asked("/items/7", "Authorization: owner-key\r\n") == refused);
  CHECK(asked("/items/7", "Authorization: Bearer owner-key x\r\n") == refused);
  CHECK(asked("/items/7", "Authorization: Bearer owner-key,\r\n") == refused);
  CHECK(asked("/items/7", as_owner + as_owner) == refused);
  CHECK(asked("/hello", as_owner + as_owner) == refused);
  CHECK(asked("/items/7?access_token=owner-key", "") == refused);
  CHECK(asked("/items/7?token=owner-key", as_owner) == refused);
  CHECK(asked("/items/7?API_KEY=owner-key", as_owner) == refused);
  CHECK(asked("/items/7", "Authorization: Bearer lost-key\r\n") == "503 unavailable");
  CHECK(asked("/items/7", "authorization: bearer owner-key\r\n") == "200");
  CHECK(asked("/items/7?q=token", as_owner) == "200");
  CHECK(asked("/hello?token=x", "") == "200");
}

TEST_CASE("session: permission before size, size before type") {
  Loopback server;
  const std::string viewer = "Authorization: Bearer viewer-key\r\n";
  const std::string agent = "Authorization: Bearer agent-key\r\n";
  CHECK(kind(ask(server, get("/items/7", viewer))) == "200");
  CHECK(kind(ask(server, post("/items", "{}", viewer))) == "403 forbidden");
  CHECK(kind(ask(server, post("/items", "{}", agent + json))) == "200");
  CHECK(kind(ask(server, "DELETE /items/7 HTTP/1.1\r\nHost: a\r\n" + agent + "\r\n")) ==
        "403 forbidden");
  CHECK(kind(ask(server, "DELETE /items/7 HTTP/1.1\r\nHost: a\r\n" + as_owner + "\r\n")) == "200");
  const std::string huge = "Host: a\r\nContent-Length: 9999999\r\n";
  CHECK(kind(ask(server, "POST /items HTTP/1.1\r\n" + huge + viewer + "\r\n")) == "403 forbidden");
  CHECK(kind(ask(server, "POST /items HTTP/1.1\r\n" + huge + agent + "\r\n")) ==
        "413 content-too-large");
}

TEST_CASE("session: a parameter of the path is handed over decoded") {
  Loopback server;
  CHECK(ask(server, get("/items/a%20b", as_owner)).header("x-param") == "a b");
}

TEST_CASE("session: content types") {
  Loopback server;
  Client client{server};
  const auto sent = [&](const std::string& target, const std::string& fields) {
    return kind(client.send(post(target, "{}", fields)).answer());
  };
  const std::string refused = "415 unsupported-media-type";
  for (const auto* type :
       {"text/plain", "application/x-www-form-urlencoded", "application/jsonp",
        "application/json; charset=iso-8859-1", "application/json;charset=utf-16",
        "application/json; charset=\"latin1\"", "application", "json", "",
        "application/json, text/plain"}) {
    CAPTURE(type);
    CHECK(sent("/echo", "Content-Type: "s + type + "\r\n") == refused);
  }
  CHECK(sent("/echo", "") == refused);
  CHECK(sent("/echo", json + json) == refused);
  CHECK(sent("/echo", json + "Content-Encoding: gzip\r\n") == refused);
  CHECK(sent("/echo", json + "Content-Encoding: identity\r\n") == refused);
  CHECK(sent("/hook", "Content-Encoding: deflate\r\n") == refused);
  for (const auto* type :
       {"application/json", "Application/JSON", "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"", "application/json ; x=y"}) {
    CAPTURE(type);
    CHECK(sent("/echo", "Content-Type: "s + type + "\r\n") == "200");
  }
  CHECK(sent("/hook", "Content-Type: application/x-www-form-urlencoded\r\n") == "200");
  CHECK(sent("/hook", "") == "200");
}

TEST_CASE("session: a body over the limit, declared or counted, never reaches a handler") {
  auto limits = quick();
  limits.body_bytes_max = 1000;
  limits.webhook_bytes_max = 2000;
  limits.inbound_parse_bytes_max = 3000;
  Loopback server{limits};
  const std::string refused = "413 content-too-large";
  const std::string body(1001, 'x');
  CHECK(kind(ask(server, post("/echo", body))) == refused);
  CHECK(kind(ask(server, post("/echo", body.substr(1)))) == "200");
  CHECK(kind(ask(server, post("/hook", body))) == "200");
  CHECK(kind(ask(server, post("/hook", body + body))) == refused);
  CHECK(kind(ask(server, post("/mail", body + body))) == "200");
  CHECK(kind(ask(server, post("/mail", body + body + body))) == refused);
  CHECK(kind(ask(server, post_chunked("/echo", "3E9\r\n"))) == refused);
  CHECK(kind(ask(server, post_chunked("/echo", "3E8\r\n" + body.substr(1) + "\r\n1\r\nx"))) ==
        refused);
  // The whole of a large body is sent before the answer is looked at.
  Client client{server};
  const auto answer = client.send(post("/echo", std::string(8 << 20, 'x'))).answer();
  CHECK(kind(answer) == refused);
  CHECK(answer.header("connection") == "close");
  client.finish();
  CHECK(client.closed());
  CHECK(server.handled().size() == 3);
}

TEST_CASE("session: bodies in flight have a common budget") {
  auto limits = quick();
  limits.bodies_in_flight_bytes_max = 1000;
  Loopback server{limits};
  const auto refused = ask(server, post("/echo", std::string(1001, 'x')));
  CHECK(kind(refused) == "503 overloaded");
  CHECK(std::stoi("0" + refused.header("retry-after")) >= 1);
  for (int i = 0; i < 5; ++i) {  // What was taken is given back.
    CHECK(kind(ask(server, post("/echo", std::string(1000, 'x')))) == "200");
  }
  CHECK(kind(ask(server, post_chunked("/echo", "3E9\r\n" + std::string(1001, 'x')))) ==
        "503 overloaded");
}

TEST_CASE("session: 100-continue is said only where the body is wanted") {
  Loopback server;
  Client client{server};
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n" +
              json + "\r\n");
  CHECK(client.answer().status == 100);
  CHECK(client.send("{}").answer().body == "{}");
  // Whoever does not wait is not told to go on.
  CHECK(client.send(post("/echo", "{}", json + "Expect: 100-continue\r\n")).answer().status == 200);
  CHECK(client.send(get("/hello", "Expect: 100-continue\r\n")).answer().status == 200);
  client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  const auto refused = client.answer();
  CHECK(kind(refused) == "415 unsupported-media-type");
  CHECK(refused.header("connection") == "close");
  CHECK(kind(ask(server, post("/echo", "{}", json + "Expect: money\r\n"))) == "417 expectation");
}

TEST_CASE("session: a refused request's small body is read over, and the connection stays") {
  Loopback server;
  Client client{server};
  for (int i = 0; i < 5; ++i) {
    CHECK(kind(client.send(post("/none", get("/hello"))).answer()) == "404 not-found");
    CHECK(kind(client.send(post("/items", get("/hello"))).answer()) == "401 unauthenticated");
    CHECK(kind(client.send(post("/echo", get("/hello"), "")).answer()) ==
          "415 unsupported-media-type");
  }
  const auto large = client.send(post("/none", std::string(100'000, 'x'))).answer();
  CHECK(large.header("connection") == "close");
  CHECK(server.handled().empty());
}

TEST_CASE("session: Connection: close is honoured") {
  Loopback server;
  Client client{server};
  const auto answer = client.send(get("/hello", "Connection: close\r\n")).answer();
  CHECK(answer.status == 200);
  CHECK(answer.header("connection") == "close");
  CHECK(client.closed());
}

TEST_CASE("session: a connection serves so many requests and no more") {
  auto limits = quick();
  limits.requests_per_connection_max = 3;
  Loopback server{limits};
  Client client{server};
  client.send(get("/hello") + get("/hello") + get("/hello") + get("/hello"));
  CHECK(client.answer().header("connection").empty());
  CHECK(client.answer().header("connection").empty());
  CHECK(client.answer().header("connection") == "close");
  client.finish();
  CHECK(client.closed());
  CHECK(server.handled().size() == 3);
}

TEST_CASE("session: no smuggled request is ever served") {
  Loopback server;
  const auto inner = get("/hello?smuggled");
  const auto wrapped = [](const std::string& fields, const std::string& body) {
    return "POST /echo HTTP/1.1\r\nHost: a\r\n" + json + fields + "\r\n" + body;
  };
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string last = "0\r\n\r\n";
  const std::vector<std::string> attempts{
      wrapped("Content-Length: 5\r\n" + chunked, last + inner),
      wrapped(chunked + "Content-Length: 0\r\n", last + inner),
      wrapped("Content-Length: 0\r\nContent-Length: 99\r\n", inner),
      wrapped("Content-Length: 0, 99\r\n", inner),
      wrapped("Content-Length: +0\r\n", inner),
      wrapped("Content-Length : 0\r\n", inner),
      wrapped("Content-Length: 18446744073709551616\r\n", inner),
      wrapped("Transfer-Encoding: identity\r\n", inner),
      wrapped("Transfer-Encoding: xchunked\r\n", inner),
      wrapped("Transfer-Encoding: chunked, identity\r\n", inner),
      wrapped("Transfer-Encoding: chunked, chunked\r\n", last + inner),
      wrapped("Transfer-Encoding: Chunked\r\n", last + inner),
      wrapped("Transfer-Encoding : chunked\r\n", last + inner),
      wrapped("Transfer-Encoding:\r\n chunked\r\n", last + inner),
      wrapped("Transfer-Encoding: chunked\v\r\n", last + inner),
      wrapped("X: y\nTransfer-Encoding: chunked\r\n", last + inner),
      wrapped("X: y\rTransfer-Encoding: chunked\r\n", last + inner),
      wrapped(chunked, "0\n\n" + inner),
      wrapped(chunked, "0\r\n\n" + inner),
      wrapped(chunked, "5\r\nhello" + inner),
      wrapped(chunked, "5;\nhello\r\n0\r\n\r\n" + inner),
      wrapped(chunked, "0x0\r\n\r\n" + inner),
      wrapped(chunked, " 0\r\n\r\n" + inner),
      wrapped(chunked, "-1\r\n\r\n" + inner),
      wrapped(chunked, "0\r\nX : y\r\n\r\n" + inner),
      "POST /echo HTTP/1.0\r\nHost: a\r\n" + chunked + "\r\n" + last + inner,
      "POST /echo HTTP/1.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + inner,
      "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + inner,
      "GET /x\r\n" + inner,
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
  };
  for (const auto& attempt : attempts) {
    CAPTURE(attempt);
    Client client{server};
    const auto answer = client.send(attempt).answer();
    CHECK(answer.status >= 400);
    CHECK(answer.header("connection") == "close");
    client.finish();
    CHECK(client.closed());  // One answer, and nothing behind it.
    CHECK(ask(server, post("/hook", "next")).status == 200);
  }
  for (const auto& request : server.handled()) CHECK(request == "POST /hook next");
}

TEST_CASE("session: a truncated request never reaches a handler") {
  Loopback server;
  const auto whole = post("/echo", "{\"a\":1}");
  for (std::size_t n = 1; n < whole.size(); ++n) {
    const auto answer = Client{server}.send(whole.substr(0, n)).finish().answer();
    CHECK(answer.status == 400);
  }
  const auto chunked = post_chunked("/echo", "3\r\nabc\r\n0\r\n\r\n");
  const auto head = chunked.find("\r\n\r\n") + 4;
  for (std::size_t n = head; n < chunked.size(); ++n) {
    CHECK(kind(Client{server}.send(chunked.substr(0, n)).finish().answer()) == "400 bad-framing");
  }
  CHECK(server.handled().empty());
  CHECK(ask(server, whole).status == 200);
}

TEST_CASE("session: a slow head is cut") {
  auto limits = quick();
  limits.header_timeout = 20ms;
  Loopback server{limits};
  // Repeated, because a busy machine may be late with the client's first byte.
  CHECK(eventually([&] {
    const auto answer = ask(server, "GET /hello HTTP/1.1\r\nHo");
    return kind(answer) == "408 request-timeout" && answer.header("connection") == "close";
  }));
  CHECK(eventually([&] {
    Client later{server};
    return later.send(get("/hello") + "GET /he").answer().status == 200 &&
           kind(later.answer()) == "408 request-timeout";
  }));
  Client silent{server};
  CHECK(silent.closed());  // Who said nothing is told nothing.
}

TEST_CASE("session: a slow body is cut") {
  auto limits = quick();
  limits.body_timeout = 20ms;
  Loopback server{limits};
  const auto whole = post("/echo", "{\"a\":1}");
  CHECK(kind(ask(server, whole.substr(0, whole.size() - 1))) == "408 request-timeout");
  CHECK(kind(ask(server, post_chunked("/echo", "5\r\nhel"))) == "408 request-timeout");
  CHECK(server.handled().empty());
}

TEST_CASE("session: a body that trickles is cut before its time is over") {
  auto limits = quick();
  limits.body_rate_grace = 20ms;
  limits.body_bytes_per_second_min = 1 << 30;
  Loopback server{limits};
  CHECK(kind(ask(server, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n" + json +
                             "\r\nxx")) == "408 request-timeout");
}

TEST_CASE("session: an idle connection is closed without a word") {
  auto limits = quick();
  limits.keep_alive = 20ms;
  Loopback server{limits};
  Client client{server};
  CHECK(client.send(get("/hello")).answer().status == 200);
  CHECK(client.closed());
  CHECK(eventually([&] { return server.server().connections() == 0; }));
}

TEST_CASE("session: a client that does not read is cut") {
  auto limits = quick();
  limits.write_stall = 20ms;
  Loopback server{limits};
  Client client{server};
  client.send(get("/large") + get("/large"));
  CHECK(eventually([&] { return server.server().connections() == 0; }));
  CHECK(ask(server, get("/hello")).status == 200);
}

TEST_CASE("session: a handler that throws costs one answer, not the connection") {
  Loopback server;
  Client client{server};
  const auto answer = client.send(get("/throw")).answer();
  CHECK(kind(answer) == "500 internal");
  CHECK(answer.body.find("secret") == std::string::npos);
  CHECK(client.send(get("/hello")).answer().status == 200);
}

TEST_CASE("session: a handler cannot break a header line") {
  Loopback server;
  const auto answer = ask(server, get("/inject"));
  CHECK(answer.status == 200);
  CHECK(answer.header("x-bad").empty());
  CHECK(answer.header("x-injected").empty());
}

TEST_CASE("session: a client that leaves does not disturb its handler") {
  Loopback server;
  { Client{server}.send(get("/gate")); }
  CHECK(eventually([&] { return server.handled().size() == 1; }));
  CHECK(ask(server, get("/hello")).status == 200);
  server.open_gate();
  CHECK(eventually([&] { return server.server().connections() == 0; }));
}

TEST_CASE("session: connections over the limit are told so") {
  auto limits = quick();
  limits.connections_max = 2;
  Loopback server{limits};
  Client first{server};
  Client second{server};
  CHECK(first.send(get("/hello")).answer().status == 200);
  CHECK(second.send(get("/hello")).answer().status == 200);
  {
    Client third{server};
    const auto answer = third.answer();
    CHECK(kind(answer) == "503 overloaded");
    CHECK(std::stoi("0" + answer.header("retry-after")) >= 1);
    CHECK(answer.header("connection") == "close");
    CHECK(third.finish().closed());
  }
  CHECK(first.finish().closed());
  CHECK(eventually([&] { return server.server().connections() == 1; }));
  CHECK(ask(server, get("/hello")).status == 200);
}

TEST_CASE("session: connections are counted by address, but loopback is not") {
  Router router;
  Limits limits;
  limits.connections_per_ip_max = 1;
  const auto edge =
      std::make_shared<Edge>(router, limits, Authenticate{}, Server::make_shared_state());
  const auto take = [&](const char* ip) { return Place::take(edge, asio::ip::make_address(ip)); };
  auto one = take("192.0.2.1");
  CHECK(one);
  CHECK(!take("192.0.2.1"));
  CHECK(take("192.0.2.2"));
  auto six = take("2001:db8::1");
  CHECK(six);
  CHECK(!take("2001:db8::2"));  // The same /64.
  CHECK(take("2001:db8:0:1::2"));
  auto local = take("127.0.0.1");
  CHECK(take("127.0.0.1"));
  one.reset();
  CHECK(take("192.0.2.1"));
  CHECK(edge->open.load() == 2);
}

TEST_CASE("session: a drain finishes what has begun") {
  Loopback server;
  Client idle{server};
  CHECK(idle.send(get("/hello")).answer().status == 200);
  Client fresh{server};
  Client busy{server};
  busy.send(get("/gate"));
  CHECK(eventually([&] { return server.handled().size() == 2; }));
  server.server().drain();
  CHECK(idle.closed());
  CHECK(fresh.closed());
  CHECK(server.server().connections() == 1);
  server.open_gate();
  const auto answer = busy.answer();
  CHECK(answer.body == "through");
  CHECK(answer.header("connection") == "close");
  CHECK(busy.finish().closed());
  CHECK(eventually([&] { return server.server().connections() == 0; }));
  CHECK_THROWS(Client{server});
}

TEST_CASE("session: without file descriptors accepting pauses, and goes on when there are some") {
  Loopback server;
  asio::io_context io;
  std::vector<tcp::socket> sockets;
  for (int i = 0; i < 8; ++i) sockets.emplace_back(io, tcp::v4());
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // Descriptors are numbered from the lowest free one: the next would be this.
  const auto next = tcp::socket{io, tcp::v4()}.native_handle();
  const auto pauses = sara::metric::counter("http_accept_pauses_total", "");
  const auto paused = pauses.value();
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  setrlimit(RLIMIT_NOFILE, &none);
  for (auto& socket : sockets) {
    socket.connect({asio::ip::make_address("127.0.0.1"), server.port()});
    asio::write(socket, asio::buffer(get("/hello", "Connection: close\r\n")));
  }
  CHECK(eventually([&] { return pauses.value() > paused; }));
  CHECK(server.handled().empty());
  setrlimit(RLIMIT_NOFILE, &before);
  for (auto& socket : sockets) {
    std::string all;
    boost::system::error_code error;
    asio::read(socket, asio::dynamic_buffer(all), error);
    CHECK(all.starts_with("HTTP/1.1 200 OK\r\n"));
  }
}

TEST_CASE("session: a taken port is an error, not a shared one") {
  Loopback server;
  asio::io_context io;
  Router router;
  Server other{io, router, Limits{}, Authenticate{}, Server::make_shared_state()};
  const auto port = other.listen("127.0.0.1", server.port());
  CHECK(!port);
  Server nowhere{io, router, Limits{}, Authenticate{}, Server::make_shared_state()};
  CHECK(!nowhere.listen("198.51.100.1", 0));
  CHECK(!nowhere.listen("not an address", 0));
}

TEST_CASE("session: servers of one program share a port") {
  asio::io_context one;
  asio::io_context two;
  Router router;
  const auto shared = Server::make_shared_state();
  Server first{one, router, Limits{}, Authenticate{}, shared};
  Server second{two, router, Limits{}, Authenticate{}, shared};
  const auto port = first.listen("127.0.0.1", 0);
  REQUIRE(port);
  CHECK(second.listen("127.0.0.1", *port));
}

TEST_CASE("session: a WebSocket route takes the socket over, with what was read already") {
  Loopback server;
  const std::string good =
      "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  Client client{server};
  CHECK(client.send(get("/live", good) + "early bytes").rest() == "took /live and early bytes");
  CHECK(eventually([&] { return server.server().connections() == 0; }));

  const auto refused = [&](const std::string& fields) { return ask(server, get("/live", fields)); };
  const auto plain = refused("");
  CHECK(kind(plain) == "426 upgrade-required");
  CHECK(plain.header("upgrade") == "websocket");
  CHECK(plain.header("sec-websocket-version") == "13");
  const auto without = [&](const std::string& line, const std::string& instead) {
    auto fields = good;
    fields.replace(fields.find(line), line.size(), instead);
    return kind(refused(fields));
  };
  CHECK(without("Upgrade: websocket\r\n", "Upgrade: h2c\r\n") == "426 upgrade-required");
  CHECK(without("keep-alive, Upgrade", "keep-alive") == "426 upgrade-required");
  CHECK(without("Version: 13", "Version: 8") == "426 upgrade-required");
  CHECK(without("Key: dGhl", "Key: ") == "400 bad-request");
  CHECK(without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "") == "400 bad-request");
  CHECK(kind(refused(good + "Content-Length: 3\r\n")) == "400 bad-framing");
  CHECK(kind(ask(server, get("/guarded-live", ""))) == "401 unauthenticated");
  const auto head = Client{server}.send("HEAD /live HTTP/1.1\r\nHost: a\r\n\r\n").answer(false);
  CHECK(head.status == 405);
}
