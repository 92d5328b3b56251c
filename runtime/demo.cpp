// The demo: its people and what they say, then how that becomes webhooks, then the account of it.
#include "runtime/demo.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "base/crypto.hpp"
#include "base/json.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "http/client.hpp"
#include "providers/signing.hpp"

namespace sara::runtime {
namespace {

using std::string;

/// Who carries a person's words.
enum class Via { twilio, meta, sendgrid };

struct Person {
  const char* name;
  const char* language;
  const char* channel;
  Via via;
  const char* address;
  std::array<const char*, 3> lines;  ///< nullptr: nothing more
  const char* reply;                 ///< ours, after the first line; nullptr: none yet
};

constexpr const char* english = "English";
constexpr const char* french = "French";
constexpr const char* spanish = "Spanish";
constexpr const char* creole = "Haitian Creole";

constexpr std::array<Person, 30> people{{
    {"Ana",
     english,
     "sms",
     Via::twilio,
     "+15550101001",
     {"Hi! Do you ship to Miami?", "Great. And how long does it take?", "Perfect, thank you!"},
     "Yes, every Tuesday and Friday."},
    {"Marcus",
     english,
     "sms",
     Via::twilio,
     "+15550101002",
     {"My order 2291 arrived but the mug is cracked", "I can send a photo if that helps", nullptr},
     nullptr},
    {"Grace",
     english,
     "whatsapp",
     Via::twilio,
     "+15550101003",
     {"Good morning, is the blue basket still available?", "I'd take two of them", nullptr},
     "It is! Shall I put one aside for you?"},
    {"Joel",
     english,
     "messenger",
     Via::meta,
     "4000100000001",
     {"how much is the big painting with the market women", "ok thats fair. do u take card",
      nullptr},
     nullptr},
    {"Tasha",
     english,
     "instagram",
     Via::meta,
     "5000100000001",
     {"I love these earrings!! 😍", "Do they come in gold?", nullptr},
     nullptr},
    {"Peter Lindholm",
     english,
     "email",
     Via::sendgrid,
     "peter@example.com",
     {"Could you send me the invoice for order 2250? I need it for our accounting.",
      "Thank you, that was quick.", nullptr},
     "Of course, it is attached to your account now."},
    {"Sofia",
     english,
     "sms",
     Via::twilio,
     "+15550101007",
     {"Is the shop open this Saturday?", "Until when?", "See you then 🙂"},
     "Yes, we open at nine."},
    {"Daniel",
     english,
     "whatsapp",
     Via::meta,
     "15550101008",
     {"Can I return a shirt without the receipt?", "It still has its label on", nullptr},
     "You can, within thirty days."},

    {"Claire",
     french,
     "sms",
     Via::twilio,
     "+33155501001",
     {"Bonjour, livrez-vous à Lyon ?", "Et les frais de port, c'est combien ?", nullptr},
     "Bonjour Claire ! Oui, en quatre jours."},
    {"Mathieu",
     french,
     "whatsapp",
     Via::meta,
     "33155501002",
     {"Bonsoir, j'ai reçu la mauvaise taille", "J'avais commandé du M, c'est un S",
      "Merci pour votre aide"},
     "Toutes nos excuses, nous vous envoyons le M demain."},
    {"Aïcha",
     french,
     "messenger",
     Via::meta,
     "4000100000002",
     {"Est-ce que le café moulu est encore en stock ?", "J'en prendrais trois paquets", nullptr},
     nullptr},
    {"Étienne",
     french,
     "instagram",
     Via::meta,
     "5000100000002",
     {"Magnifique, cette nappe brodée !", "Vous la faites aussi en rouge ?", nullptr},
     nullptr},
    {"Hélène Dubois",
     french,
     "email",
     Via::sendgrid,
     "helene@example.com",
     {"Je souhaite modifier l'adresse de livraison de ma commande n° 2304. Est-ce possible ?",
      "C'est parfait, merci beaucoup.", nullptr},
     "C'est fait, votre colis partira à la nouvelle adresse."},
    {"Karim",
     french,
     "sms",
     Via::twilio,
     "+33155501006",
     {"Toujours pas de nouvelles de mon colis…", "Ça fait déjà dix jours !!", nullptr},
     nullptr},
    {"Lucie",
     french,
     "whatsapp",
     Via::twilio,
     "+33155501007",
     {"Coucou, vous avez des paniers tressés ?", "Le grand modèle, avec des anses", nullptr},
     "Oui, il nous en reste cinq."},
    {"Noé",
     french,
     "messenger",
     Via::meta,
     "4000100000009",
     {"Bonjour, peut-on payer en deux fois ?", "Super, je passe commande", nullptr},
     "Bien sûr, sans frais."},

    {"Lucía",
     spanish,
     "sms",
     Via::twilio,
     "+34555010001",
     {"Hola, ¿tienen envíos a Santo Domingo?", "¿Y cuánto tarda?", "¡Muchas gracias!"},
     "¡Hola Lucía! Sí, enviamos cada semana."},
    {"Diego",
     spanish,
     "whatsapp",
     Via::meta,
     "34555010002",
     {"Buenas, ¿cuánto cuesta el bolso de cuero?", "¿Me hace un descuento si llevo dos?", nullptr},
     nullptr},
    {"Camila",
     spanish,
     "messenger",
     Via::meta,
     "4000100000003",
     {"Me encanta la artesanía que venden", "¿Hay más modelos de máscaras?", nullptr},
     nullptr},
    {"Valentina",
     spanish,
     "instagram",
     Via::meta,
     "5000100000003",
     {"¿Ese vestido lo tienen en talla S?", "Lo quiero para el sábado 💃", nullptr},
     nullptr},
    {"Jorge Pérez",
     spanish,
     "email",
     Via::sendgrid,
     "jorge@example.com",
     {"Quisiera saber si hacen ventas al por mayor para mi tienda en Quito.", nullptr, nullptr},
     "Sí, a partir de veinte piezas. Le enviamos la lista de precios."},
    {"Mateo",
     spanish,
     "whatsapp",
     Via::twilio,
     "+34555010006",
     {"El paquete llegó abierto y falta una vela", "Pedí seis y vinieron cinco", nullptr},
     nullptr},
    {"Isabel",
     spanish,
     "sms",
     Via::twilio,
     "+34555010007",
     {"¿Abren el domingo?", "Perfecto, paso por la mañana", nullptr},
     "Sí, de diez a dos."},

    {"Wideline",
     creole,
     "sms",
     Via::twilio,
     "+50955501001",
     {"Bonjou, èske nou gen wòb sa a an ble?", "Mwen ta renmen yon taj M", "Mèsi anpil!"},
     "Bonjou Wideline! Wi, nou genyen l."},
    {"Jean-Robert",
     creole,
     "whatsapp",
     Via::meta,
     "50955501002",
     {"Konbyen soulye sa yo koute?", "Èske nou ka livre yo Jakmèl?", nullptr},
     "Yo koute 2500 goud."},
    {"Mirlande",
     creole,
     "messenger",
     Via::meta,
     "4000100000004",
     {"Kòmand mwen an poko rive", "Nimewo a se 2317", nullptr},
     nullptr},
    {"Fabienne",
     creole,
     "instagram",
     Via::meta,
     "5000100000004",
     {"Ala bèl panyen yo bèl! 🧺", "Ki jan m ka peye?", nullptr},
     nullptr},
    {"Roselaure Pierre",
     creole,
     "email",
     Via::sendgrid,
     "roselaure@example.com",
     {"Mwen resevwa yon sak ki pa bon koulè a. Èske mwen ka chanje l?", "Mèsi, m ap tann nou.",
      nullptr},
     nullptr},
    {"Wilner",
     creole,
     "sms",
     Via::twilio,
     "+50955501006",
     {"Nou louvri dimanch?", "A kilè nou fèmen?", nullptr},
     nullptr},
    {"Manoucheka",
     creole,
     "instagram",
     Via::meta,
     "5000100000005",
     {"Bonswa, mwen vle kat liv kafe", "Voye yo Okap tanpri", nullptr},
     nullptr},
}};

/// People in the shop's own chat, to whom we write first: the sandbox carries it for real.
struct Guest {
  const char* name;
  const char* words;
};
constexpr std::array<Guest, 4> guests{{
    {"Kenny", "Hi Kenny, the candles you asked about are back in stock."},
    {"Nadia", "Bonjour Nadia, votre commande 2308 est prête, vous pouvez passer la prendre."},
    {"Paola", "Hola Paola, su pedido ya está en camino."},
    {"Rose-Merline", "Bonjou Rose-Merline, kòmand ou a pare."},
}};

constexpr const char* account_sid = "AC00000000000000000000000000000000";
constexpr std::int64_t hour_ms = 3'600'000;
constexpr const char* number = "+15550100001";
constexpr const char* page_id = "100000000000001";
constexpr const char* instagram_id = "17840000000000001";
constexpr const char* phone_number_id = "300000000000001";

using Headers = std::vector<std::pair<string, string>>;
using Form = std::vector<std::pair<string, string>>;

string as_json(std::string_view text) {
  string out;
  json::Writer(out).string(text);
  return out;
}

std::int64_t now_ms() {
  return to_millis(system_clock().now());
}

struct Webhook {
  string target;
  Headers headers;
  string body;
};

/// What came of it, for the account at the end.
struct Refusal {
  string what;
  int status = 0;
  string type;
};
struct Account {
  int delivered = 0;    ///< webhooks answered 2xx
  int redelivered = 0;  ///< of these, repeats
  std::vector<Refusal> refused;
  std::vector<string> unexpected;
  std::map<string, int> by_channel;  ///< messages
  std::map<string, int> by_language;
  std::map<string, int> replies;  ///< by their status at the end
  std::size_t conversations = 0;
  std::size_t stored = 0;  ///< inbound messages, as the API counts them
  std::size_t failures = 0;
};

class Play {
 public:
  explicit Play(const DemoOptions& options) : options_(options), run_(random_base62(8)) {}

