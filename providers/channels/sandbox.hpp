// Our own sandbox provider, for trials, tests and the demo.
#pragma once

#include "providers/channel.hpp"

namespace sara::providers {

/// errors: invalid_argument - see make_codec()
Result<std::unique_ptr<ChannelCodec>> make_sandbox(const Fields& credentials);

}  // namespace sara::providers
