// Ids, times, randomness, metrics, logs.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <limits>
#include <set>

#include "base/id.hpp"
#include "base/log.hpp"
#include "base/metric.hpp"
#include "base/random.hpp"
#include "base/time.hpp"

using namespace sara;

TEST_CASE("error: every kind has its name") {
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i)
    CHECK(to_string(static_cast<Errc>(i)) != "unknown");
}

TEST_CASE("id: text and back") {
  const std::string text = "0190a6f2-3b7c-7def-8123-456789abcdef";
  const auto id = parse_uuid(text);
  REQUIRE(id);
  CHECK(id->hi == 0x0190a6f23b7c7defull);
  CHECK(id->lo == 0x8123456789abcdefull);
  CHECK(to_string(*id) == text);
  CHECK(to_string(*parse_uuid("0190A6F2-3B7C-7DEF-8123-456789ABCDEF")) == text);
  for (const char* bad :
       {"", "0190a6f2-3b7c-7def-8123-456789abcde", "0190a6f2-3b7c-7def-8123-456789abcdeg",
        "0190a6f23b7c-7def-8123-456789abcdef00", "{190a6f2-3b7c-7def-8123-456789abcde}"})
    CHECK_FALSE(parse_uuid(bad));
}

TEST_CASE("id: UUIDv7 carries the time") {
  const auto at = from_millis(0x0190a6f23b7c);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const Uuid id = make_uuid(at);
    CHECK((id.hi >> 16) == 0x0190a6f23b7cull);
    CHECK((id.hi >> 12 & 15) == 7);
    CHECK((id.lo >> 62) == 2);
    seen.insert(to_string(id));
  }
  CHECK(seen.size() == 1000);
}

TEST_CASE("id: a message id names its place in the journal") {
  const TenantId tenant{Uuid{0x0190a6f23b7c7defull, 0x8123456789abcdefull}};
  const auto at = from_millis(1'700'000'000'123);
  for (const Sequence seq : {Sequence{1}, Sequence{12'345}, (Sequence{1} << 40) - 1}) {
    const MessageId id = message_id(tenant, seq, at);
    CHECK(sequence_of(id) == seq);
    CHECK(id == message_id(tenant, seq, at));
    CHECK((id.hi >> 16) == 1'700'000'000'123ull);
    CHECK((id.hi >> 12 & 15) == 7);
    CHECK((id.lo >> 62) == 2);
    CHECK(id != message_id(TenantId{Uuid{1, 2}}, seq, at));
  }
  CHECK(to_string(message_id(tenant, 1, at)) == "018bcfe5-687b-735f-be28-0c0000000001");
  CHECK_THROWS_AS(message_id(tenant, 0, at), BrokenInvariant);
  CHECK_THROWS_AS(message_id(tenant, Sequence{1} << 40, at), BrokenInvariant);
}

TEST_CASE("time: RFC 3339") {
  struct Case {
    const char* text;
    const char* expected;
  };
  const Case good[] = {
      {"2026-11-21T09:35:00.123Z", "2026-11-21T09:35:00.123Z"},
      {"2026-11-21t09:35:00z", "2026-11-21T09:35:00.000Z"},
      {"2026-11-21T09:35:00.1239999+02:00", "2026-11-21T07:35:00.123Z"},
      {"2026-11-21T09:35:00.5-23:59", "2026-11-22T09:34:00.500Z"},
      {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"},
      {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"},
      {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
      {"0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"},
      {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
  };
  for (const auto& c : good) {
    CAPTURE(c.text);
    const auto parsed = parse_rfc3339(c.text);
    REQUIRE(parsed);
    CHECK(to_rfc3339(*parsed) == c.expected);
  }
  for (const char* bad :
       {"", "2026-11-21", "2026-11-21T09:35:00", "2026-11-21 09:35:00Z", "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z", "2026-00-10T00:00:00Z", "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00Zx", "26-01-01T00:00:00Z", "2026-1-1T00:00:00Z"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_rfc3339(bad));
  }
  CHECK(to_rfc3339(from_millis(std::numeric_limits<std::int64_t>::max())) ==
        "9999-12-31T23:59:59.999Z");
  CHECK(to_rfc3339(from_millis(std::numeric_limits<std::int64_t>::min())) ==
        "0000-01-01T00:00:00.000Z");
}

TEST_CASE("time: a clock turned by hand") {
  ManualClock clock(from_millis(1000));
  clock.advance(Millis{500});
  CHECK(to_millis(clock.now()) == 1500);
  CHECK(known(system_clock().now()));
  CHECK_FALSE(known(TimePoint{}));
}

TEST_CASE("random: a forked child draws other numbers than its parent") {
  random_u64();  // The pool is filled before the fork.
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto drawn = random_u64();
    _exit(write(ends[1], &drawn, sizeof drawn) == sizeof drawn ? 0 : 1);
  }
  std::uint64_t theirs = 0;
  CHECK(read(ends[0], &theirs, sizeof theirs) == sizeof theirs);
  CHECK(theirs != random_u64());
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("random: in range and not the same twice") {
  CHECK(random_u64() != random_u64());
  const std::string token = random_base62(43);
  CHECK(token.size() == 43);
  CHECK(token.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
        std::string::npos);
  CHECK(token != random_base62(43));
  for (int i = 0; i < 1000; ++i) {
    const double f = random_fraction();
    CHECK(f >= 0);
    CHECK(f < 1);
  }
}

TEST_CASE("metric: the same name and labels are the same metric") {
  auto a = metric::counter("test_total", "A test", {{"k", "v"}});
  auto b = metric::counter("test_total", "A test", {{"k", "v"}});
  auto other = metric::counter("test_total", "A test", {{"k", "w"}});
  a.add();
  b.add(2);
  CHECK(a.value() == 3);
  CHECK(other.value() == 0);
  auto gauge = metric::gauge("test_level", "A test");
  gauge.set(4);
  gauge.add(-1);
  metric::histogram("test_seconds", "A test", {0.1, 1}).observe(0.5);
  const std::string text = metric::expose();
  CHECK(text.find("test_total{k=\"v\"} 3") != std::string::npos);
  CHECK(text.find("test_level 3") != std::string::npos);
  CHECK(text.find("test_seconds_bucket{le=\"1\"} 1") != std::string::npos);
  CHECK_THROWS_AS(metric::counter("bad name", "x"), BrokenInvariant);
  CHECK_THROWS_AS(metric::gauge("test_total", "x"), BrokenInvariant);
  metric::Counter().add();
}
