// Meta's webhooks: one envelope for three products. Messenger and Instagram speak of `messaging`
// items, WhatsApp of `changes` with a value; all are signed alike, over the raw bytes.
// source: https://developers.facebook.com/docs/messenger-platform/webhooks,
//         https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks
#include "providers/channels/meta.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "base/crypto.hpp"
#include "base/text.hpp"
#include "providers/webhook.hpp"

namespace sara::providers {
namespace {

using domain::Channel;
using domain::MessageStatus;
using domain::WebhookEvent;
using json::Ref;

// One sender, account or contact may stand in front of thousands of items, and goes into each of
// them: whatever is shared has a limit, so that a small body cannot unfold into gigabytes.
constexpr std::size_t shared_bytes_max = 256;
constexpr std::size_t contacts_max = 64;
constexpr std::size_t contact_bytes_max = 1024;

std::string text_of(Ref value) {
  return clean(value.string_or(""));
}

/// An id of a person or an account; one that is too long is none.
std::string id_of(Ref value) {
  std::string id = scalar(value);
  if (id.size() > shared_bytes_max) id.clear();
  return id;
}

/// The raw texts of an array inside an object, so that each element can be kept as it was signed.
std::vector<std::string_view> raws_of(std::string_view object, std::string_view key) {
  return json::raw_elements(json::raw_member(object, key));
}

bool has_room(const std::vector<WebhookEvent>& events) {
  return events.size() <= events_max;
}

/// Where an item was found: what its raw form is wrapped in and whom it belongs to.
struct Place {
  Channel channel;
  std::string_view object;    ///< the envelope's "object" as JSON text
  std::string_view entry_id;  ///< as JSON text, may be empty
  std::string account;
  bool foreign = false;  ///< not the integration's page, account or number
};

/// An envelope around one entry's member, such as "messaging":[...].
std::string wrap(const Place& place, std::string_view member) {
  std::string out = "{\"object\":";
  out += place.object;
  out += ",\"entry\":[{";
  if (!place.entry_id.empty()) {
    out += "\"id\":";
    out += place.entry_id;
    out += ',';
  }
  out += member;
  out += "}]}";
  return out;
}

std::string listed(std::string_view key, std::string_view raw) {
  std::string out = "\"";
  out += key;
  out += "\":[";
  out += raw;
  out += ']';
  return out;
}

WebhookEvent make_event(std::string raw) {
  WebhookEvent event;
  event.raw = std::move(raw);
  return event;
}

std::string coordinates(Ref latitude, Ref longitude) {
  return latitude.dump() + "," + longitude.dump();
}

std::vector<domain::Attachment> messenger_attachments(Ref list) {
  std::vector<domain::Attachment> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto item = list.at(i);
    const auto payload = item["payload"];
    domain::Attachment attachment;
    attachment.type = item["type"].is_string() ? word(item["type"].string_or("")) : "fallback";
    attachment.url = text_of(payload["url"].is_string() ? payload["url"] : item["url"]);
    attachment.name = text_of(payload["title"].is_string() ? payload["title"] : item["title"]);
    if (const auto at = payload["coordinates"]; at.is_object())
      attachment.name = coordinates(at["lat"], at["long"]);
    out.push_back(std::move(attachment));
  }
  return out;
}

/// A message, echo or unsend of Messenger and Instagram.
void decode_message(WebhookEvent& event, const Place& place, Ref item) {
  const auto message = item["message"];
  const std::string mid = text_of(message["mid"]);
  if (mid.empty()) {
    event.what = domain::Unusable{"a message without mid"};
    return;
  }
  const bool echo = message["is_echo"].boolean().value_or(false);
  const std::string sender = id_of(item["sender"]["id"]);
  const std::string recipient = id_of(item["recipient"]["id"]);
  const std::string& contact = echo ? recipient : sender;
  const auto at = event_time(item["timestamp"]);
  if (message["is_deleted"].boolean().value_or(false)) {
    event.what = domain::Retraction{place.channel, domain::Provider::meta, contact, mid, at};
    return;
  }
  if (contact.empty()) {
    event.what = domain::Unusable{"a message without its contact"};
    return;
  }
  auto& inbound = event.what.emplace<domain::Inbound>();
  inbound.channel = place.channel;
  inbound.provider = domain::Provider::meta;
  inbound.echo = echo;
  inbound.address = contact;
  inbound.account = echo ? sender : recipient;
  if (inbound.account.empty()) inbound.account = place.account;
  inbound.provider_message_id = mid;
  inbound.body = text_of(message["text"]);
  inbound.attachments = messenger_attachments(message["attachments"]);
  if (message["is_unsupported"].boolean().value_or(false))
    inbound.attachments.push_back({"unsupported", {}, {}, 0});
  inbound.at = at;
  if (echo) inbound.reference = text_of(message["metadata"]);
}

void decode_postback(WebhookEvent& event, const Place& place, Ref item) {
  const auto postback = item["postback"];
  auto& inbound = event.what.emplace<domain::Inbound>();
  inbound.channel = place.channel;
  inbound.provider = domain::Provider::meta;
  inbound.address = id_of(item["sender"]["id"]);
  inbound.account = id_of(item["recipient"]["id"]);
  inbound.provider_message_id = text_of(postback["mid"]);
  inbound.body = text_of(postback["title"]);
  if (inbound.body.empty()) inbound.body = text_of(postback["payload"]);
  inbound.at = event_time(item["timestamp"]);
  if (inbound.address.empty()) event.what = domain::Unusable{"a postback without its sender"};
}

/// A delivery or a read of one message, or of all up to a watermark.
void decode_seen(WebhookEvent& event, const Place& place, Ref item, const std::string& mid,
                 MessageStatus status, std::string_view name) {
  const auto watermark = event_time(item[name]["watermark"]);
  if (mid.empty() && !known(watermark)) {
    event.what = domain::Unusable{std::string(name) + " without mid and watermark"};
    return;
  }
  auto& receipt = event.what.emplace<domain::Receipt>();
  receipt.channel = place.channel;
  receipt.provider = domain::Provider::meta;
  receipt.provider_message_id = mid;
  receipt.address = id_of(item["sender"]["id"]);
  if (mid.empty()) receipt.watermark = watermark;
  receipt.status = status;
  receipt.at = event_time(item["timestamp"]);
  if (!known(receipt.at)) receipt.at = watermark;
  receipt.event = name;
  if (!mid.empty()) receipt.key = receipt_key(mid, name);
}

/// The item's own word for what it is, if it is of no effect here.
std::string kind_of(Ref item) {
  for (const auto& [name, value] : item.members())
    if (name != "sender" && name != "recipient" && name != "timestamp") return word(name);
  return "empty";
}

/// A member that goes into many events, with its comma: "" if it is absent or too long for that.
std::string shared(std::string_view name, std::string_view raw) {
  std::string out;
  if (!raw.empty() && raw.size() <= shared_bytes_max)
    out.append("\"").append(name).append("\":").append(raw).append(",");
  return out;
}

/// A delivery that names several messages becomes one event for each.
void decode_delivery(std::vector<WebhookEvent>& out, const Place& place, Ref item,
                     std::string_view raw, std::string_view list) {
  const auto mids = item["delivery"]["mids"];
  if (mids.size() < 2) {
    auto& event = out.emplace_back(make_event(wrap(place, listed(list, raw))));
    decode_seen(event, place, item, text_of(mids.at(0)), MessageStatus::delivered, "delivery");
    return;
  }
  const auto raw_delivery = json::raw_member(raw, "delivery");
  const auto raw_mids = raws_of(raw_delivery, "mids");
  std::string head = "{" + shared("timestamp", json::raw_member(raw, "timestamp"));
  for (const char* name : {"sender", "recipient"}) {
    auto id = shared("id", json::raw_member(json::raw_member(raw, name), "id"));
    if (id.empty()) continue;
    id.back() = '}';
    head += "\"" + std::string(name) + "\":{" + id + ",";
  }
  head += "\"delivery\":{" + shared("watermark", json::raw_member(raw_delivery, "watermark"));
  for (std::size_t i = 0; i < mids.size() && i < raw_mids.size() && has_room(out); ++i) {
    const std::string one = head + listed("mids", raw_mids[i]) + "}}";
    auto& event = out.emplace_back(make_event(wrap(place, listed(list, one))));
    // What is kept is what is told: the item without what was too long to be shared.
    const auto own = parse_signed_json(one);
    decode_seen(event, place, own ? own->root() : Ref{}, text_of(mids.at(i)),
                MessageStatus::delivered, "delivery");
  }
}

/// One item of `messaging` or `standby`.
void decode_messaging(std::vector<WebhookEvent>& out, const Place& place, Ref item,
                      std::string_view raw, std::string_view list) {
  if (!place.foreign && item["delivery"].is_object()) {
    decode_delivery(out, place, item, raw, list);
    return;
  }
  auto& event = out.emplace_back(make_event(wrap(place, listed(list, raw))));
  if (!item.is_object()) {
    event.what = domain::Unusable{"an item that is no object"};
  } else if (place.foreign) {
    event.what = domain::Unusable{"foreign account " + word(place.account)};
  } else if (item["message"].is_object()) {
    decode_message(event, place, item);
  } else if (item["postback"].is_object()) {
    decode_postback(event, place, item);
  } else if (item["read"].is_object()) {
    decode_seen(event, place, item, text_of(item["read"]["mid"]), MessageStatus::read, "read");
  } else {
    event.what = domain::Kept{kind_of(item)};
  }
}

/// The contact that a WhatsApp message or echo names, and its place in the list.
struct Person {
  std::string id;
  std::string name;
  std::optional<std::size_t> index;
};

/// A person who hides the phone number has no wa_id, only a business-scoped user id. A contact that
/// is too long to be kept with each of its messages is nobody's.
Person person_of(Ref value, std::span<const std::string_view> raw_contacts, Ref message,
                 const char* id_field, const char* user_field) {
  Person person;
  const std::string wa_id = id_of(message[id_field]);
  const std::string user_id = id_of(message[user_field]);
  person.id = wa_id.empty() ? user_id : wa_id;
  const auto contacts = value["contacts"];
  for (std::size_t i = 0; i < std::min(raw_contacts.size(), contacts_max); ++i) {
    if (raw_contacts[i].size() > contact_bytes_max) continue;
    const auto contact = contacts.at(i);
    const std::string contact_wa_id = id_of(contact["wa_id"]);
    const std::string contact_user_id = id_of(contact["user_id"]);
    const bool same = (!wa_id.empty() && (wa_id == contact_wa_id || wa_id == contact_user_id)) ||
                      (!user_id.empty() && user_id == contact_user_id) ||
                      (person.id.empty() && contacts.size() == 1);
    if (!same) continue;
    if (person.id.empty()) person.id = contact_wa_id.empty() ? contact_user_id : contact_wa_id;
    person.name = text_of(contact["profile"]["name"]);
    if (person.name.empty()) person.name = text_of(contact["profile"]["username"]);
    person.name = text::cut(person.name, shared_bytes_max);
    person.index = i;
    break;
  }
  return person;
}

/// The content of a WhatsApp message by its type. False: a type that is no message to us.
bool decode_content(domain::Inbound& inbound, Ref message, std::string_view type) {
  const auto content = message[type];
  if (type == "text") {
    inbound.body = text_of(content["body"]);
  } else if (type == "image" || type == "audio" || type == "video" || type == "document" ||
             type == "sticker") {
    inbound.body = text_of(content["caption"]);
    // Only an id comes along; the link behind it lives for minutes and wants our token.
    inbound.attachments.push_back(
        {type == "document" ? "file" : std::string(type), {}, text_of(content["filename"]), 0});
  } else if (type == "button") {
    inbound.body = text_of(content["text"]);
    if (inbound.body.empty()) inbound.body = text_of(content["payload"]);
  } else if (type == "interactive") {
    for (const char* reply : {"button_reply", "list_reply"})
      if (content[reply].is_object()) inbound.body = text_of(content[reply]["title"]);
    if (const auto flow = content["nfm_reply"]; flow.is_object()) {
      inbound.body = text_of(flow["body"]);
      if (const auto answers = text_of(flow["response_json"]); !answers.empty())
        inbound.body += (inbound.body.empty() ? "" : "\n") + answers;
    }
  } else if (type == "location") {
    std::string name = coordinates(content["latitude"], content["longitude"]);
    if (const auto label = text_of(content["name"]); !label.empty()) name += " " + label;
    inbound.attachments.push_back({"location", text_of(content["url"]), std::move(name), 0});
    inbound.body = text_of(content["address"]);
  } else if (type == "contacts") {
    for (std::size_t i = 0; i < content.size(); ++i)
      inbound.attachments.push_back(
          {"contact", {}, text_of(content.at(i)["name"]["formatted_name"]), 0});
  } else if (type == "order") {
    inbound.body = text_of(content["text"]);
    inbound.attachments.push_back({"order", {}, text_of(content["catalog_id"]), 0});
  } else if (type == "unsupported") {
    inbound.attachments.push_back({"unsupported", {}, {}, 0});
  } else {
    return false;
  }
  return true;
}

void decode_whatsapp_message(WebhookEvent& event, const Place& place, Ref message,
                             const Person& person, bool echo) {
  const auto type = message["type"].string_or("");
  domain::Inbound inbound;
  if (!message.is_object() || type.empty()) {
    event.what = domain::Unusable{"a message without a type"};
    return;
  }
  if (!decode_content(inbound, message, type)) {
    const bool plain = type == "reaction" || type == "system";
    event.what = domain::Kept{(plain ? "" : "type:") + word(type)};
    return;
  }
  inbound.provider_message_id = text_of(message["id"]);
  if (inbound.provider_message_id.empty() || person.id.empty()) {
    event.what = domain::Unusable{"a message without id or contact"};
    return;
  }
  inbound.channel = Channel::whatsapp;
  inbound.provider = domain::Provider::meta;
  inbound.echo = echo;
  inbound.address = person.id;
  inbound.account = place.account;
  inbound.profile_name = person.name;
  inbound.at = event_time(message["timestamp"]);
  event.what = std::move(inbound);
}

void decode_whatsapp_status(WebhookEvent& event, Ref in) {
  constexpr std::array<std::pair<std::string_view, MessageStatus>, 5> statuses{{
      {"sent", MessageStatus::sent},
      {"delivered", MessageStatus::delivered},
      {"read", MessageStatus::read},
      {"played", MessageStatus::read},
      {"failed", MessageStatus::failed},
  }};
  const std::string id = text_of(in["id"]);
  const auto name = in["status"].string_or("");
  if (id.empty() || name.empty()) {
    event.what = domain::Unusable{"a status without id or status"};
    return;
  }
  const auto found = std::find_if(statuses.begin(), statuses.end(),
                                  [&](const auto& known) { return known.first == name; });
  const std::string key = receipt_key(id, word(name));
  if (found == statuses.end()) {
    event.what = domain::Kept{"status:" + word(name)};
    event.dedupe_key = redelivery_key(Letter::meta, key);
    return;
  }
  auto& receipt = event.what.emplace<domain::Receipt>();
  receipt.channel = Channel::whatsapp;
  receipt.provider = domain::Provider::meta;
  receipt.provider_message_id = id;
  receipt.address = id_of(in["recipient_id"]);
  if (receipt.address.empty()) receipt.address = id_of(in["recipient_user_id"]);
  receipt.status = found->second;
  receipt.at = event_time(in["timestamp"]);
  receipt.event = name;
  if (const auto error = in["errors"].at(0); error.is_object()) {
    receipt.error_code = scalar(error["code"]);
    for (const auto detail : {error["error_data"]["details"], error["title"], error["message"]})
      if (receipt.error_detail.empty()) receipt.error_detail = text_of(detail);
  }
  receipt.reference = text_of(in["biz_opaque_callback_data"]);
  receipt.key = key;
}

/// A change of WhatsApp's field "messages" or "smb_message_echoes", as raw text and as value.
struct Change {
  std::string_view raw;    ///< of the value
  std::string_view field;  ///< as JSON text
  std::string_view number;  ///< the phone number's id as JSON text, may be empty
  Ref value;
};

/// A change that holds one of its messages or statuses, and the one contact it needs.
std::string wrap_change(const Place& place, const Change& change, std::string_view list,
                        std::string_view raw, std::string_view raw_contact) {
  std::string value = "\"value\":{\"messaging_product\":\"whatsapp\",";
  if (!change.number.empty()) {
    value += "\"metadata\":{\"phone_number_id\":";
    value += change.number;
    value += "},";
  }
  if (!raw_contact.empty()) value += listed("contacts", raw_contact) + ",";
  value += listed(list, raw) + "}";
  std::string item = "{\"field\":";
  item += change.field;
  item += "," + value + "}";
  return wrap(place, listed("changes", item));
}

void decode_whatsapp(std::vector<WebhookEvent>& out, const Place& place, const Change& change) {
  const auto raw_contacts = raws_of(change.raw, "contacts");
  for (const char* list : {"messages", "message_echoes"}) {
    const bool echo = list == std::string_view("message_echoes");
    const auto messages = change.value[list];
    const auto raws = raws_of(change.raw, list);
    for (std::size_t i = 0; i < messages.size() && i < raws.size() && has_room(out); ++i) {
      const auto message = messages.at(i);
      const Person person =
          echo ? person_of(change.value, raw_contacts, message, "to", "to_user_id")
               : person_of(change.value, raw_contacts, message, "from", "from_user_id");
      const auto contact = person.index && *person.index < raw_contacts.size()
                               ? raw_contacts[*person.index]
                               : std::string_view{};
      auto& event =
          out.emplace_back(make_event(wrap_change(place, change, list, raws[i], contact)));
      if (place.foreign) {
        event.what = domain::Unusable{"foreign account " + word(place.account)};
      } else {
        decode_whatsapp_message(event, place, message, person, echo);
      }
    }
  }
  const auto statuses = change.value["statuses"];
  const auto raws = raws_of(change.raw, "statuses");
  for (std::size_t i = 0; i < statuses.size() && i < raws.size() && has_room(out); ++i) {
    auto& event = out.emplace_back(make_event(wrap_change(place, change, "statuses", raws[i], {})));
    if (place.foreign) {
      event.what = domain::Unusable{"foreign account " + word(place.account)};
    } else {
      decode_whatsapp_status(event, statuses.at(i));
    }
  }
}

class Meta : public ChannelCodec {
 public:
  explicit Meta(const Fields& credentials)
      : verify_token_(field(credentials, "verify_token")),
        page_id_(field(credentials, "page_id")),
        instagram_account_id_(field(credentials, "instagram_account_id")),
        phone_number_id_(field(credentials, "phone_number_id")) {
    for (const char* name : {"app_secret", "app_secret_previous"})
      if (const auto secret = field(credentials, name); !secret.empty())
        keys_.emplace_back(crypto::HmacKey::Hash::sha256, secret);
  }

