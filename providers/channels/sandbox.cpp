// The sandbox's webhooks, a protocol of ours. POST JSON
// {"events":[{"type":"status","id","message_id","status","at_ms","reference"?,"error"?:{"code",
// "detail"}} | {"type":"message","id","channel","from","to","name"?,"text","at_ms"}]}
// with X-Sandbox-Signature: sha256=<hex HMAC-SHA256(secret, body)>.
#include "providers/channels/sandbox.hpp"

#include <array>

#include "base/text.hpp"
#include "providers/webhook.hpp"

namespace sara::providers {
namespace {

using domain::MessageStatus;
using domain::WebhookEvent;

constexpr std::array<std::pair<std::string_view, MessageStatus>, 5> statuses{{
    {"sent", MessageStatus::sent},
    {"delivered", MessageStatus::delivered},
    {"read", MessageStatus::read},
    {"failed", MessageStatus::failed},
    {"bounced", MessageStatus::bounced},
}};

std::string text_of(json::Ref value) {
  return clean(value.string_or(""));
}

void decode_status(WebhookEvent& event, json::Ref in) {
  const auto name = in["status"].string_or("");
  for (const auto& [known_name, status] : statuses) {
    if (known_name != name) continue;
    auto& receipt = event.what.emplace<domain::Receipt>();
    receipt.channel =
        domain::parse_channel(in["channel"].string_or("")).value_or(domain::Channel::none);
    receipt.provider = domain::Provider::sandbox;
    receipt.provider_message_id = text_of(in["message_id"]);
    receipt.address = text_of(in["to"]);
    receipt.status = status;
    receipt.at = event_time(in["at_ms"]);
    receipt.event = name;
    receipt.error_code = scalar(in["error"]["code"]);
    receipt.error_detail = text_of(in["error"]["detail"]);
    receipt.reference = text_of(in["reference"]);
    if (receipt.provider_message_id.empty()) {
      event.what = domain::Unusable{"a status without message_id"};
      return;
    }
    const std::string id = text_of(in["id"]);
    receipt.key = receipt_key(receipt.provider_message_id, id.empty() ? name : id);
    return;
  }
  event.what = domain::Kept{"status:" + word(name)};
}

void decode_message(WebhookEvent& event, json::Ref in) {
  const auto channel = domain::parse_channel(in["channel"].string_or(""));
  const std::string from = text_of(in["from"]);
  const std::string id = text_of(in["id"]);
  if (!channel || from.empty() || id.empty()) {
    event.what = domain::Unusable{"a message needs id, channel and from"};
    return;
  }
  auto& inbound = event.what.emplace<domain::Inbound>();
  inbound.channel = *channel;
  inbound.provider = domain::Provider::sandbox;
  inbound.address = *channel == domain::Channel::email ? email_address(from) : from;
  inbound.account = text_of(in["to"]);
  inbound.provider_message_id = id;
  inbound.profile_name = text_of(in["name"]);
  inbound.subject = text_of(in["subject"]);
  inbound.body = text_of(in["text"]);
  inbound.at = event_time(in["at_ms"]);
  const auto attachments = in["attachments"];
  for (std::size_t i = 0; i < attachments.size(); ++i) {
    const auto item = attachments.at(i);
    inbound.attachments.push_back({text_of(item["type"]), text_of(item["url"]),
                                   text_of(item["name"]), item["size"].integer().value_or(0)});
  }
}

class Sandbox : public ChannelCodec {
 public:
  explicit Sandbox(const Fields& credentials) {
    keys_.emplace_back(crypto::HmacKey::Hash::sha256, field(credentials, "secret"));
  }

  Result<std::vector<WebhookEvent>> receive(const WebhookRequest& request,
                                            TimePoint) const override {
    if (!hub_signature_matches(keys_, request.header("X-Sandbox-Signature"), request.body))
      return fail(Errc::bad_signature, "X-Sandbox-Signature is missing or wrong");
    const MediaType media = parse_media_type(request.content_type);
    if (media.type != "application/json" || !says_utf8(media))
      return fail(Errc::unsupported_media, "send JSON");
    const auto document = parse_signed_json(request.body);
    if (!document) return unusable(Letter::sandbox, document.error().detail, request.body);
    const auto events = document->root()["events"];
    if (!events.is_array()) return unusable(Letter::sandbox, "no list of events", request.body);
    if (events.size() > events_max)
      return unusable(Letter::sandbox, "too many events", request.body);
    const auto raws = json::raw_elements(json::raw_member(request.body, "events"));
    std::vector<WebhookEvent> out;
    out.reserve(events.size());
    for (std::size_t i = 0; i < events.size(); ++i) {
      auto& event = out.emplace_back();
      event.raw = events.size() == 1 ? std::string(request.body)
                                     : "{\"events\":[" + std::string(raws.at(i)) + "]}";
      decode(event, events.at(i));
      seal_key(Letter::sandbox, event);
    }
    return out;
  }

  WebhookReply accepted() const override { return {"application/json", R"({"ok":true})"}; }

 private:
  static void decode(WebhookEvent& event, json::Ref in) {
    const auto type = in["type"].string_or("");
    if (type == "status") {
      decode_status(event, in);
    } else if (type == "message") {
      decode_message(event, in);
    } else if (!type.empty()) {
      event.what = domain::Kept{"event:" + word(type)};
    } else {
      event.what = domain::Unusable{"an event without a type"};
    }
  }

  std::vector<crypto::HmacKey> keys_;
};

}  // namespace

Result<std::unique_ptr<ChannelCodec>> make_sandbox(const Fields& credentials) {
  if (auto checked = check_credentials(credentials, {"secret"}, {}); !checked)
    return fail(std::move(checked.error()));
  return std::make_unique<Sandbox>(credentials);
}

}  // namespace sara::providers
