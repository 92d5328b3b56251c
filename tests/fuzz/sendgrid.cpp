// SendGrid's event batches, rightly signed.
#include <array>
#include <string>

#include "base/crypto.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/fuzz/webhook.hpp"

namespace {

using namespace sara;

const crypto::EcdsaPrivateKey& key() {
  static const auto made = crypto::EcdsaPrivateKey::generate();
  return made;
}

Result<fuzz::Events> receive(std::string_view body) {
  static const auto codec =
      fuzz::make_codec(domain::Provider::sendgrid,
                       {{"api_key", "SG.x"}, {"webhook_public_key", key().public_der_base64()}});
  const std::string timestamp = "1700000300";
  const std::array<std::string_view, 2> parts{timestamp, body};
  fuzz::Post post;
  post.body = body;
  post.headers["X-Twilio-Email-Event-Webhook-Timestamp"] = timestamp;
  post.headers["X-Twilio-Email-Event-Webhook-Signature"] = crypto::to_base64(key().sign(parts));
  return fuzz::receive(*codec, post);
}

void attack(std::string_view bytes) {
  const auto received = receive(bytes);
  fuzz::demand_sound(received, 's', bytes.size());
  if (received->empty()) return;
  // Each signature costs more than all the rest: the first and the last event stand for all.
  fuzz::demand_replay(received->front(), receive(received->front().raw));
  if (received->size() > 1) fuzz::demand_replay(received->back(), receive(received->back().raw));
}

[[maybe_unused]] const bool added = fuzz::add_target("sendgrid", attack);

}  // namespace