  Result<std::vector<WebhookEvent>> receive(const WebhookRequest& request,
                                            TimePoint) const override {
    if (!hub_signature_matches(keys_, request.header("X-Hub-Signature-256"), request.body))
      return fail(Errc::bad_signature, "X-Hub-Signature-256 is missing or wrong");
    const MediaType media = parse_media_type(request.content_type);
    if (media.type != "application/json" || !says_utf8(media))
      return fail(Errc::unsupported_media, "send JSON");
    const auto document = parse_signed_json(request.body);
    if (!document) return unusable(Letter::meta, document.error().detail, request.body);
    auto events = decode(document->root(), request.body);
    if (!has_room(events)) return unusable(Letter::meta, "too many events", request.body);
    if (events.size() == 1) events.front().raw = request.body;
    for (auto& event : events) seal_key(Letter::meta, event);
    return events;
  }

  Result<WebhookReply> handshake(const WebhookRequest& request) const override {
    constexpr std::size_t challenge_bytes_max = 256;
    const auto query = text::parse_form(request.query);
    if (!query) return fail(Errc::forbidden, "the handshake is not readable");
    std::string_view mode, token, challenge;
    for (const auto& [name, value] : *query) {
      if (name == "hub.mode") mode = value;
      if (name == "hub.verify_token") token = value;
      if (name == "hub.challenge") challenge = value;
    }
    if (mode != "subscribe" || !crypto::equal(token, verify_token_) || challenge.empty() ||
        challenge.size() > challenge_bytes_max)
      return fail(Errc::forbidden, "another mode or verify token");
    // As text, never as HTML: it is what the caller sent.
    return WebhookReply{"text/plain", std::string(challenge)};
  }

