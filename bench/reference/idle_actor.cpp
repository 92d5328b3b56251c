// What conversation_memory is held against: actors of CAF that have nothing and have handled one
// message. No state, no directory, no timers.
//
// usage: reference_idle_actor COUNT
// Prints the growth of its RSS in bytes for each.
#include <unistd.h>

#include <caf/all.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace {

using idle_actor = caf::typed_actor<caf::replies_to<caf::get_atom>::with<int>>;

idle_actor::behavior_type idle(idle_actor::pointer, int answer) {
  return {[answer](caf::get_atom) { return answer; }};
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  const auto count = static_cast<std::size_t>(std::atoll(argv[1]));
  caf::actor_system_config config;
  config.set("scheduler.max-threads", std::size_t{2});
  caf::actor_system system(config);
  caf::scoped_actor self(system);
  std::vector<idle_actor> actors;
  actors.reserve(count);
  auto spawn = [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      actors.push_back(system.spawn<caf::lazy_init>(idle, 1));
      self->request(actors.back(), caf::infinite, caf::get_atom_v)
          .receive([](int) {}, [](const caf::error&) {});
    }
  };
  spawn(count / 10);
  auto before = resident_bytes();
  spawn(count - count / 10);
  std::printf("%.0f\n", (resident_bytes() - before) / static_cast<double>(count - count / 10));
  for (auto& actor : actors) caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
  actors.clear();
  return 0;
}
