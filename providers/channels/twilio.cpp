// Twilio's Programmable Messaging. One URL takes inbound messages and status callbacks; the fields
// tell them apart. A signature covers the URL and the decoded form, or the URL alone.
// source: https://www.twilio.com/docs/usage/webhooks/webhooks-security
#include "providers/channels/twilio.hpp"

#include <algorithm>
#include <array>

#include "base/crypto.hpp"
#include "base/text.hpp"
#include "providers/webhook.hpp"

namespace sara::providers {
namespace {

using domain::Channel;
using domain::MessageStatus;
using domain::WebhookEvent;

/// The decoded fields, sorted by name and value, each pair once: as they are signed. Views.
class Form {
 public:
  explicit Form(const std::vector<std::pair<std::string_view, std::string_view>>& fields) {
    fields_.reserve(fields.size());
    for (const auto& [name, value] : fields) fields_.push_back({front_of(name), name, value});
    std::sort(fields_.begin(), fields_.end());
    fields_.erase(std::unique(fields_.begin(), fields_.end()), fields_.end());
  }

  /// The field's value, "" if it is absent.
  std::string_view operator[](std::string_view name) const {
    const auto found = find(name);
    return found == fields_.end() ? std::string_view{} : found->value;
  }
  bool has(std::string_view name) const { return find(name) != fields_.end(); }

  /// The text that follows the URL in what is signed.
  std::string signed_text() const {
    std::size_t bytes = 0;
    for (const auto& field : fields_) bytes += field.name.size() + field.value.size();
    std::string out;
    out.reserve(bytes);
    for (const auto& field : fields_) out.append(field.name).append(field.value);
    return out;
  }

 private:
  struct Field {
    std::uint64_t front;  ///< the name's first eight bytes as a number, which decides mostly
    std::string_view name, value;
    auto operator<=>(const Field&) const = default;
  };
  static std::uint64_t front_of(std::string_view name) {
    std::uint64_t front = 0;
    for (std::size_t i = 0; i < 8; ++i)
      front = front << 8 | (i < name.size() ? static_cast<unsigned char>(name[i]) : 0u);
    return front;
  }

  std::vector<Field>::const_iterator find(std::string_view name) const {
    const auto front = front_of(name);
    return std::find_if(fields_.begin(), fields_.end(), [&](const Field& field) {
      return field.front == front && field.name == name;
    });
  }

  std::vector<Field> fields_;
};

/// The URL without its port, or with the scheme's own port if it names none: Twilio signs either.
std::string other_port_form(std::string_view url) {
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return {};
  const std::size_t host = scheme_end + 3;
  const std::size_t host_end = std::min(url.find_first_of("/?#", host), url.size());
  const auto authority = url.substr(host, host_end - host);
  const std::size_t colon = authority.rfind(':');
  const std::size_t bracket = authority.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon);
  std::string out(url.substr(0, host));
  out += has_port ? authority.substr(0, colon) : authority;
  if (!has_port) out += url.starts_with("https:") ? ":443" : ":80";
  out += url.substr(host_end);
  return out;
}

/// A parameter of the query as it stands there; the first one if it is repeated.
std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const auto piece = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (piece.size() > name.size() && piece[name.size()] == '=' && piece.starts_with(name))
      return piece.substr(name.size() + 1);
  }
  return {};
}

/// An address and the channel its prefix names; none if we do not know the prefix.
struct Address {
  Channel channel = Channel::sms;
  std::string_view value;
};
Address address_of(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Channel>, 4> prefixes{{
      {"whatsapp:", Channel::whatsapp},
      {"messenger:", Channel::messenger},
      {"instagram:", Channel::instagram},
      {"rcs:", Channel::sms},
  }};
  for (const auto& [prefix, channel] : prefixes)
    if (text.starts_with(prefix)) return {channel, text.substr(prefix.size())};
  return {text.find(':') == std::string_view::npos ? Channel::sms : Channel::none, text};
}

/// What a status means to us; nothing if it is of no effect or not known.
std::optional<MessageStatus> status_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, MessageStatus>, 11> statuses{{
      {"accepted", MessageStatus::queued},
      {"scheduled", MessageStatus::queued},
      {"queued", MessageStatus::queued},
      {"sending", MessageStatus::sending},
      {"sent", MessageStatus::sent},
      {"partially_delivered", MessageStatus::sent},
      {"delivered", MessageStatus::delivered},
      {"read", MessageStatus::read},
      {"undelivered", MessageStatus::failed},
      {"failed", MessageStatus::failed},
      {"canceled", MessageStatus::cancelled},
  }};
  for (const auto& [known_name, status] : statuses)
    if (known_name == name) return status;
  return std::nullopt;
}

