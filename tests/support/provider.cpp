// Signed webhook requests, as channels.md says the providers make them.
#include "tests/support/provider.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <stdexcept>

#include "base/crypto.hpp"
#include "base/random.hpp"
#include "base/text.hpp"

namespace sara::test {
namespace {

std::string seconds(std::int64_t ms) {
  return std::to_string(ms / 1000);
}

/// {"object":...,"entry":[{"id":...,"time":...,<key>:[<element>]}]}
std::string entry(std::string_view object, std::string_view id, std::string_view key,
                  std::string_view element) {
  return "{\"object\":" + quoted(object) + ",\"entry\":[{\"id\":" + quoted(id) +
         ",\"time\":" + std::to_string(now_ms()) + "," + quoted(key) + ":[" + std::string(element) +
         "]}]}";
}

std::string text_event(std::string_view sender, std::string_view recipient, std::string_view mid,
                       std::string_view text, std::int64_t at_ms) {
  return "{\"sender\":{\"id\":" + quoted(sender) + "},\"recipient\":{\"id\":" + quoted(recipient) +
         "},\"timestamp\":" + std::to_string(at_ms) + ",\"message\":{\"mid\":" + quoted(mid) +
         ",\"text\":" + quoted(text) + "}}";
}

}  // namespace

Integration make_integration(HttpClient& api, std::string_view json) {
  auto answer = api.post("/api/v1/integrations", std::string(json));
  if (answer.status != 201)
    throw std::runtime_error("no integration: " + std::to_string(answer.status) + answer.body);
  auto document = answer.json();
  Integration made;
  made.id = document.root()["id"].string_or("");
  made.url = document.root()["webhook_url"].string_or("");
  made.path = made.url.substr(made.url.find("/webhooks/"));
  return made;
}

std::string quoted(std::string_view text) {
  std::string out;
  json::Writer(out).string(text);
  return out;
}

std::string form(const Fields& fields) {
  std::string body;
  for (auto& [name, value] : fields)
    body +=
        (body.empty() ? "" : "&") + text::percent_encode(name) + "=" + text::percent_encode(value);
  return body;
}

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string unique() {
  return random_base62(16);
}

Ask with_header(Ask ask, std::string_view name, const std::string& value) {
  std::erase_if(ask.headers,
                [&](auto& header) { return text::equal_ignoring_case(header.first, name); });
  if (!value.empty()) ask.headers.emplace_back(name, value);
  return ask;
}

Twilio::Twilio(HttpClient& api) {
  integration = make_integration(
      api, R"({"provider":"twilio","name":"Twilio","credentials":{"account_sid":)" +
               quoted(account_sid) + ",\"auth_token\":" + quoted(auth_token) +
               "},\"settings\":{\"from\":" + quoted(number) + "}}");
}

std::string Twilio::signature(std::string url, Fields fields) const {
  std::sort(fields.begin(), fields.end());
  fields.erase(std::unique(fields.begin(), fields.end()), fields.end());
  for (auto& [name, value] : fields) url += name + value;
  return crypto::to_base64(crypto::HmacKey(crypto::HmacKey::Hash::sha1, auth_token).sign(url));
}

Ask Twilio::signed_form(const Fields& fields) const {
  return {"POST",
          integration.path,
          form(fields),
          {{"Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"},
           {"X-Twilio-Signature", signature(integration.url, fields)}}};
}

Ask Twilio::signed_json(const std::string& body) const {
  auto hash = crypto::sha256(body);
  std::string query =
      "?bodySHA256=" + crypto::to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
  return {"POST",
          integration.path + query,
          body,
          {{"Content-Type", "application/json"},
           {"X-Twilio-Signature", signature(integration.url + query, {})}}};
}

Ask Twilio::message(const std::string& sid, const std::string& from, const std::string& body,
                    const Fields& more) const {
  Fields fields{{"MessageSid", sid},
                {"SmsSid", sid},
                {"SmsMessageSid", sid},
                {"AccountSid", account_sid},
                {"From", from},
                {"To", number},
                {"Body", body},
                {"NumMedia", "0"},
                {"NumSegments", "1"},
                {"SmsStatus", "received"},
                {"ApiVersion", "2010-04-01"},
                {"FromCity", ""},
                {"FromCountry", "US"}};
  for (auto& [name, value] : more) {
    std::erase_if(fields, [&](auto& field) { return field.first == name; });
    fields.emplace_back(name, value);
  }
  return signed_form(fields);
}

Ask Twilio::status(const std::string& sid, const std::string& status, const Fields& more) const {
  Fields fields{{"MessageSid", sid},
                {"SmsSid", sid},
                {"MessageStatus", status},
                {"SmsStatus", status},
                {"From", number},
                {"To", "+15550100777"},
                {"AccountSid", account_sid},
                {"ApiVersion", "2010-04-01"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return signed_form(fields);
}

Meta::Meta(HttpClient& api, std::string secret) : app_secret(std::move(secret)) {
  integration = make_integration(
      api, R"({"provider":"meta","name":"Meta","credentials":{"app_secret":)" + quoted(app_secret) +
               ",\"verify_token\":" + quoted(verify_token) +
               R"(,"page_access_token":"test_page_token","page_id":)" + quoted(page_id) +
               ",\"instagram_account_id\":" + quoted(instagram_id) +
               ",\"phone_number_id\":" + quoted(phone_number_id) + "}}");
}

std::string Meta::signature(std::string_view body) const {
  return "sha256=" +
         crypto::to_hex(crypto::HmacKey(crypto::HmacKey::Hash::sha256, app_secret).sign(body));
}

Ask Meta::signed_body(std::string body) const {
  auto sign = signature(body);
  return {"POST",
          integration.path,
          std::move(body),
          {{"Content-Type", "application/json"}, {"X-Hub-Signature-256", sign}}};
}

Ask Meta::page_event(const std::string& messaging_json) const {
  return signed_body(entry("page", page_id, "messaging", messaging_json));
}

Ask Meta::messenger(const std::string& sender, const std::string& mid,
                    const std::string& text) const {
  return page_event(text_event(sender, page_id, mid, text, now()));
}

Ask Meta::instagram(const std::string& sender, const std::string& mid,
                    const std::string& text) const {
  return signed_body(entry("instagram", instagram_id, "messaging",
                           text_event(sender, instagram_id, mid, text, now())));
}

namespace {

std::string whatsapp_change(const Meta& meta, const std::string& members) {
  return entry("whatsapp_business_account", "200000000000001", "changes",
               R"({"field":"messages","value":{"messaging_product":"whatsapp","metadata":)"
               R"({"display_phone_number":"15550100002","phone_number_id":)" +
                   quoted(meta.phone_number_id) + "}," + members + "}}");
}

}  // namespace

Ask Meta::whatsapp(const std::string& from, const std::string& wamid,
                   const std::string& text) const {
  return signed_body(whatsapp_change(
      *this, R"("contacts":[{"profile":{"name":"Ana"},"wa_id":)" + quoted(from) +
                 "}],\"messages\":[{\"from\":" + quoted(from) + ",\"id\":" + quoted(wamid) +
                 ",\"timestamp\":" + quoted(seconds(now())) + R"(,"type":"text","text":{"body":)" +
                 quoted(text) + "}}]"));
}

Ask Meta::whatsapp_status(const std::string& to, const std::string& wamid,
                          const std::string& status) const {
  return signed_body(whatsapp_change(*this, "\"statuses\":[{\"id\":" + quoted(wamid) +
                                                ",\"status\":" + quoted(status) +
                                                ",\"timestamp\":" + quoted(seconds(now())) +
                                                ",\"recipient_id\":" + quoted(to) + "}]"));
}

Integration make_sandbox(HttpClient& api, const std::string& settings) {
  return make_integration(
      api,
      R"({"provider":"sandbox","name":"Sandbox","credentials":{},"settings":)" + settings + "}");
}

struct SendGrid::Key {
  crypto::EcdsaPrivateKey key = crypto::EcdsaPrivateKey::generate();
};

SendGrid::SendGrid(HttpClient& api, std::string token)
    : inbound_token(std::move(token)), key_(std::make_unique<Key>()) {
  integration = make_integration(
      api, R"({"provider":"sendgrid","name":"SendGrid","credentials":{"api_key":"SG.test",)"
           R"("webhook_public_key":)" +
               quoted(key_->key.public_der_base64()) +
               (inbound_token.empty() ? "" : ",\"inbound_token\":" + quoted(inbound_token)) + "}}");
}
SendGrid::~SendGrid() = default;

std::string SendGrid::public_key() const { return key_->key.public_der_base64(); }

Ask SendGrid::events(const std::string& body, std::int64_t age_s) const {
  auto stamp = std::to_string(now_ms() / 1000 - age_s);
  std::array<std::string_view, 2> parts{stamp, body};
  return {"POST",
          integration.path,
          body,
          {{"Content-Type", "application/json"},
           {"X-Twilio-Email-Event-Webhook-Timestamp", stamp},
           {"X-Twilio-Email-Event-Webhook-Signature", crypto::to_base64(key_->key.sign(parts))}}};
}

Ask SendGrid::mail(const std::vector<Part>& parts) const {
  return {"POST",
          integration.path + (inbound_token.empty() ? "" : "?token=" + inbound_token),
          multipart(parts),
          {{"Content-Type", std::string(multipart_type)}}};
}

std::vector<Part> SendGrid::mail_parts(const std::string& from, const std::string& subject,
                                       const std::string& text, const std::string& message_id) {
  return {{"headers", "Message-ID: <" + message_id + ">\r\nFrom: " + from + "\r\n"},
          {"to", "shop@parse.example.com"},
          {"from", "Ana <" + from + ">"},
          {"envelope", R"({"to":["shop@parse.example.com"],"from":)" + quoted(from) + "}"},
          {"subject", subject},
          {"text", text},
          {"charsets", R"({"to":"UTF-8","from":"UTF-8","subject":"UTF-8","text":"UTF-8"})"},
          {"attachments", "0"},
          {"SPF", "pass"},
          {"dkim", "{@example.com : pass}"}};
}

std::string multipart(const std::vector<Part>& parts) {
  std::string body;
  for (auto& part : parts)
    body += "--xYzZY\r\nContent-Disposition: form-data; name=\"" + part.name + "\"\r\n\r\n" +
            part.value + "\r\n";
  return body + "--xYzZY--\r\n";
}

}  // namespace sara::test
