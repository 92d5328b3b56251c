// What the channel codecs share: credentials' rules, media types, redelivery keys, clean values.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "providers/channel.hpp"

namespace sara::providers {

/// The letter that begins a provider's redelivery keys.
enum class Letter : char { twilio = 't', sendgrid = 's', meta = 'm', sandbox = 'x' };

/// Every credential is a non-empty UTF-8 string without control characters, every required one is
/// there and every one is known.
/// errors: invalid_argument
Result<void> check_credentials(const Fields& credentials,
                               std::initializer_list<std::string_view> required,
                               std::initializer_list<std::string_view> optional);
/// The field's value, or "".
std::string_view field(const Fields& fields, const std::string& name);

/// A Content-Type header. Type and parameters' names are compared without case.
struct MediaType {
  std::string type;  ///< "multipart/form-data", in lower case
  std::string charset;
  std::string boundary;
};
MediaType parse_media_type(std::string_view content_type);
/// True if the charset is not named or is UTF-8.
bool says_utf8(const MediaType& media);
/// "image", "audio", "video" or "file".
std::string attachment_kind(std::string_view media_type);

/// HMAC-SHA256 of the body in lower-case hex after "sha256=". Any of the keys may have made it.
bool hub_signature_matches(std::span<const crypto::HmacKey> keys, std::string_view header,
                           std::string_view body);

/// More events than any provider puts into one request (SendGrid fills 768 KB, Meta sends up to
/// 1000 changes). A body with more is set aside whole: each event costs far more than its bytes.
constexpr std::size_t events_max = 10'000;

/// JSON with room for the largest real batches. Half surrogates and U+0000 pass here, because one
/// odd string must not spoil a signed batch.
Result<json::Document> parse_signed_json(std::string_view body);

/// The text without U+0000, which Postgres cannot store.
std::string clean(std::string_view text);
/// A string, or an integer in digits; else "".
std::string scalar(json::Ref value);
/// The address without space around it and with its domain in lower case.
std::string email_address(std::string_view address);
/// Seconds or milliseconds, as number or digits; more than 1e12 means milliseconds. Else: epoch.
TimePoint event_time(json::Ref value);
/// A word of the provider's as part of a Kept kind or a reason: short and printable.
std::string word(std::string_view text);

/// "<letter>/<id>", hashed if longer than 200 bytes.
std::string redelivery_key(Letter letter, std::string_view id);
/// "<provider_message_id>:<suffix>", or the suffix alone; short enough for redelivery_key().
std::string receipt_key(std::string_view provider_message_id, std::string_view suffix);
/// "#<sha-256 in hex>"
std::string hash_id(std::string_view bytes);
/// Fills in the dedupe_key of an event whose `what` and `raw` are complete: messages by their id,
/// receipts and retractions by theirs, everything else by its bytes. An event of these kinds that
/// has no id gets one from its bytes.
void seal_key(Letter letter, domain::WebhookEvent& event);

/// The one event of a body that is signed but cannot be read.
std::vector<domain::WebhookEvent> unusable(Letter letter, std::string reason,
                                           std::string_view body);
std::vector<domain::WebhookEvent> kept(Letter letter, std::string kind, std::string_view body);

}  // namespace sara::providers
