// The SUPERVISOR watches the actors that exist once. Conversations and tenants that fail are
// activated afresh by the directory; if one of these ends unasked, the process must not go on as
// half a server: it stops in order, and whoever runs it starts it again (recovery needs no hands).
#pragma once

#include <caf/all.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sara::runtime {

struct Watched {
  std::string name;
  caf::actor_addr address;
};

/// on_loss: called once, from an actor's thread, with the name of what was lost.
caf::behavior supervisor(caf::event_based_actor* self, std::vector<Watched> watched,
                         std::function<void(const std::string&)> on_loss);

}  // namespace sara::runtime
