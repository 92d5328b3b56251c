// Monitors, and reports the first unasked end.
#include "runtime/supervisor.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace sara::runtime {

caf::behavior supervisor(caf::event_based_actor* self, std::vector<Watched> watched,
                         std::function<void(const std::string&)> on_loss) {
  for (auto& w : watched) self->monitor(w.address);
  self->set_down_handler([self, watched, on_loss](const caf::down_msg& down) {
    auto lost = std::find_if(watched.begin(), watched.end(),
                             [&](const Watched& w) { return w.address == down.source; });
    std::string name = lost == watched.end() ? "an actor" : lost->name;
    log::error("supervisor.lost", {{"actor", name}, {"reason", caf::to_string(down.reason)}});
    on_loss(name);
    self->quit();
  });
  // It has nothing to answer; an untyped actor without a behavior would end at once.
  return {[](caf::tick_atom) {}};
}

}  // namespace sara::runtime
