// The door of libFuzzer to the one target that is linked with it.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sara::fuzz::targets().front().attack({reinterpret_cast<const char*>(data), size});
  return 0;
}
