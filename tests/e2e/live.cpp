// The live feed: hello, subscribe, filter, resume, tickets, bad commands, and clients that vanish.
#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

using namespace sara;
using namespace sara::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* live = "/api/v1/inbox/live";

/// The type of the next frame; "" if none comes.
std::string next_type(Feed& feed) {
  auto frame = feed.next_frame();
  if (!frame) return {};
  return std::string(json::parse(*frame)->root()["type"].string_or(""));
}

Ask text_message(const Twilio& twilio, int contact, const std::string& body) {
  return twilio.message("SM" + unique(), "+1555020" + std::to_string(1000 + contact), body);
}

/// Open sockets of the live feed, as the server counts them.
std::int64_t live_sockets(HttpClient& api) {
  auto answer = api.get("/debug/actors").json();
  return answer.root()["live_sockets"].integer().value_or(-1);
}

/// Bytes of the server that lie in memory.
std::string body_of(const Event& event) {
  return std::string(json::parse(event.data)->root()["body"].string_or(""));
}

}  // namespace

TEST_CASE("live: hello names the tenant and where its journal stands") {
  Shop shop;
  Feed empty(shop.server.port(), shop.tenant.api_key);
  CHECK(empty.tenant_id == shop.tenant.id);
  CHECK(empty.hello_seq >= 0);
  Twilio twilio(shop.api);
  shop.api.send(text_message(twilio, 1, "one"));
  Feed later(shop.server.port(), shop.tenant.api_key);
  CHECK(later.hello_seq > empty.hello_seq);
}

TEST_CASE("live: a subscriber hears of a message as the inbox shows it") {
  Shop shop;
  Twilio twilio(shop.api);
  Feed feed(shop.server.port(), shop.tenant.api_key);
  feed.subscribe();
  REQUIRE(shop.api.send(text_message(twilio, 1, "live!")).status == 200);
  auto event = feed.next();
  REQUIRE(event);
  CHECK(event->type == "message.created");
  CHECK(event->seq == feed.hello_seq + 1);
  CHECK(body_of(*event) == "live!");
  auto rows = inbox(shop.api);
  REQUIRE(rows.size() == 1);
  auto data = json::parse(event->data);
  auto row = to_row(data->root()["conversation"]);
  CHECK(row.id == rows[0].id);
  CHECK(row.unread == rows[0].unread);
  CHECK(row.preview == rows[0].preview);
  CHECK(row.contact_id == rows[0].contact_id);
}

TEST_CASE("live: after= replays the journal without a gap, and a new subscription replaces") {
  Shop shop;
  Twilio twilio(shop.api);
  for (int i = 0; i < 20; ++i) shop.api.send(text_message(twilio, i % 3, std::to_string(i)));
  Feed feed(shop.server.port(), shop.tenant.api_key);
  for (std::int64_t after : {std::int64_t{0}, feed.hello_seq - 5, std::int64_t{3}}) {
    CAPTURE(after);
    feed.subscribe(after);
    for (auto expected = after + 1; expected <= feed.hello_seq; ++expected) {
      auto event = feed.next();
      REQUIRE(event);
      CHECK(event->seq == expected);
    }
  }
  // And goes live behind the replay.
  shop.api.send(text_message(twilio, 1, "now"));
  auto event = feed.next();
  REQUIRE(event);
  CHECK(event->seq == feed.hello_seq + 1);
}

TEST_CASE("live: a filter lets through what matches, and prev_seq ties it together") {
  Shop shop;
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  Feed feed(shop.server.port(), shop.tenant.api_key);
  auto start = feed.hello_seq;
  feed.subscribe(start, R"({"channel":"messenger"})");
  for (int i = 0; i < 6; ++i) {
    shop.api.send(text_message(twilio, i, "sms"));
    if (i % 2 == 0) shop.api.send(meta.messenger("4000", "m_" + unique(), "page"));
  }
  auto previous = start;
  for (int i = 0; i < 3; ++i) {
    auto event = feed.next();
    REQUIRE(event);
    CHECK(body_of(*event) == "page");
    REQUIRE(event->prev_seq);
    CHECK(*event->prev_seq == previous);
    CHECK(event->seq > previous);
    previous = event->seq;
  }
}

