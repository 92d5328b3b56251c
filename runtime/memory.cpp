// Few threads allocate much, so few arenas do. What is free goes back to the system within
// seconds, also while nobody allocates: a passivated conversation or a closed socket costs nothing.
// Sanitizer builds and test suites have no jemalloc: there the settings mean nothing.
#include "runtime/memory.hpp"

#include <malloc.h>

#include <cstddef>

extern "C" {
/// jemalloc looks for this name when the process begins.
extern const char* malloc_conf;
const char* malloc_conf = "narenas:4,background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0";

int mallctl(const char* name, void* old, std::size_t* old_size, void* fresh,
            std::size_t fresh_size) __attribute__((weak));
}

namespace sara::runtime {

const char* memory_settings() { return malloc_conf; }

void give_memory_back() {
  // 4096 stands for all arenas (MALLCTL_ARENAS_ALL).
  if (mallctl != nullptr)
    mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
  else
    malloc_trim(0);
}

}  // namespace sara::runtime
