// Meta: Messenger, Instagram and WhatsApp Cloud.
#pragma once

#include "providers/channel.hpp"

namespace sara::providers {

/// errors: invalid_argument - see make_codec()
Result<std::unique_ptr<ChannelCodec>> make_meta(const Fields& credentials);

}  // namespace sara::providers
