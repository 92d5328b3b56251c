// The sandbox's webhooks, rightly signed.
#include <algorithm>
#include <string>

#include "providers/signing.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/fuzz/webhook.hpp"

namespace {

using namespace sara;

constexpr auto secret = "sandbox_secret";

Result<fuzz::Events> receive(std::string_view body) {
  static const auto codec = fuzz::make_codec(domain::Provider::sandbox, {{"secret", secret}});
  fuzz::Post post;
  post.body = body;
  post.headers["X-Sandbox-Signature"] = providers::sign_sandbox(secret, body);
  return fuzz::receive(*codec, post);
}

void attack(std::string_view bytes) {
  const auto received = receive(bytes);
  fuzz::demand_sound(received, 'x', bytes.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(received->size(), 8); ++i)
    fuzz::demand_replay((*received)[i], receive((*received)[i].raw));
}

[[maybe_unused]] const bool added = fuzz::add_target("sandbox", attack);

}  // namespace
