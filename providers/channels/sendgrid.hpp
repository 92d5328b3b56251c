// SendGrid: the event webhook (JSON) and inbound parse (multipart), told apart by content type.
#pragma once

#include "providers/channel.hpp"

namespace sara::providers {

/// errors: invalid_argument - see make_codec()
Result<std::unique_ptr<ChannelCodec>> make_sendgrid(const Fields& credentials,
                                                    const Fields& settings);

/// The bytes of one attachment of an inbound mail.
/// raw: the multipart body as it came; index: among the message's attachments
/// errors: not_found - there is none, or the bytes are not such a body
Result<std::string> inbound_attachment(std::string_view raw, std::size_t index);

}  // namespace sara::providers
