// The last redelivery keys of a conversation.
#include "actors/recent_keys.hpp"

#include <doctest/doctest.h>

#include <string>

using sara::actors::RecentKeys;

TEST_CASE("recent keys: the newest sixteen are known, the oldest makes room") {
  RecentKeys keys;
  CHECK_FALSE(keys.contains("t/0"));
  for (int i = 0; i < 40; ++i) {
    keys.add("t/" + std::to_string(i));
    for (int k = 0; k <= i; ++k) {
      CAPTURE(i);
      CAPTURE(k);
      CHECK(keys.contains("t/" + std::to_string(k)) == (k > i - int{RecentKeys::max}));
    }
  }
}

TEST_CASE("recent keys: a key that comes again takes no second place, and no key is none") {
  RecentKeys keys;
  keys.add("first");
  for (int i = 0; i < 100; ++i) keys.add("again");
  CHECK(keys.contains("first"));
  for (int i = 0; i < 100; ++i) keys.add("");
  CHECK_FALSE(keys.contains(""));
  CHECK(keys.contains("first"));
}
