// jemalloc's purge where the program has jemalloc (sanitizer builds and test suites have not).
#include "runtime/memory.hpp"

#include <malloc.h>

#include <cstddef>

extern "C" int mallctl(const char* name, void* old, std::size_t* old_size, void* fresh,
                       std::size_t fresh_size) __attribute__((weak));

namespace sara::runtime {

void give_memory_back() {
  // 4096 stands for all arenas (MALLCTL_ARENAS_ALL).
  if (mallctl != nullptr)
    mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
  else
    malloc_trim(0);
}

}  // namespace sara::runtime
