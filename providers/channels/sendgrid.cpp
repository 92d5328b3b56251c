// SendGrid. Events come as a JSON array signed with ECDSA; inbound mail comes as a multipart form,
// signed only if the account has a security policy for it.
// source: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event,
//         https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook
#include "providers/channels/sendgrid.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/crypto.hpp"
#include "base/text.hpp"
#include "providers/mime.hpp"
#include "providers/webhook.hpp"

namespace sara::providers {
namespace {

using domain::Channel;
using domain::MessageStatus;
using domain::WebhookEvent;
using json::Ref;

constexpr auto signature_header = "X-Twilio-Email-Event-Webhook-Signature";
constexpr auto timestamp_header = "X-Twilio-Email-Event-Webhook-Timestamp";

/// Digits only, and few enough for a time.
std::optional<std::int64_t> seconds_of(std::string_view digits) {
  if (digits.empty() || digits.size() > 12 ||
      digits.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::string text_of(Ref value) {
  return clean(value.string_or(""));
}

/// What an event does to its message; nothing: it has no effect here.
std::optional<MessageStatus> status_of(std::string_view name, Ref in) {
  if (name == "processed") return MessageStatus::sent;
  if (name == "delivered") return MessageStatus::delivered;
  // "Blocked" is a matter of reputation or of the moment: no reason to suppress the address.
  if (name == "bounce")
    return in["type"].string_or("") == "blocked" ? MessageStatus::failed : MessageStatus::bounced;
  if (name == "dropped") return MessageStatus::failed;
  if (name == "click") return MessageStatus::read;
  if (name == "open" && !in["sg_machine_open"].boolean().value_or(false))
    return MessageStatus::read;
  if (name == "spamreport") return MessageStatus::complained;
  return std::nullopt;
}

/// The kind under which an event without effect is kept.
std::string kind_of(std::string_view name) {
  if (name == "open") return "machine_open";
  for (const auto known : {"deferred", "unsubscribe", "group_unsubscribe", "group_resubscribe"})
    if (name == known) return known;
  return "event:" + word(name);
}

/// The part before the first dot is what the send call answered as X-Message-Id.
std::string provider_message_id(Ref in) {
  const std::string id = text_of(in["sg_message_id"]);
  return id.substr(0, id.find('.'));
}

std::string event_id(Ref in) {
  std::string id = text_of(in["sg_event_id"]);
  if (!id.empty()) return id;
  std::string all;
  for (const char* name : {"sg_message_id", "event", "timestamp", "email", "url"}) {
    all += scalar(in[name]);
    all += '\n';
  }
  return hash_id(all);
}

void decode_event(WebhookEvent& event, Ref in) {
  const auto name = in["event"].string_or("");
  if (!in.is_object() || name.empty()) {
    event.what = domain::Unusable{in.is_object() ? "an event without its name"
                                                 : "an element that is no object"};
    return;
  }
  const std::string message_id = provider_message_id(in);
  const std::string key = receipt_key(message_id, event_id(in));
  event.dedupe_key = redelivery_key(Letter::sendgrid, key);
  const auto status = status_of(name, in);
  if (!status) {
    event.what = domain::Kept{kind_of(name)};
    return;
  }
  auto& receipt = event.what.emplace<domain::Receipt>();
  receipt.channel = Channel::email;
  receipt.provider = domain::Provider::sendgrid;
  receipt.provider_message_id = message_id;
  receipt.address = email_address(in["email"].string_or(""));
  receipt.status = *status;
  receipt.at = event_time(in["timestamp"]);
  receipt.event = name;
  if (name == "bounce" && *status == MessageStatus::failed) receipt.event = "blocked";
  if (*status == MessageStatus::failed || *status == MessageStatus::bounced) {
    receipt.error_code = text_of(in["status"]);
    receipt.error_detail = text_of(in["reason"]);
  }
  receipt.reference = text_of(in["message_id"]);
  receipt.key = key;
}

/// The fields of an inbound parse form as UTF-8, and its files.
class InboundForm {
 public:
  explicit InboundForm(const std::vector<mime::FormPart>& parts) : parts_(parts) {
    if (auto parsed = parse_signed_json(raw("charsets"))) charsets_ = std::move(*parsed);
  }

  /// The bytes of a field, "" if it is absent.
  std::string_view raw(std::string_view name) const {
    for (const auto& part : parts_)
      if (part.name == name) return part.content;
    return {};
  }
  /// `charsets` may stand after the field that it describes, and it may lie.
  std::string text(std::string_view name) const {
    const auto charset = charsets_.root()[name].string_or("utf-8");
    return clean(text::to_utf8(raw(name), charset));
  }
  std::vector<domain::Attachment> attachments() const {
    std::vector<domain::Attachment> out;
    for (const auto& part : parts_) {
      if (!part.filename && !is_file_field(part.name)) continue;
      out.push_back({attachment_kind(parse_media_type(part.content_type).type),
                     {},
                     mime::decode_header(part.filename.value_or("")),
                     static_cast<std::int64_t>(part.content.size())});
    }
    return out;
  }
  /// The bytes of the attachment at that place of attachments(); null if there is none.
  const std::string_view* file(std::size_t index) const {
    for (const auto& part : parts_)
      if ((part.filename || is_file_field(part.name)) && index-- == 0) return &part.content;
    return nullptr;
  }

 private:
  static bool is_file_field(std::string_view name) {
    constexpr std::string_view stem = "attachment";
    return name.starts_with(stem) && name.size() > stem.size() &&
           name.find_first_not_of("0123456789", stem.size()) == std::string_view::npos;
  }

  const std::vector<mime::FormPart>& parts_;
  json::Document charsets_;
};

/// Who really sent and received the mail, whatever its headers say.
struct Envelope {
  std::string from;
  std::vector<std::string> to;
};

Envelope envelope_of(const InboundForm& form) {
  Envelope out;
  const auto parsed = parse_signed_json(form.raw("envelope"));
  if (parsed) {
    out.from = email_address(parsed->root()["from"].string_or(""));
    const auto to = parsed->root()["to"];
    for (std::size_t i = 0; i < to.size(); ++i)
      if (const auto one = to.at(i).string()) out.to.push_back(email_address(*one));
  }
  if (out.to.empty())
    if (const auto mailbox = mime::first_mailbox(form.text("to"))) out.to = {mailbox->address};
  return out;
}

/// Message-ID and envelope recipients: the same mail to two of our addresses is two messages. The
/// sender chooses the Message-ID, so this is a key within one tenant and never a proof.
std::string inbound_id(std::string_view headers, const Envelope& envelope) {
  constexpr std::size_t id_bytes_max = 190;
  const std::string message_id = clean(mime::header_value(headers, "Message-ID"));
  if (message_id.empty() && text::trim(headers).empty()) return {};
  std::string id = message_id.empty() ? std::string(headers) : message_id;
  for (const auto& to : envelope.to) id += ' ' + to;
  const bool readable = !message_id.empty() && id.size() <= id_bytes_max && text::valid_utf8(id);
  return readable ? id : hash_id(id);
}

/// The readable text and the files, from parsed fields or from the raw mail of "send_raw".
void decode_content(domain::Inbound& inbound, std::string& headers, const InboundForm& form) {
  headers = form.raw("headers");
  std::string html;
  if (const auto raw = form.raw("email"); !raw.empty()) {
    if (auto mail = mime::parse_mail(raw)) {
      headers = std::move(mail->headers);
      inbound.body = std::move(mail->text);
      html = std::move(mail->html);
      inbound.attachments = std::move(mail->attachments);
    }
  } else {
    inbound.body = form.text("text");
    html = form.text("html");
    inbound.attachments = form.attachments();
  }
  if (text::trim(inbound.body).empty() && !html.empty()) inbound.body = mime::plain_text(html);
}

std::vector<WebhookEvent> decode_inbound(const std::vector<mime::FormPart>& parts,
                                         std::string_view body) {
  const InboundForm form(parts);
  const Envelope envelope = envelope_of(form);
  // The mail's Date is its sender's word, so the time of the event stays unknown.
  domain::Inbound inbound;
  inbound.channel = Channel::email;
  inbound.provider = domain::Provider::sendgrid;
  std::string headers;
  decode_content(inbound, headers, form);
  auto from = mime::first_mailbox(form.text("from"));
  if (!from) from = mime::first_mailbox(mime::header_value(headers, "From"));
  inbound.address = from ? from->address : envelope.from;
  if (inbound.address.empty()) return unusable(Letter::sendgrid, "no sender", body);
  if (from) inbound.profile_name = from->name;
  if (!envelope.to.empty()) inbound.account = envelope.to.front();
  std::string subject = form.text("subject");
  if (subject.empty()) subject = mime::header_value(headers, "Subject");
  inbound.subject = mime::decode_header(subject);
  inbound.provider_message_id = inbound_id(headers, envelope);

  std::vector<WebhookEvent> out;
  auto& event = out.emplace_back();
  event.what = std::move(inbound);
  event.raw = body;
  seal_key(Letter::sendgrid, event);
  return out;
}

class SendGrid : public ChannelCodec {
 public:
  SendGrid(const Fields& credentials, std::vector<crypto::EcdsaPublicKey> keys,
           std::chrono::seconds tolerance_past, bool inbound_signature_required)
      : inbound_token_(field(credentials, "inbound_token")),
        keys_(std::move(keys)),
        tolerance_past_(tolerance_past),
        inbound_signature_required_(inbound_signature_required) {}

  Result<std::vector<WebhookEvent>> receive(const WebhookRequest& request,
                                            TimePoint now) const override {
    const MediaType media = parse_media_type(request.content_type);
    if (media.type == "multipart/form-data") return receive_mail(request, media, now);
    if (auto verified = verify(request, now); !verified) return fail(std::move(verified.error()));
    if (media.type != "application/json" || !says_utf8(media))
      return fail(Errc::unsupported_media, "send JSON or a multipart form");
    return decode_batch(request.body);
  }

  WebhookReply accepted() const override { return {"text/plain", "OK"}; }

 private:
  Result<void> verify(const WebhookRequest& request, TimePoint now) const {
    constexpr std::chrono::minutes tolerance_future{5};
    const auto timestamp = request.header(timestamp_header);
    const auto seconds = seconds_of(timestamp);
    const auto signature = crypto::from_base64(request.header(signature_header));
    if (!seconds || !signature || signature->empty())
      return fail(Errc::bad_signature, "the signature or its timestamp is missing or malformed");
    const TimePoint at{std::chrono::seconds{*seconds}};
    if (at < now - tolerance_past_ || at > now + tolerance_future)
      return fail(Errc::bad_signature, "the timestamp is too old or in the future");
    const std::array parts{timestamp, request.body};
    const bool authentic = std::any_of(
        keys_.begin(), keys_.end(),
        [&](const crypto::EcdsaPublicKey& key) { return key.verify(parts, *signature); });
    if (!authentic) return fail(Errc::bad_signature, "the signature does not match");
    return {};
  }

  /// A mail may come unsigned; then the endpoint's secrecy and the token stand for it.
  Result<void> verify_mail(const WebhookRequest& request, TimePoint now) const {
    if (!inbound_token_.empty()) {
      bool matches = false;
      if (const auto query = text::parse_form(request.query))
        for (const auto& [name, value] : *query)
          if (name == "token") matches = crypto::equal(value, inbound_token_);
      if (!matches) return fail(Errc::bad_signature, "the token is missing or wrong");
    }
    const bool is_signed =
        !request.header(signature_header).empty() || !request.header(timestamp_header).empty();
    if (is_signed || inbound_signature_required_) return verify(request, now);
    return {};
  }

  Result<std::vector<WebhookEvent>> receive_mail(const WebhookRequest& request,
                                                 const MediaType& media, TimePoint now) const {
    if (auto verified = verify_mail(request, now); !verified)
      return fail(std::move(verified.error()));
    if (media.boundary.empty() || media.boundary.size() > 200)
      return fail(Errc::malformed, "the form names no boundary");
    const auto parts = mime::parse_form_data(request.body, media.boundary);
    if (!parts) return unusable(Letter::sendgrid, parts.error().detail, request.body);
    return decode_inbound(*parts, request.body);
  }

  static std::vector<WebhookEvent> decode_batch(std::string_view body) {
    const auto document = parse_signed_json(body);
    if (!document) return unusable(Letter::sendgrid, document.error().detail, body);
    const auto root = document->root();
    if (!root.is_array()) return unusable(Letter::sendgrid, "not a list of events", body);
    if (root.size() > events_max) return unusable(Letter::sendgrid, "too many events", body);
    const auto raws = json::raw_elements(body);
    std::vector<WebhookEvent> out;
    out.reserve(root.size());
    for (std::size_t i = 0; i < root.size() && i < raws.size(); ++i) {
      auto& event = out.emplace_back();
      if (root.size() == 1) {
        event.raw = body;
      } else {
        event.raw.reserve(raws[i].size() + 2);
        event.raw.append("[").append(raws[i]).append("]");
      }
      decode_event(event, root.at(i));
      seal_key(Letter::sendgrid, event);
    }
    return out;
  }

  std::string inbound_token_;
  std::vector<crypto::EcdsaPublicKey> keys_;
  std::chrono::seconds tolerance_past_;
  bool inbound_signature_required_;
};

}  // namespace

Result<std::unique_ptr<ChannelCodec>> make_sendgrid(const Fields& credentials,
                                                    const Fields& settings) {
  if (auto checked = check_credentials(credentials, {"api_key", "webhook_public_key"},
                                       {"inbound_token", "webhook_public_key_previous"});
      !checked)
    return fail(std::move(checked.error()));
  std::vector<crypto::EcdsaPublicKey> keys;
  for (const char* name : {"webhook_public_key", "webhook_public_key_previous"}) {
    const auto text = field(credentials, name);
    if (text.empty()) continue;
    auto key = crypto::EcdsaPublicKey::parse(text);
    if (!key)
      return fail(invalid(std::string("/credentials/") + name,
                          "must be the base64 public key that SendGrid shows, of the curve P-256"));
    keys.push_back(std::move(*key));
  }
  std::chrono::seconds tolerance_past = std::chrono::hours{48};
  if (const auto text = field(settings, "webhook_tolerance_past_s"); !text.empty()) {
    const auto seconds = seconds_of(text);
    constexpr std::int64_t thirty_days = 30 * 24 * 3600;
    if (!seconds || *seconds < 1 || *seconds > thirty_days)
      return fail(invalid("/settings/webhook_tolerance_past_s", "must be 1 to 2592000 seconds"));
    tolerance_past = std::chrono::seconds{*seconds};
  }
  const auto required = field(settings, "inbound_signature_required");
  if (!required.empty() && required != "true" && required != "false")
    return fail(invalid("/settings/inbound_signature_required", "must be true or false"));
  return std::make_unique<SendGrid>(credentials, std::move(keys), tolerance_past,
                                    required == "true");
}

Result<std::string> inbound_attachment(std::string_view raw, std::size_t index) {
  // The boundary stood in the Content-Type header; it also opens the body.
  const auto line = raw.substr(0, raw.find_first_of("\r\n"));
  if (!line.starts_with("--")) return fail(Errc::not_found, "not a form");
  const auto parts = mime::parse_form_data(raw, line.substr(2));
  if (!parts) return fail(Errc::not_found, "not a form");
  const InboundForm form(*parts);
  if (const auto mail_bytes = form.raw("email"); !mail_bytes.empty()) {
    auto mail = mime::parse_mail(mail_bytes, true);
    if (mail && index < mail->files.size()) return std::move(mail->files[index]);
  } else if (const auto* content = form.file(index)) {
    return std::string(*content);
  }
  return fail(Errc::not_found, "there is no such attachment");
}

}  // namespace sara::providers
