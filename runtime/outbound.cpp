// Posts callbacks by libcurl.
#include "runtime/outbound.hpp"

#include "http/client.hpp"

namespace sara::runtime {

using namespace messages;

outbound_actor::behavior_type outbound(outbound_actor::pointer) {
  auto client = std::make_shared<http::Client>();
  return {
      [client](const PostCallback& m) {
        auto answer = client->send("POST", m.url,
                                   {"Content-Type: application/json",
                                    "X-Sandbox-Signature: " + m.signature},
                                   m.body, Millis{10'000});
        return CallbackPosted{answer ? answer->status : 0};
      },
  };
}

}  // namespace sara::runtime