  Result<void> prepare();
  void perform();
  Result<void> look_back();
  const Account& account() const { return account_; }
  int messages_written() const { return messages_; }

 private:
  using Step = std::function<void()>;

  Result<json::Document> call(const char* method, const string& target, const string& body = {});
  Result<string> connect(const char* provider, const string& json);
  std::vector<Step> script();
  void extras(std::vector<Step>& steps);

  string id(std::string_view kind) { return string(kind) + run_ + std::to_string(++ids_); }
  Result<http::ClientResponse> post(const Webhook& webhook);
  void deliver(const Webhook& webhook, const string& what, bool again = false);
  void expect_refusal(const Webhook& webhook, const string& what, int status);
  void speak(const Person& person, const char* line);
  void reply(const Person& person, const string& refusal = {});

  Webhook words(const Person& person, const string& text);
  Webhook twilio(const Form& form) const;
  Webhook meta(const string& body) const;
  Webhook mail(const Person& person, const string& text);
  Webhook events(const string& body) const;
  Webhook page_event(const char* object, const char* account, const string& event) const;
  Webhook whatsapp(const string& members) const;
  string direct(const Person& person, const string& text);
  Webhook cloud(const char* name, const string& from, const string& text, std::int64_t at_ms);
  void greet(const Guest& guest);

