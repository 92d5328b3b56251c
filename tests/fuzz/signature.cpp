// Signature headers, before anything is trusted: whatever they hold, a body that was not signed is
// not taken. Lines of the input: signature, timestamp, content type, query.
#include <array>
#include <string>

#include "base/crypto.hpp"
#include "providers/signing.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/fuzz/webhook.hpp"

namespace {

using namespace sara;
using domain::Provider;
using fuzz::demand;

constexpr auto body = R"([{"event":"delivered","sg_message_id":"a.b","sg_event_id":"e"}])";

/// The lines of the input; what is missing is empty.
std::array<std::string, 4> lines_of(std::string_view bytes) {
  std::array<std::string, 4> out;
  for (auto& line : out) {
    const auto end = bytes.find('\n');
    line = bytes.substr(0, end);
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
  }
  return out;
}

struct Codecs {
  crypto::EcdsaPrivateKey key = crypto::EcdsaPrivateKey::generate();
  std::array<std::unique_ptr<providers::ChannelCodec>, 4> all{
      fuzz::make_codec(Provider::twilio, {{"account_sid", "AC0"}, {"auth_token", "t0ken"}}),
      fuzz::make_codec(Provider::sendgrid,
                       {{"api_key", "SG.x"},
                        {"webhook_public_key", key.public_der_base64()},
                        {"inbound_token", "t0ken"}},
                       {{"inbound_signature_required", "true"}}),
      fuzz::make_codec(
          Provider::meta,
          {{"app_secret", "s3cret"}, {"verify_token", "v3rify"}, {"page_access_token", "EAAx"}}),
      fuzz::make_codec(Provider::sandbox, {{"secret", "s3cret"}}),
  };
};

void refuse_all(const Codecs& codecs, const fuzz::Post& post) {
  for (const auto& codec : codecs.all) {
    const auto received = fuzz::receive(*codec, post);
    demand(!received, "a body is taken that nobody has signed");
    const auto code = received.error().code;
    demand(
        code == Errc::bad_signature || code == Errc::unsupported_media || code == Errc::malformed,
        "refused as something else");
  }
}

void attack(std::string_view bytes) {
  static const Codecs codecs;
  const auto [signature, timestamp, content_type, query] = lines_of(bytes);
  fuzz::Post post;
  post.body = body;
  post.url += "?" + query;
  for (const char* name : {"X-Twilio-Signature", "X-Hub-Signature-256", "X-Sandbox-Signature",
                           "X-Twilio-Email-Event-Webhook-Signature"})
    post.headers[name] = signature;
  post.headers["X-Twilio-Email-Event-Webhook-Timestamp"] = timestamp;
  for (const auto& type : {std::string("application/json"), content_type,
                           std::string("application/x-www-form-urlencoded")}) {
    post.content_type = type;
    refuse_all(codecs, post);
  }
  post.method = "GET";
  refuse_all(codecs, post);
  // A good signature with anything else around it is none.
  const std::string good = providers::sign_meta("s3cret", body);
  post.headers["X-Hub-Signature-256"] = signature.empty() ? good + " " : signature + good;
  refuse_all(codecs, post);
  for (const auto& codec : codecs.all) {
    const auto answer = codec->handshake({"GET", post.url, query, {}, {}, {}});
    demand(!answer || query.find("v3rify") != query.npos, "a handshake without the token");
  }
}

[[maybe_unused]] const bool added = fuzz::add_target("signature", attack);

}  // namespace
