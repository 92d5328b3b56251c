// Chooses the codec of a provider.
#include "providers/channel.hpp"

#include "providers/channels/meta.hpp"
#include "providers/channels/sandbox.hpp"
#include "providers/channels/sendgrid.hpp"
#include "providers/channels/twilio.hpp"

namespace sara::providers {

Result<WebhookReply> ChannelCodec::handshake(const WebhookRequest&) const {
  return fail(Errc::not_found, "this provider asks for no handshake");
}

Result<std::unique_ptr<ChannelCodec>> make_codec(domain::Provider provider,
                                                 const Fields& credentials,
                                                 const Fields& settings) {
  switch (provider) {
    case domain::Provider::twilio:
      return make_twilio(credentials);
    case domain::Provider::sendgrid:
      return make_sendgrid(credentials, settings);
    case domain::Provider::meta:
      return make_meta(credentials);
    case domain::Provider::sandbox:
      return make_sandbox(credentials);
    case domain::Provider::none:
    case domain::Provider::engarde:
      break;
  }
  return fail(invalid("/provider", "this provider sends no webhooks"));
}

}  // namespace sara::providers
