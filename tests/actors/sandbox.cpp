// The embedded provider: it reports on what it took, in order, whatever the calendar does.
#include "actors/delivery.hpp"
#include "support.hpp"

using namespace sara;
using namespace sara::actors;
using namespace sara::messages;

namespace {

struct Stage : Theatre {
  std::string story;  ///< "sent delivered read"
  int refusals_to_come = 0;
  sandbox_actor provider;

  Stage() {
    auto snapshot = std::make_shared<domain::TenantSnapshot>(*registry.find(tenant_id));
    snapshot->as_of = 1;
    snapshot->offers.at(0).integration.credentials["secret"] = "secret";
    registry.publish(snapshot);
    auto outbound = [](outbound_actor::pointer, Stage* stage) -> outbound_actor::behavior_type {
      return {[stage](const PostCallback& m) {
        if (stage->refusals_to_come > 0) {
          --stage->refusals_to_come;
          return CallbackPosted{503};
        }
        auto doc = json::parse(m.body);
        stage->story += (stage->story.empty() ? "" : " ") +
                        std::string(doc->root()["events"].at(0)["status"].string_or("?"));
        return CallbackPosted{200};
      }};
    };
    provider = spawn(actors::sandbox, &context, spawn(outbound, this));
    sched.run();
  }
  void send() {
    SandboxSend m;
    m.tenant_id = tenant_id;
    m.integration_id = sandbox_id;
    m.message_id = "1";
    caf::anon_send(provider, m);
    sched.run();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Stage, "sandbox: a message comes to be read, a refused callback is repeated") {
  refusals_to_come = 2;
  send();
  CHECK(story == "");
  advance(5s);
  CHECK(story == "sent delivered read");
}

TEST_CASE_FIXTURE(Stage, "sandbox: a calendar that jumps holds nothing up") {
  send();
  clock.advance(-1h);
  advance(1s);
  CHECK(story == "sent delivered read");
  send();
  clock.advance(2h);
  advance(1s);
  CHECK(story == "sent delivered read sent delivered read");
}
