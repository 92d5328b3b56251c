// A sanitizer's report inside a server fails the test that owns this server.
#include <doctest/doctest.h>

#include "tests/support/server.hpp"

using namespace sara::test;

namespace {

void fail_test(const std::string& report) {
  // The shared server ends with the program, when no test can fail any more.
  if (!doctest::is_running_in_test) end_program(report);
  FAIL_CHECK("a sanitizer has found something in a server:\n" << report);
}

[[maybe_unused]] const bool told = (on_sanitizer_report = fail_test, true);

}  // namespace

TEST_CASE("sanitizer: a report is found in what a server prints, and nothing else is") {
  CHECK(sanitizer_report("listening on http://127.0.0.1:1\nevent=started\n").empty());
  CHECK(sanitizer_report("event=started\n==7==ERROR: AddressSanitizer: heap-use-after-free\n  #0\n")
            .starts_with("==7==ERROR"));
  CHECK(sanitizer_report("WARNING: ThreadSanitizer: data race (pid=7)\n").starts_with("WARNING"));
  CHECK(sanitizer_report("x\nhttp/head.cpp:7:1: runtime error: signed integer overflow\n")
            .starts_with("http/head.cpp"));
}
