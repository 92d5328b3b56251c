// SendGrid: the event webhook (JSON) and inbound parse (multipart), told apart by content type.
#pragma once

#include "providers/channel.hpp"

namespace sara::providers {

/// errors: invalid_argument - see make_codec()
Result<std::unique_ptr<ChannelCodec>> make_sendgrid(const Fields& credentials,
                                                    const Fields& settings);

}  // namespace sara::providers