TEST_CASE("live: who joins the same filter later has the same events under its own prev_seq") {
  Shop shop;
  Twilio twilio(shop.api);
  Meta meta(shop.api);
  auto page = [&](const std::string& text) {
    REQUIRE(shop.api.send(meta.messenger("4000", "m_" + unique(), text)).status == 200);
  };
  auto expect = [](Feed& feed, const std::string& body, std::int64_t previous) {
    auto event = feed.next();
    REQUIRE(event);
    CHECK(body_of(*event) == body);
    CHECK(event->prev_seq == previous);
    return event->seq;
  };
  const std::string pages = R"({"channel":"messenger"})";
  Feed first(shop.server.port(), shop.tenant.api_key);
  first.subscribe({}, pages);
  Feed all(shop.server.port(), shop.tenant.api_key);
  all.subscribe();
  page("one");
  auto one = expect(first, "one", first.hello_seq);
  CHECK(expect(all, "one", all.hello_seq) == one);
  shop.api.send(text_message(twilio, 1, "between"));
  CHECK(expect(all, "between", one) == one + 1);
  Feed second(shop.server.port(), shop.tenant.api_key);
  CHECK(second.hello_seq == one + 1);
  second.subscribe({}, pages);
  CHECK(second.socket().ping());
  CHECK(second.socket().ponged());
  page("two");
  auto two = expect(first, "two", one);
  CHECK(expect(second, "two", second.hello_seq) == two);
  CHECK(expect(all, "two", two - 1) == two);
  page("three");
  auto three = expect(first, "three", two);
  CHECK(expect(second, "three", two) == three);
  // One that resumes from before all that hears it again.
  Feed resumed(shop.server.port(), shop.tenant.api_key);
  resumed.subscribe(first.hello_seq, pages);
  expect(resumed, "one", first.hello_seq);
  expect(resumed, "two", one);
  expect(resumed, "three", two);
  page("four");
  CHECK(expect(resumed, "four", three) == expect(first, "four", three));
}

TEST_CASE("live: a hundred readers that stop reading cost little, and others hear everything") {
  Server server;
  Shop shop(server);
  Twilio twilio(shop.api);
  constexpr int total = 3000;
  constexpr std::int64_t stopped = 100;
  std::string padding(1500, '.');
  std::vector<Ask> asks;
  for (int i = 0; i < total; ++i)
    asks.push_back(text_message(twilio, i % 7, std::to_string(i) + padding));
  send_all({.port = server.port(), .connections = 8, .repeats_of_503 = 1000}, asks.size() / 10,
           [&](std::size_t i) { return text_message(twilio, static_cast<int>(i % 7), padding); });
  std::vector<std::unique_ptr<Feed>> asleep;
  for (std::int64_t i = 0; i < stopped; ++i) {
    asleep.push_back(std::make_unique<Feed>(server.port(), shop.tenant.api_key));
    asleep.back()->subscribe();
  }
  Feed awake(server.port(), shop.tenant.api_key);
  awake.subscribe();
  auto before = resident_bytes(server.pid());
  Background load({.port = server.port(), .connections = 8, .repeats_of_503 = 1000}, asks);
  for (auto last = awake.hello_seq; last < awake.hello_seq + total;) {
    auto event = awake.next();
    REQUIRE(event);
    CHECK(event->seq == last + 1);
    last = event->seq;
  }
  auto& statuses = load.finish();
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == total);
  // Each may hold 256 KiB of frames; they are shared, so all together hold hardly more.
  constexpr std::int64_t mib = 1 << 20;
  if (memory_is_ours) CHECK(resident_bytes(server.pid()) - before < 64 * mib);
}

TEST_CASE("live: a peer that answers pings stays, one that is silent is cut") {
  Server server(Environment{{"MADANSARA_LIVE_PING_S", "1"},
                            {"MADANSARA_LIVE_PONG_TIMEOUT_S", "2"},
                            {"MADANSARA_LIVE_MARK_S", "1"}});
  Shop shop(server);
  Feed silent(server.port(), shop.tenant.api_key);
  Feed alive(server.port(), shop.tenant.api_key);
  silent.subscribe();
  alive.subscribe();
  // Its client answers pings only while somebody waits for its frames.
  CHECK(eventually(20s, [&] {
    auto frame = alive.next_frame(100ms);
    if (frame) CHECK(json::parse(*frame)->root()["type"].string_or("") == "mark");
    return live_sockets(shop.api) == 1;
  }));
  Twilio twilio(shop.api);
  shop.api.send(text_message(twilio, 1, "still here"));
  auto event = alive.next();
  REQUIRE(event);
  CHECK(body_of(*event) == "still here");
}