  WebhookReply accepted() const override { return {"text/plain", "EVENT_RECEIVED"}; }

 private:
  std::vector<WebhookEvent> decode(Ref root, std::string_view body) const {
    const auto object = root["object"].string_or("");
    const auto entries = root["entry"];
    if (object.empty() || !entries.is_array())
      return unusable(Letter::meta, "no object or no entry", body);
    Place place{Channel::none, json::raw_member(body, "object"), {}, {}, false};
    if (object == "page") {
      place.channel = Channel::messenger;
    } else if (object == "instagram") {
      place.channel = Channel::instagram;
    } else if (object == "whatsapp_business_account") {
      place.channel = Channel::whatsapp;
    } else {
      return kept(Letter::meta, "object:" + word(object), body);
    }
    std::vector<WebhookEvent> out;
    const auto raws = raws_of(body, "entry");
    for (std::size_t i = 0; i < entries.size() && i < raws.size() && has_room(out); ++i)
      decode_entry(out, place, entries.at(i), raws[i]);
    return out;
  }

  void decode_entry(std::vector<WebhookEvent>& out, Place place, Ref entry,
                    std::string_view raw) const {
    place.entry_id = json::raw_member(raw, "id");
    if (place.entry_id.size() > shared_bytes_max) place.entry_id = {};
    if (!place.entry_id.empty()) place.account = id_of(entry["id"]);
    const auto& ours = place.channel == Channel::messenger ? page_id_ : instagram_account_id_;
    place.foreign = place.channel != Channel::whatsapp && !ours.empty() && ours != place.account;
    const std::size_t before = out.size();
    for (const char* list : {"messaging", "standby"}) {
      const auto items = entry[list];
      const auto item_raws = raws_of(raw, list);
      for (std::size_t i = 0; i < items.size() && i < item_raws.size() && has_room(out); ++i)
        decode_messaging(out, place, items.at(i), item_raws[i], list);
    }
    const auto changes = entry["changes"];
    const auto change_raws = raws_of(raw, "changes");
    for (std::size_t i = 0; i < changes.size() && i < change_raws.size() && has_room(out); ++i)
      decode_change(out, place, changes.at(i), change_raws[i]);
    if (out.size() != before) return;
    // Neither list holds anything: kept whole if it may be something new, else of no use.
    auto& event = out.emplace_back(
        make_event("{\"object\":" + std::string(place.object) + "," + listed("entry", raw) + "}"));
    if (entry.is_object()) {
      event.what = domain::Kept{"entry"};
    } else {
      event.what = domain::Unusable{"an entry that is no object"};
    }
  }

