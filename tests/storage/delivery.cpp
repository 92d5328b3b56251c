// The outbox: what a start hands to the worker.
#include "storage/delivery.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::storage;

namespace {

struct Outbox : World {
  /// The bodies that are due for this tenant, in order.
  std::string due(bool reported) {
    std::string bodies;
    DuePlace place{};
    for (bool more = true; more;) {
      auto page = must(list_due(db, place, 1000, reported));
      for (auto& item : page.items)
        if (item.tenant_id == tenant) bodies += (bodies.empty() ? "" : " ") + item.body;
      place = page.last;
      more = page.more;
    }
    return bodies;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Outbox, "delivery: the sandbox is reminded of what we gave it, of nothing else") {
  Person person(*this);
  person.says("hi").is_answered("waits").is_answered("taken").commit();
  auto taken = person.thread.outstanding.back();
  taken.status = domain::MessageStatus::sending;
  ++taken.attempt;
  REQUIRE(person.thread.settle(taken, now, person.set) == 1);
  person.commit();
  taken.status = domain::MessageStatus::sent;
  taken.provider_message_id = "sandbox 1";
  REQUIRE(person.thread.settle(taken, now, person.set) == 1);
  person.commit();
  // Somebody wrote it in the provider's own inbox: it never left from here.
  person.echoed("elsewhere").commit();
  CHECK(due(false) == "waits");
  CHECK(due(true) == "waits taken");
}