TEST_CASE("live: a bad command is told so, and the socket stays") {
  Shop shop;
  Twilio twilio(shop.api);
  Feed feed(shop.server.port(), shop.tenant.api_key);
  for (std::string bad :
       {"", "hello", "[]", "{}", R"({"type":"fly"})", R"({"type":7})",
        R"({"type":"subscribe","after":"x"})", R"({"type":"subscribe","after":-1})",
        R"({"type":"subscribe","filter":{"channel":"pigeon"}})",
        R"({"type":"subscribe","filter":{"colour":"red"}})",
        R"({"type":"subscribe","type":"ping"})", R"({"type":"ping"} trailing)"}) {
    CAPTURE(bad);
    REQUIRE(feed.socket().send(bad));
    CHECK(next_type(feed) == "error");
  }
  feed.socket().send(R"({"type":"ping"})");
  CHECK(next_type(feed) == "pong");
  feed.subscribe();
  shop.api.send(text_message(twilio, 1, "still here"));
  auto event = feed.next();
  REQUIRE(event);
  CHECK(body_of(*event) == "still here");
}

TEST_CASE("live: a ping frame gets its pong") {
  Shop shop;
  Feed feed(shop.server.port(), shop.tenant.api_key);
  REQUIRE(feed.socket().ping());
  CHECK(feed.socket().ponged());
}

