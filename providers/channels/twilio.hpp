// Twilio: SMS, MMS and WhatsApp, inbound messages and status callbacks.
#pragma once

#include "providers/channel.hpp"

namespace sara::providers {

/// errors: invalid_argument - see make_codec()
Result<std::unique_ptr<ChannelCodec>> make_twilio(const Fields& credentials);

}  // namespace sara::providers
