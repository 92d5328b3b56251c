// Meta's webhooks, rightly signed: Messenger, Instagram and WhatsApp in one envelope. Once for an
// integration that takes every account, once for one that knows its own.
#include <algorithm>
#include <string>

#include "providers/signing.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/fuzz/webhook.hpp"

namespace {

using namespace sara;

constexpr auto secret = "test_app_secret_0123456789abcdef";

const providers::ChannelCodec& open_codec() {
  static const auto made = fuzz::make_codec(
      domain::Provider::meta,
      {{"app_secret", secret}, {"verify_token", "v3rify"}, {"page_access_token", "EAAx"}});
  return *made;
}

const providers::ChannelCodec& strict_codec() {
  static const auto made =
      fuzz::make_codec(domain::Provider::meta, {{"app_secret", secret},
                                                {"verify_token", "v3rify"},
                                                {"page_access_token", "EAAx"},
                                                {"page_id", "100"},
                                                {"instagram_account_id", "100"},
                                                {"phone_number_id", "300"}});
  return *made;
}

Result<fuzz::Events> receive(const providers::ChannelCodec& codec, std::string_view body) {
  fuzz::Post post;
  post.body = body;
  post.headers["X-Hub-Signature-256"] = providers::sign_meta(secret, body);
  return fuzz::receive(codec, post);
}

void attack(std::string_view bytes) {
  for (const auto* codec : {&open_codec(), &strict_codec()}) {
    const auto received = receive(*codec, bytes);
    fuzz::demand_sound(received, 'm', bytes.size());
    for (std::size_t i = 0; i < std::min<std::size_t>(received->size(), 8); ++i)
      fuzz::demand_replay((*received)[i], receive(*codec, (*received)[i].raw));
  }
}

[[maybe_unused]] const bool added = fuzz::add_target("meta", attack);

}  // namespace