TEST_CASE("live: a frame beyond 64 KiB ends the socket with 1009") {
  Shop shop;
  Feed feed(shop.server.port(), shop.tenant.api_key);
  feed.socket().send(std::string(70'000, 'x'));
  CHECK(feed.socket().close_code() == 1009);
}

TEST_CASE("live: more than 20 commands a second end the socket with 1008") {
  Shop shop;
  Feed feed(shop.server.port(), shop.tenant.api_key);
  for (int i = 0; i < 400; ++i)
    if (!feed.socket().send(R"({"type":"ping"})")) break;
  CHECK(feed.socket().close_code() == 1008);
}

TEST_CASE("live: only a known key, in the header, opens the feed") {
  Shop shop;
  auto port = shop.server.port();
  CHECK(WsClient::upgrade_status(port, live, {}) == 401);
  CHECK(WsClient::upgrade_status(port, live, {{"Authorization", "Bearer nobody"}}) == 401);
  CHECK(WsClient::upgrade_status(port, live + ("?token=" + shop.tenant.api_key), {}) == 401);
  CHECK(WsClient::upgrade_status(port, live + std::string("?ticket=nothing"), {}) == 401);
  auto plain = shop.api.get(live);
  CHECK(plain.status >= 400);
  CHECK(plain.status < 500);
}

TEST_CASE("live: a ticket opens the feed once") {
  Shop shop;
  auto answer = shop.api.post("/api/v1/inbox/live/tickets", "{}");
  CHECK(answer.status == 201);
  auto document = answer.json();
  std::string ticket(document.root()["ticket"].string_or(""));
  REQUIRE(!ticket.empty());
  auto target = live + ("?ticket=" + ticket);
  auto port = shop.server.port();
  auto origin = shop.server.url();
  {
    WsClient socket(port, target, {{"Origin", origin}});
    auto hello = socket.receive();
    REQUIRE(hello);
    CHECK(json::parse(*hello)->root()["tenant_id"].string_or("") == shop.tenant.id);
  }
  CHECK(WsClient::upgrade_status(port, target, {{"Origin", origin}}) == 401);
}

TEST_CASE("live: one tenant hears nothing of another") {
  Shop ours;
  Shop theirs;
  Twilio twilio(ours.api);
  Twilio other(theirs.api);
  Feed feed(ours.server.port(), ours.tenant.api_key);
  feed.subscribe();
  for (int i = 0; i < 10; ++i) theirs.api.send(text_message(other, i, "theirs"));
  ours.api.send(text_message(twilio, 1, "ours"));
  auto event = feed.next();
  REQUIRE(event);
  CHECK(body_of(*event) == "ours");
  CHECK(event->seq == feed.hello_seq + 1);
}

TEST_CASE("live: who asks for more than the journal replays is told to reload") {
  Server server(Environment{{"MADANSARA_LIVE_REPLAY_EVENTS_MAX", "1000"}});
  Shop shop(server);
  Twilio twilio(shop.api);
  std::vector<Ask> asks;
  for (int i = 0; i < 1200; ++i) asks.push_back(text_message(twilio, i % 7, std::to_string(i)));
  send_all({.port = server.port(), .connections = 8, .repeats_of_503 = 100}, asks);
  Feed feed(server.port(), shop.tenant.api_key);
  feed.subscribe(0);
  auto frame = feed.next_frame();
  REQUIRE(frame);
  auto resync = json::parse(*frame);
  CHECK(resync->root()["type"].string_or("") == "resync");
  CHECK(resync->root()["after"].integer().value_or(-1) >= feed.hello_seq - 1000);
  // What is within reach is replayed.
  feed.subscribe(feed.hello_seq - 900);
  for (auto expected = feed.hello_seq - 899; expected <= feed.hello_seq; ++expected) {
    auto event = feed.next();
    REQUIRE(event);
    CHECK(event->seq == expected);
  }
}

TEST_CASE("live: a reader that falls behind is told so, and resumes without a gap") {
  Server server(Environment{{"MADANSARA_LIVE_QUEUE_EVENTS_MAX", "64"},
                            {"MADANSARA_LIVE_RESYNC_PATIENCE_S", "600"}});
  Shop shop(server);
  Twilio twilio(shop.api);
  std::string padding(1500, '.');
  std::vector<Ask> asks;
  for (int i = 0; i < 4000; ++i)
    asks.push_back(text_message(twilio, i % 7, std::to_string(i) + padding));
  auto feed = std::make_unique<Feed>(server.port(), shop.tenant.api_key);
  feed->subscribe();
  // Nobody reads meanwhile.
  auto statuses = send_all({.port = server.port(), .connections = 8, .repeats_of_503 = 1000}, asks);
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == 4000);
  auto last = feed->hello_seq;
  bool told = false;
  std::int64_t gaps = 0;
  for (auto end = last + 4000; last < end;) {
    auto frame = feed->next_frame();
    if (!frame) {
      // Whoever does not take even that for ten seconds is sent away, and comes again.
      REQUIRE(feed->socket().close_code() != 0);
      REQUIRE_FALSE(told);
      told = true;
      feed = std::make_unique<Feed>(server.port(), shop.tenant.api_key);
      feed->subscribe(last);
      continue;
    }
    auto document = json::parse(*frame);
    auto type = document->root()["type"].string_or("");
    if (type == "resync") {
      told = true;
      CHECK(document->root()["after"].integer() == last);
      feed->subscribe(last);
    } else if (type == "message.created") {
      auto seq = document->root()["seq"].integer().value_or(0);
      gaps += seq != last + 1;
      last = seq;
    }
  }
  CHECK(told);
  CHECK(gaps == 0);
}

TEST_CASE("live: a client that drops 50 times at random misses nothing and repeats nothing") {
  constexpr unsigned seed = 20261121;
  MESSAGE("seed ", seed);
  std::mt19937 random(seed);
  Shop shop;
  Twilio twilio(shop.api);
  constexpr int total = 6000;
  std::vector<Ask> asks;
  for (int i = 0; i < total; ++i) asks.push_back(text_message(twilio, i % 60, std::to_string(i)));
  auto last = Feed(shop.server.port(), shop.tenant.api_key).hello_seq;
  Background load({.port = shop.server.port(), .connections = 6, .repeats_of_503 = 1000}, asks);

  std::map<std::string, int> heard;
  std::int64_t gaps = 0;
  int drops = 0;
  auto complete = [&] { return static_cast<int>(heard.size()) >= total; };
  for (bool silent = false; !complete() && !silent;) {
    Feed feed(shop.server.port(), shop.tenant.api_key);
    feed.subscribe(last);
    // The first fifty connections are cut after some events, or before any.
    auto patience = drops < 50 ? static_cast<int>(random() % 100) : total * 4;
    while (patience-- > 0 && !complete()) {
      auto event = feed.next();
      silent = !event;
      if (silent) break;
      gaps += event->seq != last + 1;
      last = event->seq;
      if (event->type == "message.created") ++heard[body_of(*event)];
    }
    if (drops < 50) ++drops;
    feed.socket().drop();
  }
  auto& statuses = load.finish();
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == total);
  CHECK(drops == 50);
  CHECK(gaps == 0);
  CHECK(static_cast<int>(heard.size()) == total);
  auto repeated = std::count_if(heard.begin(), heard.end(), [](auto& e) { return e.second != 1; });
  CHECK(repeated == 0);
}
