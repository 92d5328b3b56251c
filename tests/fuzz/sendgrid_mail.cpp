// SendGrid's inbound parse: a mail as a multipart form, unsigned as most accounts send it. Its
// boundary is xYzZY.
#include "providers/channels/sendgrid.hpp"

#include <string>

#include "base/crypto.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/fuzz/webhook.hpp"

namespace {

using namespace sara;
using fuzz::demand;

Result<fuzz::Events> receive(std::string_view body) {
  static const auto codec = fuzz::make_codec(
      domain::Provider::sendgrid,
      {{"api_key", "SG.x"},
       {"webhook_public_key", crypto::EcdsaPrivateKey::generate().public_der_base64()}});
  fuzz::Post post;
  post.content_type = "multipart/form-data; boundary=xYzZY";
  post.body = body;
  return fuzz::receive(*codec, post);
}

/// What the message lists can be fetched.
void attack_attachments(const domain::Inbound& mail, std::string_view body) {
  if (!body.starts_with("--xYzZY\r\n")) return;  // The boundary is read from the first line.
  for (std::size_t i = 0; i < mail.attachments.size() && i < 8; ++i) {
    const auto bytes = providers::inbound_attachment(body, i);
    demand(bytes.has_value(), "an attachment that cannot be fetched");
    const auto size = mail.attachments[i].size_bytes;
    demand(size == 0 || size == static_cast<std::int64_t>(bytes->size()), "a file of another size");
  }
  demand(!providers::inbound_attachment(body, mail.attachments.size()), "one file too many");
}

void attack(std::string_view bytes) {
  const auto received = receive(bytes);
  fuzz::demand_sound(received, 's', bytes.size());
  demand(received->size() == 1, "not one event");
  demand(received->front().raw == bytes, "other bytes are kept than came");
  fuzz::demand_replay(received->front(), receive(bytes));
  if (const auto* mail = std::get_if<domain::Inbound>(&received->front().what))
    attack_attachments(*mail, bytes);
  // A body that is no form at all has no attachments either.
  providers::inbound_attachment(bytes, 0);
}

[[maybe_unused]] const bool added = fuzz::add_target("sendgrid_mail", attack);

}  // namespace
