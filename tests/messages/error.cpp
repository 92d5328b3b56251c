// Errors on their way through actors and back.
#include "messages/error.hpp"

#include <doctest/doctest.h>

using namespace sara;
using namespace sara::messages;

TEST_CASE("error: code, detail and fields come back as they went") {
  for (int code = 1; code <= static_cast<int>(Errc::internal); ++code) {
    Error error{static_cast<Errc>(code), "what to do: \"try\" again, ünïcode", {}};
    error.fields.push_back({"/recipients/3/email", "is not an address"});
    error.fields.push_back({"", "empty pointer"});
    error.fields.push_back({"/last", ""});
    auto back = from_caf(to_caf(error));
    CHECK(back.code == error.code);
    CHECK(back.detail == error.detail);
    REQUIRE(back.fields.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(back.fields[i].pointer == error.fields[i].pointer);
      CHECK(back.fields[i].detail == error.fields[i].detail);
    }
  }
}

TEST_CASE("error: no detail and no fields is fine too") {
  auto back = from_caf(to_caf(Errc::not_found, ""));
  CHECK(back.code == Errc::not_found);
  CHECK(back.detail.empty());
  CHECK(back.fields.empty());
}

TEST_CASE("error: an error of ours is never taken for success") {
  CHECK(static_cast<bool>(to_caf(Errc::malformed, "x")));
}

TEST_CASE("error: what CAF itself reports means: try again") {
  for (auto e : {caf::make_error(caf::sec::request_receiver_down),
                 caf::make_error(caf::sec::request_timeout),
                 caf::make_error(caf::sec::runtime_error, "secret of the inside"),
                 caf::make_error(caf::exit_reason::kill)}) {
    auto back = from_caf(e);
    CHECK(back.code == Errc::unavailable);
    CHECK(back.detail.find("secret") == std::string::npos);
  }
}
