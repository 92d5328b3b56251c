// Twilio's webhooks, rightly signed: a form; JSON if the body begins with a brace; a GET if it
// begins with a question mark.
#include <algorithm>
#include <string>

#include "base/crypto.hpp"
#include "base/text.hpp"
#include "providers/signing.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/fuzz/webhook.hpp"

namespace {

using namespace sara;
using fuzz::demand;

constexpr auto token = "12345678901234567890123456789012";

const providers::ChannelCodec& codec() {
  static const auto made = fuzz::make_codec(domain::Provider::twilio,
                                            {{"account_sid", "AC0123"}, {"auth_token", token}});
  return *made;
}

std::string sha256_hex(std::string_view body) {
  const auto hash = crypto::sha256(body);
  return crypto::to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

/// The request as Twilio sends it; not signed if its form is broken, because nobody could sign it.
fuzz::Post post_of(std::string_view bytes) {
  fuzz::Post post;
  post.url += "?c=msg%201";
  if (bytes.starts_with('?')) {
    post.method = "GET";
    post.url = "https://hooks.example.com/webhooks/p/e" + std::string(bytes);
    post.headers["X-Twilio-Signature"] = providers::sign_twilio(token, post.url, {});
    return post;
  }
  post.body = bytes;
  if (bytes.starts_with('{')) {
    post.url += "&bodySHA256=" + sha256_hex(bytes);
    post.headers["X-Twilio-Signature"] = providers::sign_twilio(token, post.url, {});
    return post;
  }
  post.content_type = "application/x-www-form-urlencoded; charset=UTF-8";
  const auto params = text::parse_form(bytes);
  post.headers["X-Twilio-Signature"] =
      params ? providers::sign_twilio(token, post.url, *params) : "AAAA";
  return post;
}

/// The raw bytes are those of the body, or of the query.
std::string again_of(const fuzz::Post& post, const domain::WebhookEvent& event) {
  return (post.method == "GET" ? "?" : "") + event.raw;
}

void attack(std::string_view bytes) {
  const auto post = post_of(bytes);
  const auto received = fuzz::receive(codec(), post);
  if (!received) {
    const auto form = bytes.starts_with('?') ? bytes.substr(1) : bytes;
    demand(received.error().code == Errc::malformed, "a signed webhook is refused");
    const bool broken = !text::parse_form(form) || std::count(form.begin(), form.end(), '&') > 1000;
    demand(broken && !bytes.starts_with('{'), "a good form is refused");
    return;
  }
  demand(received->size() == 1, "not one event");
  fuzz::demand_sound(received, 't', bytes.size() - (post.method == "GET" ? 1 : 0));
  const auto& event = received->front();
  const std::string raw = again_of(post, event);
  demand(raw == bytes, "other bytes are kept than came");
  fuzz::demand_replay(event, fuzz::receive(codec(), post_of(raw)));
}

[[maybe_unused]] const bool added = fuzz::add_target("twilio", attack);

}  // namespace
