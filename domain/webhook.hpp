// What a provider's webhook says, in our words. The codecs of providers/channels/ produce these.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "domain/channel.hpp"

namespace sara::domain {

struct Attachment {
  std::string type;  ///< "image", "audio", "video", "file", "location", ...
  std::string url;   ///< as the provider gave it; never fetched unless the integration says so
  std::string name;
  std::int64_t size_bytes = 0;  ///< 0: not said

  bool operator==(const Attachment&) const = default;
};

/// States of a message. Stored as numbers: append, never reorder. Their order is not their rank.
enum class MessageStatus : std::uint8_t {
  received = 0,
  queued,
  sending,
  sent,
  delivered,
  read,
  failed,
  bounced,
  complained,
  cancelled,
  expired,
  unknown,
};

std::string_view to_string(MessageStatus status);

/// A person wrote to us, or (echo) a person of ours wrote to them from the provider's own inbox.
struct Inbound {
  Channel channel = Channel::none;
  Provider provider = Provider::none;
  bool echo = false;  ///< written by the business elsewhere: stored as outbound, never answered
  std::string address;       ///< the contact's, as its channel normalises it
  std::string account;       ///< our own: To number, page id, phone number id
  std::string provider_message_id;
  std::string profile_name;  ///< what the provider says the contact is called; may be empty
  std::string subject;
  std::string body;          ///< UTF-8, without U+0000; may be empty if there are attachments
  std::vector<Attachment> attachments;
  TimePoint at{};            ///< the provider's time of the event; unknown: the epoch
  std::string reference;     ///< of an echo: our own message id, if the provider carried it
};

/// A provider reports how an outbound message fared.
struct Receipt {
  Channel channel = Channel::none;
  Provider provider = Provider::none;
  std::string provider_message_id;  ///< empty if the report is a watermark
  std::string address;              ///< the contact's, where the report names it
  /// Everything sent to `address` up to here has this status; the epoch: no watermark.
  TimePoint watermark{};
  MessageStatus status = MessageStatus::sent;
  TimePoint at{};
  std::string event;       ///< the provider's own word: "delivered", "open", "spamreport"
  std::string error_code;  ///< the provider's, for failed and bounced
  std::string error_detail;
  std::string reference;   ///< our message id, where the provider carried it
  /// The redelivery key after "<provider letter>/": provider id + status, an event id, or a hash.
  /// It begins with the provider_message_id and ':' where there is one.
  std::string key;
};

/// The contact withdrew a message (Instagram unsend): its stored content is erased.
struct Retraction {
  Channel channel = Channel::none;
  Provider provider = Provider::none;
  std::string address;
  std::string provider_message_id;
  TimePoint at{};
};

/// Signed and understood to be of no effect here (unknown kind or field, reaction, referral):
/// kept raw.
struct Kept {
  std::string kind;  ///< "reaction", "field:account_update", ...
};

/// Signed but not usable: kept raw in the dead-letter list with the reason.
struct Unusable {
  std::string reason;
};

/// One event of a webhook request, with the bytes it came from.
struct WebhookEvent {
  std::variant<Inbound, Receipt, Retraction, Kept, Unusable> what;
  /// Bytes that decode to this one event again: the whole body if it is the only one, else a body
  /// of the provider's form with this event's own bytes inside.
  std::string raw;
  /// The redelivery key, unique per tenant: "<letter>/<provider id>[:<status>]", or
  /// "<letter>/#<sha-256 of raw in hex>" where the provider gave no id. Letters: t, s, m, x.
  std::string dedupe_key;
};

}  // namespace sara::domain