  DemoOptions options_;
  http::Client client_;
  string run_;  ///< makes this run's message ids its own
  int ids_ = 0;
  int messages_ = 0;
  std::map<string, string> urls_;  ///< provider -> webhook_url
  string auth_token_ = "demo_" + random_base62(27);
  string app_secret_ = "demo_" + random_base62(27);
  crypto::EcdsaPrivateKey mail_key_ = crypto::EcdsaPrivateKey::generate();
  Account account_;
  Refusal last_refusal_;
};

string target_of(const string& url) {
  return url.substr(url.find("/webhooks/"));
}

/// --- the stage -------------------------------------------------------------------------------

Result<json::Document> Play::call(const char* method, const string& target, const string& body) {
  std::vector<string> headers{"Authorization: Bearer " + options_.api_key};
  if (!body.empty()) headers.emplace_back("Content-Type: application/json");
  auto answer = client_.send(method, options_.url + target, headers, body);
  if (!answer) return fail(answer.error());
  auto document = json::parse(answer->body);
  if (answer->status / 100 == 2 && document) return document;
  string type = document ? string(document->root()["type"].string_or("")) : string();
  string why = document ? string(document->root()["detail"].string_or("")) : answer->body;
  last_refusal_ = {target, answer->status, type};
  return fail(Errc::conflict, target + ": " + std::to_string(answer->status) + " " + why);
}

Result<string> Play::connect(const char* provider, const string& rest) {
  auto made =
      call("POST", "/api/v1/integrations", "{\"provider\":" + as_json(provider) + "," + rest + "}");
  if (!made) return fail(made.error());
  urls_[provider] = made->root()["webhook_url"].string_or("");
  return urls_[provider];
}

Result<void> Play::prepare() {
  auto secret = [](const string& value) { return as_json(value); };
  const std::pair<const char*, string> accounts[] = {
      {"twilio", R"("name":"Twilio","credentials":{"account_sid":)" + as_json(account_sid) +
                     ",\"auth_token\":" + secret(auth_token_) +
                     "},\"settings\":{\"from\":" + as_json(number) + "}"},
      {"sendgrid", R"("name":"SendGrid","credentials":{"api_key":"SG.demo","webhook_public_key":)" +
                       as_json(mail_key_.public_der_base64()) + "}"},
      {"meta", R"("name":"Meta","credentials":{"app_secret":)" + secret(app_secret_) +
                   R"(,"verify_token":"demo_verify","page_access_token":"demo_page","page_id":)" +
                   as_json(page_id) + ",\"instagram_account_id\":" + as_json(instagram_id) +
                   ",\"phone_number_id\":" + as_json(phone_number_id) + "}"},
      {"sandbox", R"("name":"Sandbox","credentials":{},"settings":{"latency_ms":300})"},
  };
  for (auto& [provider, rest] : accounts)
    if (auto made = connect(provider, rest); !made) return fail(made.error());
  return {};
}

/// --- signed requests -------------------------------------------------------------------------

Webhook Play::twilio(const Form& form) const {
  string body;
  for (auto& [name, value] : form)
    body +=
        (body.empty() ? "" : "&") + text::percent_encode(name) + "=" + text::percent_encode(value);
  auto& url = urls_.at("twilio");
  return {target_of(url),
          {{"Content-Type", "application/x-www-form-urlencoded"},
           {"X-Twilio-Signature", providers::sign_twilio(auth_token_, url, form)}},
          body};
}

Webhook Play::meta(const string& body) const {
  return {target_of(urls_.at("meta")),
          {{"Content-Type", "application/json"},
           {"X-Hub-Signature-256", providers::sign_meta(app_secret_, body)}},
          body};
}

Webhook Play::events(const string& body) const {
  auto stamp = std::to_string(now_ms() / 1000);
  const std::array<std::string_view, 2> parts{stamp, body};
  return {target_of(urls_.at("sendgrid")),
          {{"Content-Type", "application/json"},
           {"X-Twilio-Email-Event-Webhook-Timestamp", stamp},
           {"X-Twilio-Email-Event-Webhook-Signature", crypto::to_base64(mail_key_.sign(parts))}},
          body};
}

Webhook Play::page_event(const char* object, const char* account, const string& event) const {
  return meta("{\"object\":" + as_json(object) + ",\"entry\":[{\"id\":" + as_json(account) +
              ",\"time\":" + std::to_string(now_ms()) + ",\"messaging\":[" + event + "]}]}");
}

Webhook Play::whatsapp(const string& members) const {
  return meta(R"({"object":"whatsapp_business_account","entry":[{"id":"200000000000001",)"
              R"("changes":[{"field":"messages","value":{"messaging_product":"whatsapp",)"
              R"("metadata":{"display_phone_number":"15550100002","phone_number_id":)" +
              as_json(phone_number_id) + "}," + members + "}}]}]}");
}

/// One element of entry[].messaging[]: a person's words to our page or account.
string Play::direct(const Person& person, const string& text) {
  bool page = string(person.channel) == "messenger";
  return "{\"sender\":{\"id\":" + as_json(person.address) +
         "},\"recipient\":{\"id\":" + as_json(page ? page_id : instagram_id) +
         "},\"timestamp\":" + std::to_string(now_ms()) +
         ",\"message\":{\"mid\":" + as_json(id(page ? "m_" : "ig_")) +
         ",\"text\":" + as_json(text) + "}}";
}

Webhook Play::mail(const Person& person, const string& text) {
  const string edge = "madansara-demo-part";
  string body;
  auto part = [&](const char* name, const string& value) {
    body += "--" + edge + "\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" +
            value + "\r\n";
  };
  string from = person.address;
  part("headers", "Message-ID: <" + id("mail") + "@example.com>\r\nFrom: " + from + "\r\n");
  part("to", "shop@parse.example.com");
  part("from", string(person.name) + " <" + from + ">");
  part("envelope", R"({"to":["shop@parse.example.com"],"from":)" + as_json(from) + "}");
  part("subject", string(person.lines[0]).substr(0, string(person.lines[0]).find_first_of(".?")));
  part("text", text);
  part("charsets", R"({"subject":"UTF-8","from":"UTF-8","text":"UTF-8"})");
  part("attachments", "0");
  body += "--" + edge + "--\r\n";
  return {target_of(urls_.at("sendgrid")),
          {{"Content-Type", "multipart/form-data; boundary=" + edge}},
          body};
}

Webhook Play::words(const Person& person, const string& text) {
  const string channel = person.channel;
  if (person.via == Via::sendgrid) return mail(person, text);
  if (person.via == Via::twilio) {
    string prefix = channel == "whatsapp" ? "whatsapp:" : "";
    string sid = id("SM");
    Form form{{"MessageSid", sid},
              {"SmsSid", sid},
              {"SmsMessageSid", sid},
              {"AccountSid", account_sid},
              {"From", prefix + person.address},
              {"To", prefix + number},
              {"Body", text},
              {"NumMedia", "0"},
              {"SmsStatus", "received"},
              {"ApiVersion", "2010-04-01"}};
    if (!prefix.empty()) form.emplace_back("ProfileName", person.name);
    return twilio(form);
  }
  if (channel == "messenger") return page_event("page", page_id, direct(person, text));
  if (channel == "instagram") return page_event("instagram", instagram_id, direct(person, text));
  return cloud(person.name, person.address, text, now_ms());
}

/// A WhatsApp Cloud message of that time.
Webhook Play::cloud(const char* name, const string& from, const string& text, std::int64_t at_ms) {
  return whatsapp(R"("contacts":[{"profile":{"name":)" + as_json(name) +
                  "},\"wa_id\":" + as_json(from) + "}],\"messages\":[{\"from\":" + as_json(from) +
                  ",\"id\":" + as_json(id("wamid.")) +
                  ",\"timestamp\":" + as_json(std::to_string(at_ms / 1000)) +
                  R"(,"type":"text","text":{"body":)" + as_json(text) + "}}]");
}

/// --- the play --------------------------------------------------------------------------------

Result<http::ClientResponse> Play::post(const Webhook& webhook) {
  std::vector<string> headers;
  for (auto& [name, value] : webhook.headers) headers.push_back(name + ": " + value);
  return client_.send("POST", options_.url + webhook.target, headers, webhook.body);
}

void Play::deliver(const Webhook& webhook, const string& what, bool again) {
  auto answer = post(webhook);
  if (answer && answer->status / 100 == 2) {
    ++account_.delivered;
    account_.redelivered += again;
    return;
  }
  account_.unexpected.push_back(what + ": " +
                                (answer ? std::to_string(answer->status) : answer.error().detail));
}

void Play::expect_refusal(const Webhook& webhook, const string& what, int status) {
  auto answer = post(webhook);
  auto document = json::parse(answer ? answer->body : "");
  if (answer && answer->status == status && document)
    account_.refused.push_back({what, status, string(document->root()["type"].string_or(""))});
  else
    account_.unexpected.push_back(
        what + ": " + (answer ? std::to_string(answer->status) : answer.error().detail));
}

void Play::speak(const Person& person, const char* line) {
  auto webhook = words(person, line);
  ++messages_;
  ++account_.by_channel[person.channel];
  ++account_.by_language[person.language];
  deliver(webhook, string(person.name) + "'s message");
  // Providers deliver at least once: every fifth message comes again.
  if (messages_ % 5 == 0) deliver(webhook, string(person.name) + "'s message again", true);
}

/// Answers the person's conversation, found as an agent would find it: by its address.
/// refusal: the problem type that is expected instead of a message; "" for none
void Play::reply(const Person& person, const string& refusal) {
  auto found = call("GET", "/api/v1/responses/inbox?limit=1&channel=" + string(person.channel) +
                               "&q=" + text::percent_encode(person.address));
  if (!found) return account_.unexpected.push_back(found.error().detail);
  auto conversation = found->root()["data"].at(0)["id"].string_or("");
  auto target = "/api/v1/conversations/" + string(conversation) + "/messages";
  string subject = string(person.channel) == "email" ? ",\"subject\":\"Re: your question\"" : "";
  auto sent = call("POST", target, "{\"body\":" + as_json(person.reply) + subject + "}");
  if (!sent && last_refusal_.type == refusal)
    account_.refused.push_back(
        {"a reply to " + string(person.name), last_refusal_.status, refusal});
  else if (!sent)
    account_.unexpected.push_back(sent.error().detail);
  else if (!refusal.empty())
    account_.unexpected.push_back("a reply went out that should not have");
}

void Play::greet(const Guest& guest) {
  auto contact =
      call("POST", "/api/v1/contacts",
           "{\"name\":" + as_json(guest.name) + R"(,"identities":[{"channel":"chat","address":)" +
               as_json(id("guest-")) + "}]}");
  if (!contact) return account_.unexpected.push_back(contact.error().detail);
  auto opened = call("POST", "/api/v1/conversations",
                     "{\"contact_id\":" + contact->root()["id"].dump() +
                         ",\"message\":{\"body\":" + as_json(guest.words) + "}}");
  if (!opened) account_.unexpected.push_back(opened.error().detail);
}

/// What providers do besides bringing words.
void Play::extras(std::vector<Step>& steps) {
  auto between = [this](const char* from, const char* to, const string& members) {
    return page_event("page", page_id,
                      "{\"sender\":{\"id\":" + as_json(from) +
                          "},\"recipient\":{\"id\":" + as_json(to) +
                          "},\"timestamp\":" + std::to_string(now_ms()) + "," + members + "}");
  };
  // An answer written in Messenger's own inbox, read before it is reported delivered.
  steps.push_back([this, between] {
    const char* joel = people[3].address;
    deliver(
        between(page_id, joel,
                "\"message\":{\"mid\":" + as_json(id("m_")) +
                    R"(,"is_echo":true,"app_id":1,"text":"It is 120 dollars, frame included."})"),
        "an echo");
    auto mark = "{\"watermark\":" + std::to_string(now_ms()) + "}";
    deliver(between(joel, page_id, "\"read\":" + mark), "a read receipt");
    deliver(between(joel, page_id, "\"delivery\":" + mark), "a late delivery receipt");
  });
  steps.push_back([this] {
    deliver(events(R"([{"email":"ana@example.com","event":"delivered","timestamp":)" +
                   std::to_string(now_ms() / 1000) + ",\"sg_event_id\":" + as_json(id("ev")) +
                   ",\"sg_message_id\":\"x.1\"},\r\n17]\r\n"),
            "a batch with a bad element");
  });
  steps.push_back([this] {
    deliver(twilio({{"MessageSid", id("SM")},
                    {"MessageStatus", "delivered"},
                    {"AccountSid", account_sid},
                    {"To", "+15550101001"},
                    {"From", number}}),
            "a status that overtakes its message");
  });
  steps.push_back([this] { deliver(meta("not JSON, but signed"), "a signed scribble"); });
  steps.push_back([this] {
    auto forged = twilio({{"MessageSid", id("SM")},
                          {"AccountSid", account_sid},
                          {"From", "+15550109999"},
                          {"To", number},
                          {"Body", "Send your card number to this address"}});
    forged.headers[1].second = providers::sign_twilio("a guess", urls_.at("twilio"), {});
    expect_refusal(forged, "a forged message", 401);
  });
  // Meta may deliver days late: this message's window has closed when it arrives.
  steps.push_back([this] {
    Person late{"Yesterday's Tom", english, "whatsapp",   Via::meta,
                "15550101099",     {},      "We are now!"};
    deliver(cloud(late.name, late.address, "Are you open?", now_ms() - 26 * hour_ms),
            "a message that is a day late");
    ++messages_;
    ++account_.by_channel[late.channel];
    ++account_.by_language[late.language];
    reply(late, "/problems/outside-messaging-window");
  });
  for (auto& guest : guests) steps.push_back([this, &guest] { greet(guest); });
}

/// Everybody's lines in their own order, people shuffled into each other.
std::vector<Play::Step> Play::script() {
  std::mt19937_64 random(options_.seed);
  std::vector<std::size_t> turns;
  for (std::size_t i = 0; i < people.size(); ++i)
    for (auto* line : people[i].lines)
      if (line != nullptr) turns.push_back(i);
  std::shuffle(turns.begin(), turns.end(), random);
  std::vector<Step> steps;
  std::vector<std::size_t> spoken(people.size(), 0);
  for (auto who : turns) {
    const Person& person = people[who];
    const char* line = person.lines[spoken[who]++];
    steps.push_back([this, &person, line] { speak(person, line); });
    if (spoken[who] == 1 && person.reply != nullptr)
      steps.push_back([this, &person] { reply(person); });
  }
  std::vector<Step> more;
  extras(more);
  // The extras are strewn over the second half: by then, Joel has written.
  for (auto& step : more) {
    auto half = steps.size() / 2;
    auto at = half + static_cast<std::size_t>(random() % (steps.size() - half));
    steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(at), std::move(step));
  }
  return steps;
}

void Play::perform() {
  auto steps = script();
  auto start = std::chrono::steady_clock::now();
  auto whole = std::chrono::milliseconds(options_.seconds * 1000);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    std::this_thread::sleep_until(start +
                                  whole * static_cast<int>(i) / static_cast<int>(steps.size()));
    steps[i]();
  }
}