std::vector<domain::Attachment> attachments_of(const Form& form) {
  // Twilio allows ten; the name decides, because NumMedia is only a claim.
  constexpr int media_max = 16;
  std::vector<domain::Attachment> out;
  const auto count = form["NumMedia"];
  if (!count.empty() && count != "0") {
    for (int i = 0; i < media_max; ++i) {
      const std::string number = std::to_string(i);
      const auto url = form["MediaUrl" + number];
      if (url.empty()) break;
      out.push_back({attachment_kind(form["MediaContentType" + number]), clean(url), {}, 0});
    }
  }
  if (const auto latitude = form["Latitude"]; !latitude.empty()) {
    std::string name = clean(latitude) + "," + clean(form["Longitude"]);
    if (const auto label = form["Label"]; !label.empty()) name += " " + clean(label);
    out.push_back({"location", {}, std::move(name), 0});
  }
  return out;
}

class Twilio : public ChannelCodec {
 public:
  explicit Twilio(const Fields& credentials) : account_sid_(field(credentials, "account_sid")) {
    for (const char* name : {"auth_token", "auth_token_previous"})
      if (const auto token = field(credentials, name); !token.empty())
        keys_.emplace_back(crypto::HmacKey::Hash::sha1, token);
  }

  Result<std::vector<WebhookEvent>> receive(const WebhookRequest& request,
                                            TimePoint) const override {
    const auto signature = request.header("X-Twilio-Signature");
    if (signature.empty()) return fail(Errc::bad_signature, "no X-Twilio-Signature");
    if (request.method == "GET") return receive_form(request, signature, request.query, false);
    const MediaType media = parse_media_type(request.content_type);
    if (!says_utf8(media)) return fail(Errc::unsupported_media, "the charset must be UTF-8");
    if (media.type == "application/x-www-form-urlencoded")
      return receive_form(request, signature, request.body, true);
    if (media.type == "application/json") return receive_json(request, signature);
    return fail(Errc::unsupported_media, "send a form or JSON");
  }

  WebhookReply accepted() const override {
    // Anything else than TwiML is taken for an error, and plain text is sent to the person.
    return {"text/xml", R"(<?xml version="1.0" encoding="UTF-8"?><Response/>)"};
  }

 private:
  bool authentic(std::string_view url, std::string_view params, std::string_view signature) const {
    const auto given = crypto::from_base64(signature);
    if (!given) return false;
    const auto matches = [&](std::string_view signed_url) {
      const std::array parts{signed_url, params};
      return std::any_of(keys_.begin(), keys_.end(), [&](const crypto::HmacKey& key) {
        return crypto::equal(key.sign(parts), *given);
      });
    };
    if (matches(url)) return true;
    const std::string other = other_port_form(url);
    return !other.empty() && matches(other);
  }

  Result<std::vector<WebhookEvent>> receive_form(const WebhookRequest& request,
                                                 std::string_view signature, std::string_view text,
                                                 bool params_are_signed) const {
    // Nothing is verified yet, so a form is held to what Twilio can have sent.
    constexpr int separators_max = 1000;
    int separators = 0;
    for (auto at = text.find('&'); at != text.npos; at = text.find('&', at + 1))
      if (++separators > separators_max) return fail(Errc::malformed, "too many fields");
    const auto decoded = text::read_form(text);
    if (!decoded) return fail(decoded.error());
    const Form form(decoded->fields);
    const std::string params = params_are_signed ? form.signed_text() : std::string{};
    if (!authentic(request.public_url, params, signature))
      return fail(Errc::bad_signature, "the signature does not match");
    return decode(form, request, text);
  }

