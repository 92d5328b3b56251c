// The signers. They share nothing with the verifiers but the hash, so that one checks the other.
#include "providers/signing.hpp"

#include <set>

#include "base/crypto.hpp"

namespace sara::providers {

std::string sign_twilio(std::string_view auth_token, std::string_view url,
                        const std::vector<std::pair<std::string, std::string>>& params) {
  std::string text(url);
  // A set sorts by name, then value, and drops a pair that occurs twice: all that Twilio asks for.
  for (const auto& [name, value] :
       std::set<std::pair<std::string, std::string>>(params.begin(), params.end()))
    text += name + value;
  return crypto::to_base64(crypto::HmacKey(crypto::HmacKey::Hash::sha1, auth_token).sign(text));
}

std::string sign_meta(std::string_view app_secret, std::string_view body) {
  return "sha256=" +
         crypto::to_hex(crypto::HmacKey(crypto::HmacKey::Hash::sha256, app_secret).sign(body));
}

std::string sign_sandbox(std::string_view secret, std::string_view body) {
  return sign_meta(secret, body);
}

}  // namespace sara::providers