  void decode_change(std::vector<WebhookEvent>& out, Place place, Ref change,
                     std::string_view raw) const {
    const auto name = change["field"].string_or("");
    const auto value = change["value"];
    const bool messages = name == "messages" || name == "smb_message_echoes";
    if (messages && value.is_object() && place.channel == Channel::whatsapp) {
      const auto raw_value = json::raw_member(raw, "value");
      auto number = json::raw_member(json::raw_member(raw_value, "metadata"), "phone_number_id");
      if (number.size() > shared_bytes_max) number = {};
      place.account = number.empty() ? "" : id_of(value["metadata"]["phone_number_id"]);
      place.foreign = !phone_number_id_.empty() && place.account != phone_number_id_;
      const std::size_t before = out.size();
      decode_whatsapp(out, place, {raw_value, json::raw_member(raw, "field"), number, value});
      if (out.size() != before) return;
    } else if (messages && value["message"].is_object()) {
      // The dashboard's test button sends an Instagram message in this form.
      decode_messaging(out, place, value, json::raw_member(raw, "value"), "messaging");
      return;
    }
    auto& event = out.emplace_back(make_event(wrap(place, listed("changes", raw))));
    if (place.foreign) {
      event.what = domain::Unusable{"foreign account " + word(place.account)};
    } else if (name.empty()) {
      event.what = domain::Unusable{"a change without a field"};
    } else {
      event.what = domain::Kept{"field:" + word(name)};
    }
  }

  std::string verify_token_;
  std::string page_id_;
  std::string instagram_account_id_;
  std::string phone_number_id_;
  std::vector<crypto::HmacKey> keys_;
};

}  // namespace

Result<std::unique_ptr<ChannelCodec>> make_meta(const Fields& credentials) {
  if (auto checked = check_credentials(
          credentials, {"app_secret", "verify_token", "page_access_token"},
          {"page_id", "instagram_account_id", "phone_number_id", "app_secret_previous"});
      !checked)
    return fail(std::move(checked.error()));
  return std::make_unique<Meta>(credentials);
}

}  // namespace sara::providers
