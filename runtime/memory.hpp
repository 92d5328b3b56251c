// The allocator's side of the memory limit.
#pragma once

namespace sara::runtime {

/// What was freed goes back to the system at once, not when the allocator finds time: else a server
/// that was full once would look full for ever. From any thread.
void give_memory_back();

}  // namespace sara::runtime
