// The door to every channel's wire format: a webhook request in, events in our words out.
// Codecs know bytes and signatures; they know no socket, no clock and no database.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "domain/channel.hpp"
#include "domain/webhook.hpp"

namespace sara::providers {

/// A webhook request as the edge received it: raw bytes, nothing decoded.
struct WebhookRequest {
  std::string_view method;        ///< "GET" or "POST"
  std::string_view public_url;    ///< as the provider was told: scheme://host[:port]/path?query,
                                  ///< the query as received
  std::string_view query;         ///< raw, without '?'
  std::string_view content_type;  ///< raw header value, may be empty
  std::string_view body;
  std::function<std::string_view(std::string_view name)> header;  ///< "" if absent
};

/// The content of a 200.
struct WebhookReply {
  std::string content_type;
  std::string body;
};

/// Credentials or settings of one integration, opened.
using Fields = std::map<std::string, std::string>;

/// One integration's verifier and decoder. Built once, shared by threads.
class ChannelCodec {
 public:
  virtual ~ChannelCodec() = default;
  /// Verifies over the raw bytes, then decodes. Whatever is signed but cannot be understood comes
  /// back as an Unusable or Kept event, never as an error.
  /// errors: bad_signature - missing, wrong or stale; unsupported_media - content type or charset;
  ///         malformed - nothing can be verified (bad form encoding, no multipart boundary)
  virtual Result<std::vector<domain::WebhookEvent>> receive(const WebhookRequest& request,
                                                            TimePoint now) const = 0;
  /// The GET by which a provider asks whether the endpoint is ours.
  /// errors: not_found - this provider has none; forbidden - another token
  virtual Result<WebhookReply> handshake(const WebhookRequest& request) const;
  /// What this provider wants to read after the commit.
  virtual WebhookReply accepted() const = 0;
};

/// Credentials by provider: twilio {account_sid, auth_token}; sendgrid {api_key,
/// webhook_public_key, inbound_token?}; meta {app_secret, verify_token, page_access_token,
/// page_id?, instagram_account_id?, phone_number_id?}; sandbox {secret}. While a secret is rotated
/// the old one stays valid as auth_token_previous, webhook_public_key_previous or
/// app_secret_previous. Settings: sendgrid {webhook_tolerance_past_s?, inbound_signature_required?
/// "true"|"false"}; others are not ours to judge. errors: invalid_argument with a pointer such as
/// /credentials/auth_token for a missing, unknown
///         or unusable field
Result<std::unique_ptr<ChannelCodec>> make_codec(domain::Provider provider,
                                                 const Fields& credentials, const Fields& settings);

}  // namespace sara::providers
