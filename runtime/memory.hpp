// How the allocator serves this process, and how it gives back what is free.
#pragma once

namespace sara::runtime {

/// The settings that jemalloc has read at the start of the process; without effect on another
/// allocator.
const char* memory_settings();

/// What was freed goes back to the system at once, not when the allocator finds time: else a server
/// that was full once would look full for ever. From any thread.
void give_memory_back();

}  // namespace sara::runtime
