// Posts callbacks by libcurl.
#include "runtime/outbound.hpp"

#include "http/client.hpp"

namespace sara::runtime {

using namespace messages;

outbound_actor::behavior_type outbound(outbound_actor::pointer, Millis timeout) {
  auto client = std::make_shared<http::Client>();
  return {
      [client, timeout](const PostCallback& m) {
        auto answer = client->send("POST", m.url,
                                   {"Content-Type: application/json",
                                    "X-Sandbox-Signature: " + m.signature},
                                   m.body, timeout);
        return CallbackPosted{answer ? answer->status : 0};
      },
  };
}

}  // namespace sara::runtime
