// Few threads allocate much, so few arenas do. What is free goes back to the system within seconds,
// also while nobody allocates: a passivated conversation or a closed socket costs nothing.
#include "runtime/memory.hpp"

extern "C" {
/// jemalloc looks for this name when the process begins.
extern const char* malloc_conf;
const char* malloc_conf = "narenas:4,background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0";
}

namespace sara::runtime {

const char* memory_settings() { return malloc_conf; }

}  // namespace sara::runtime
