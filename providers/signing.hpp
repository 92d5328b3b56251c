// Signs webhooks as the providers do: for tests and the demo. SendGrid's requests are signed with
// crypto::EcdsaPrivateKey over the timestamp and the body.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sara::providers {

/// The value of X-Twilio-Signature. params: the decoded form; empty for GET and JSON.
std::string sign_twilio(std::string_view auth_token, std::string_view url,
                        const std::vector<std::pair<std::string, std::string>>& params);
/// The value of X-Hub-Signature-256.
std::string sign_meta(std::string_view app_secret, std::string_view body);
/// The value of X-Sandbox-Signature.
std::string sign_sandbox(std::string_view secret, std::string_view body);

}  // namespace sara::providers
