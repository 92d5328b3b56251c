// What a log line looks like on standard error, and that nobody can forge a second one.
#include "base/log.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>

using namespace sara;

namespace {

/// Runs `write` and returns what it put on standard error.
template <class Write>
std::string logged(Write write) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file);
  const int saved = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  write();
  std::fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  std::rewind(file);
  std::string out(4096, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), file));
  std::fclose(file);
  return out;
}

/// The same without the time in front.
template <class Write>
std::string after_time(Write write) {
  const std::string all = logged(write);
  return all.size() > 25 ? all.substr(25) : all;
}

}  // namespace

TEST_CASE("log: one event is one line of fields") {
  const std::string line = logged([] {
    log::info("inbound.received", {{"tenant", "t1"}, {"bytes", 42}});
  });
  CHECK(line.size() > 25);
  CHECK(line[10] == 'T');
  CHECK(line[23] == 'Z');
  CHECK(line.substr(24) == " info event=inbound.received tenant=t1 bytes=42\n");
}

TEST_CASE("log: values are escaped") {
  const struct {
    const char* value;
    const char* expected;
  } cases[] = {
      {"plain-1.2:3/4", "plain-1.2:3/4"},
      {"", "\"\""},
      {"two words", "\"two words\""},
      {"a=b", "\"a=b\""},
      {"say \"hi\" \\", "\"say \\\"hi\\\" \\\\\""},
      {"x\r\n2026 error event=forged", "\"x\\x0d\\x0a2026 error event=forged\""},
      {"\x1b[31m", "\"\\x1b[31m\""},
      {"h\u00e9", "\"h\u00e9\""},
      {"\u0085", "\"\\xc2\\x85\""},
      {"\u2028", "\"\\xe2\\x80\\xa8\""},
      {"\xff", "\"\\xff\""},
      {"{} {0}", "\"{} {0}\""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.value);
    CHECK(after_time([&] {
            log::warn("e", {{"v", c.value}});
          }) == "warn event=e v=" + std::string(c.expected) + "\n");
  }
}

TEST_CASE("log: what is below the level is not written") {
  CHECK(logged([] { log::debug("quiet"); }).empty());
  log::set_level(log::Level::error);
  CHECK(logged([] { log::warn("quiet"); }).empty());
  CHECK(after_time([] { log::error("loud"); }) == "error event=loud\n");
  log::set_level(log::Level::info);
}