  Result<std::vector<WebhookEvent>> receive_json(const WebhookRequest& request,
                                                 std::string_view signature) const {
    if (!authentic(request.public_url, {}, signature))
      return fail(Errc::bad_signature, "the signature does not match");
    // The signature covers the URL alone; the URL carries the body's hash.
    const auto hash = crypto::sha256(request.body);
    const std::string expected =
        crypto::to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
    if (!crypto::equal(expected, query_value(request.query, "bodySHA256")))
      return fail(Errc::bad_signature, "bodySHA256 is missing or wrong");
    const auto document = parse_signed_json(request.body);
    if (!document) return unusable(Letter::twilio, document.error().detail, request.body);
    if (!document->root().is_object())
      return unusable(Letter::twilio, "not a JSON object", request.body);
    std::vector<std::string> values;
    for (const auto& [name, value] : document->root().members()) values.push_back(scalar(value));
    std::vector<std::pair<std::string_view, std::string_view>> fields;
    for (const auto& [name, value] : document->root().members())
      fields.emplace_back(name, values[fields.size()]);
    return decode(Form(fields), request, request.body);
  }

  std::vector<WebhookEvent> decode(const Form& form, const WebhookRequest& request,
                                   std::string_view raw) const {
    if (const auto sid = form["AccountSid"]; !sid.empty() && sid != account_sid_)
      return unusable(Letter::twilio, "foreign account " + word(sid), raw);
    auto message_sid = form["MessageSid"];
    if (message_sid.empty()) message_sid = form["SmsSid"];
    auto status = form["MessageStatus"];
    if (status.empty() && !form.has("Body")) status = form["SmsStatus"];
    const bool is_status = !status.empty() && status != "received";
    if (!is_status && !form.has("Body") && !form.has("NumMedia") && status.empty())
      return kept(Letter::twilio, "form", raw);
    if (message_sid.empty()) return unusable(Letter::twilio, "no MessageSid", raw);

    WebhookEvent event;
    event.raw = raw;
    if (is_status) {
      decode_status(event, form, message_sid, status, request.query);
    } else {
      decode_message(event, form, message_sid);
    }
    seal_key(Letter::twilio, event);
    std::vector<WebhookEvent> out;
    out.push_back(std::move(event));
    return out;
  }

  static void decode_message(WebhookEvent& event, const Form& form, std::string_view sid) {
    const Address from = address_of(form["From"]);
    if (from.value.empty()) {
      event.what = domain::Unusable{"no From"};
      return;
    }
    if (from.channel == Channel::none) {
      event.what = domain::Kept{"channel:" + word(from.value.substr(0, from.value.find(':')))};
      return;
    }
    auto& inbound = event.what.emplace<domain::Inbound>();
    inbound.channel = from.channel;
    inbound.provider = domain::Provider::twilio;
    inbound.address = clean(from.value);
    inbound.account = clean(address_of(form["To"]).value);
    inbound.provider_message_id = clean(sid);
    inbound.profile_name = clean(form["ProfileName"]);
    inbound.body = clean(form["Body"]);
    if (inbound.body.empty()) inbound.body = clean(form["ButtonText"]);
    inbound.attachments = attachments_of(form);
  }

  static void decode_status(WebhookEvent& event, const Form& form, std::string_view sid,
                            std::string_view name, std::string_view query) {
    const auto status = status_of(name);
    const std::string key = receipt_key(clean(sid), clean(name));
    if (!status) {
      event.what = domain::Kept{"status:" + word(name)};
      event.dedupe_key = redelivery_key(Letter::twilio, key);
      return;
    }
    const Address to = address_of(form["To"]);
    auto& receipt = event.what.emplace<domain::Receipt>();
    receipt.channel = to.channel;
    receipt.provider = domain::Provider::twilio;
    receipt.provider_message_id = clean(sid);
    receipt.address = clean(to.value);
    receipt.status = *status;
    receipt.event = clean(name);
    receipt.error_code = clean(form["ErrorCode"]);
    receipt.error_detail = clean(form["ErrorMessage"]);
    // The StatusCallback URL of each send carries our message id as "c".
    receipt.reference =
        clean(text::percent_decode(query_value(query, "c"), true).value_or(std::string{}));
    receipt.key = key;
  }

  std::string account_sid_;
  std::vector<crypto::HmacKey> keys_;
};

}  // namespace

Result<std::unique_ptr<ChannelCodec>> make_twilio(const Fields& credentials) {
  if (auto checked =
          check_credentials(credentials, {"account_sid", "auth_token"}, {"auth_token_previous"});
      !checked)
    return fail(std::move(checked.error()));
  return std::make_unique<Twilio>(credentials);
}

}  // namespace sara::providers