/// --- the account -----------------------------------------------------------------------------

Result<void> Play::look_back() {
  // The sandbox's last reports are still on their way: give them a moment, not for ever.
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (bool moving = true; moving;) {
    auto rows = call("GET", "/api/v1/responses/inbox?limit=200");
    if (!rows) return fail(rows.error());
    auto data = rows->root()["data"];
    account_.conversations = data.size();
    account_.stored = 0;
    account_.replies.clear();
    moving = false;
    for (std::size_t i = 0; i < data.size(); ++i) {
      auto page = call("GET", "/api/v1/conversations/" + string(data.at(i)["id"].string_or("")) +
                                  "/messages?limit=200");
      if (!page) return fail(page.error());
      auto all = page->root()["data"];
      for (std::size_t k = 0; k < all.size(); ++k) {
        auto one = all.at(k);
        // An earlier demo's messages are not of this run.
        bool ours = one["provider_message_id"].string_or("").find(run_) != string::npos;
        account_.stored += one["direction"].string_or("") == "inbound" && ours;
        if (one["direction"].string_or("") != "outbound") continue;
        string status(one["status"].string_or(""));
        ++account_.replies[status];
        bool by_sandbox = one["provider"].string_or("") == "sandbox";
        moving = moving || (by_sandbox && status != "read" && status != "failed");
      }
    }
    if (std::chrono::steady_clock::now() > deadline) break;
    if (moving) std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  auto failures = call("GET", "/api/v1/webhook-failures?limit=200");
  if (!failures) return fail(failures.error());
  account_.failures = failures->root()["data"].size();
  return {};
}

string counts(const std::map<string, int>& map) {
  string out;
  for (auto& [name, count] : map)
    out += (out.empty() ? "" : ", ") + name + " " + std::to_string(count);
  return out;
}

void print_words(const Account& a, int written, const DemoOptions& options) {
  std::printf("\nMadan Sara's demo: %d messages of %zu contacts arrived, %zu are stored.\n",
              written, a.conversations, a.stored);
  std::printf("  by channel   %s\n  by language  %s\n", counts(a.by_channel).c_str(),
              counts(a.by_language).c_str());
  std::printf("  webhooks     %d accepted, %d of them deliveries of what was there already\n",
              a.delivered, a.redelivered);
  std::printf("  replies      %s\n", counts(a.replies).c_str());
  std::printf("  kept aside   %zu signed events that nobody could read\n", a.failures);
  std::printf("Refused, as it should be:\n");
  for (auto& one : a.refused)
    std::printf("  %d  %s (%s)\n", one.status, one.what.c_str(), one.type.c_str());
  for (auto& one : a.unexpected) std::printf("NOT AS EXPECTED: %s\n", one.c_str());
  auto& url = options.url;
  std::printf("Where to look, with  -H 'Authorization: Bearer %s':\n", options.api_key.c_str());
  std::printf("  inbox        %s/api/v1/responses/inbox\n", url.c_str());
  std::printf("  live feed    ws%s/api/v1/inbox/live\n", url.substr(4).c_str());
  std::printf("  kept aside   %s/api/v1/webhook-failures\n", url.c_str());
  std::printf("  reference    %s/docs or %s/redoc, from %s/openapi.json\n", url.c_str(),
              url.c_str(), url.c_str());
}

void print_json(const Account& a, int written, const DemoOptions& options) {
  string out;
  json::Writer w(out);
  auto map = [&](const char* name, const std::map<string, int>& counted) {
    w.key(name).begin_object();
    for (auto& [key, count] : counted) w.member(key, count);
    w.end_object();
  };
  w.begin_object().member("url", options.url).member("api_key", options.api_key);
  w.member("written", written).member("stored", static_cast<std::int64_t>(a.stored));
  w.member("conversations", static_cast<std::int64_t>(a.conversations));
  w.member("webhooks", a.delivered).member("redelivered", a.redelivered);
  w.member("failures", static_cast<std::int64_t>(a.failures));
  map("by_channel", a.by_channel);
  map("by_language", a.by_language);
  map("replies", a.replies);
  w.key("refused").begin_array();
  for (auto& one : a.refused) {
    w.begin_object().member("what", one.what).member("status", one.status);
    w.member("type", one.type).end_object();
  }
  w.end_array().key("unexpected").begin_array();
  for (auto& one : a.unexpected) w.string(one);
  w.end_array().end_object();
  std::printf("%s\n", out.c_str());
}

}  // namespace

int run_demo(const DemoOptions& options) {
  auto failed = [](const Error& error) {
    std::fprintf(stderr, "demo: %s\n", error.detail.c_str());
    return 1;
  };
  Play play(options);
  if (auto prepared = play.prepare(); !prepared) return failed(prepared.error());
  if (!options.json)
    std::printf("Thirty people are writing to your shop at %s for %d seconds.\n",
                options.url.c_str(), options.seconds);
  std::fflush(stdout);
  play.perform();
  if (auto looked = play.look_back(); !looked) return failed(looked.error());
  auto& account = play.account();
  if (options.json)
    print_json(account, play.messages_written(), options);
  else
    print_words(account, play.messages_written(), options);
  bool whole = account.unexpected.empty() &&
               account.stored == static_cast<std::size_t>(play.messages_written());
  return whole ? 0 : 1;
}

}  // namespace sara::runtime
