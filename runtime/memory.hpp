// How the allocator serves this process.
#pragma once

namespace sara::runtime {

/// The settings that jemalloc has read at the start of the process; without effect on another
/// allocator.
const char* memory_settings();

}  // namespace sara::runtime
