#include "http/quota.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace sara::http;
using namespace std::chrono_literals;

namespace {

const Quota::TimePoint noon{1'000'000s};

std::string header(const Response& answer, const std::string& name) {
  for (auto& [known, value] : answer.headers)
    if (known == name) return value;
  return {};
}

}  // namespace

TEST_CASE("quota: a whole quota may be used at once, and comes back evenly") {
  Quota quota(60, 60s);
  for (int i = 59; i >= 0; --i) {
    const auto standing = quota.take("key", noon);
    CHECK(standing.admitted);
    CHECK(standing.remaining == static_cast<std::size_t>(i));
  }
  const auto refused = quota.take("key", noon);
  CHECK(!refused.admitted);
  CHECK(refused.remaining == 0);
  CHECK(refused.retry_in == 1s);
  CHECK(refused.full_in == 60s);
  CHECK(!quota.take("key", noon + 999ms).admitted);
  CHECK(quota.take("key", noon + 1s).admitted);
  CHECK(!quota.take("key", noon + 1s).admitted);
  CHECK(quota.take("key", noon + 1h).remaining == 59);
}

TEST_CASE("quota: names have buckets of their own, and full ones are forgotten") {
  Quota quota(2, 10s, 3);
  CHECK(quota.take("a", noon).remaining == 1);
  CHECK(quota.take("b", noon).remaining == 1);
  CHECK(quota.take("a", noon).remaining == 0);
  CHECK(!quota.take("a", noon).admitted);
  CHECK(quota.take("b", noon).remaining == 0);
  // Room for a third, and for a fourth once the others are full again.
  CHECK(quota.take("c", noon + 6s).remaining == 1);
  CHECK(quota.take("d", noon + 20s).remaining == 1);
  CHECK(quota.take("a", noon + 20s).remaining == 1);
}

TEST_CASE("quota: an answer tells what is left, a refusal when to come back") {
  Quota quota(2, 60s);
  Response answer;
  quota.tell(quota.take("key", noon), answer);
  CHECK(header(answer, "RateLimit-Policy") == "\"requests\";q=2;w=60");
  CHECK(header(answer, "RateLimit") == "\"requests\";r=1;t=30");
  CHECK(header(answer, "X-RateLimit-Limit") == "2");
  CHECK(header(answer, "X-RateLimit-Remaining") == "1");
  CHECK(header(answer, "X-RateLimit-Reset") == "30");
  CHECK(header(answer, "Retry-After") == "");
  quota.take("key", noon);
  Response refused;
  refused.headers.emplace_back("Retry-After", "1");
  quota.tell(quota.take("key", noon), refused);
  CHECK(header(refused, "Retry-After") == "30");
  CHECK(std::count_if(refused.headers.begin(), refused.headers.end(),
                      [](auto& h) { return h.first == "Retry-After"; }) == 1);
}
