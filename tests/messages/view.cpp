// The JSON of api.md's objects, word for word: these names stay.
#include "messages/view.hpp"

#include <doctest/doctest.h>

#include "messages/inbox.hpp"

using namespace sara;
using namespace sara::messages;
using namespace sara::domain;

namespace {

const TenantId tenant{Uuid{0x0190a6f23b7c7def, 0x8123456789abcdef}};
const TimePoint noon = parse_rfc3339("2026-01-05T12:00:00.123Z").value();
// base's own test pins this form: here it only has to be the one of seq 7 at noon.
const std::string message_7 = to_string(message_id(tenant, 7, noon));

Contact ana() {
  Contact c;
  c.id = ContactId{Uuid{0x0190000000007000, 0x8000000000000001}};
  c.name = "Ana \"A\" Lima";
  c.identities = {{Channel::sms, "+15550100777", true}, {Channel::email, "ana@example.com", false}};
  c.created_at = noon;
  c.updated_at = noon;
  return c;
}

Conversation plain() {
  Conversation c;
  c.id = ConversationId{Uuid{0x0190000000007000, 0x8000000000000002}};
  c.contact_id = ana().id;
  c.opened_at = noon;
  c.updated_at = noon;
  c.seq = 9;
  return c;
}

Conversation full() {
  auto c = plain();
  c.marks = {.status = ConversationStatus::resolved,
             .channel = Channel::sms,
             .assigned_to = "ben",
             .flagged = true,
             .labels = {"vip", "re\"fund"},
             .intent = "complaint",
             .urgency = "high",
             .sla_due_at = noon,
             .sla_breached = true};
  c.unread = 3;
  c.last_message = {7, noon, 1, Channel::sms, "hi"};
  c.sentiment = -0.5;
  c.has_sentiment = true;
  c.resolved_at = noon;
  return c;
}

JournalEntry message() {
  JournalEntry e;
  e.seq = 7;
  e.at = noon;
  e.conversation_id = plain().id;
  e.direction = Direction::inbound;
  e.channel = Channel::sms;
  e.provider = Provider::twilio;
  e.dedupe_key = "t/SM1";
  e.body = "hi\n\"there\"";
  return e;
}

template <class Write>
std::string json_of(Write write) {
  std::string out;
  json::Writer w(out);
  write(w);
  return out;
}

const std::string contact_in_row =
    R"("contact":{"id":"01900000-0000-7000-8000-000000000001","name":"Ana \"A\" Lima",)"
    R"("identities":[{"channel":"sms","address":"+15550100777","verified":true},)"
    R"({"channel":"email","address":"ana@example.com","verified":false}]})";

const std::string full_row =
    R"({"id":"01900000-0000-7000-8000-000000000002",)" + contact_in_row +
    R"(,"channel":"sms","status":"resolved","assigned_to":"ben","flagged":true,)"
    R"("labels":["vip","re\"fund"],"unread":3,"last_message":{"id":")" + message_7 +
    R"(","direction":"inbound","channel":"sms","preview":"hi","at":"2026-01-05T12:00:00.123Z"},)"
    R"("intent":"complaint","sentiment":-0.5,"urgency":"high",)"
    R"("sla":{"due_at":"2026-01-05T12:00:00.123Z","breached":true},"state":"awaiting_response",)"
    R"("updated_at":"2026-01-05T12:00:00.123Z","seq":9})";

const std::string message_json =
    R"({"id":")" + message_7 +
    R"(","conversation_id":"01900000-0000-7000-8000-000000000002","direction":"inbound",)"
    R"("channel":"sms","body":"hi\n\"there\"","attachments":[],"status":"received",)"
    R"("provider":"twilio","provider_message_id":"SM1",)"
    R"("created_at":"2026-01-05T12:00:00.123Z","seq":7)";

}  // namespace

TEST_CASE("view: an inbox row, word for word") {
  CHECK(json_of([](auto& w) { write_conversation(w, tenant, full(), ana()); }) == full_row);
}

TEST_CASE("view: a row without anything says null, never leaves a name out") {
  Contact nobody;
  nobody.id = ana().id;
  CHECK(json_of([&](auto& w) { write_conversation(w, tenant, plain(), nobody); }) ==
        R"({"id":"01900000-0000-7000-8000-000000000002",)"
        R"("contact":{"id":"01900000-0000-7000-8000-000000000001","name":null,"identities":[]},)"
        R"("channel":null,"status":"open","assigned_to":null,"flagged":false,"labels":[],)"
        R"("unread":0,"last_message":null,"intent":null,"sentiment":null,"urgency":null,)"
        R"("sla":{"due_at":null,"breached":false},"state":"awaiting_response",)"
        R"("updated_at":"2026-01-05T12:00:00.123Z","seq":9})");
}

TEST_CASE("view: a single conversation is the row and more") {
  auto text = json_of([](auto& w) { write_conversation(w, tenant, full(), ana(), true); });
  auto doc = json::parse(text);
  REQUIRE(doc);
  auto row = json::parse(full_row);
  for (auto& [name, value] : row->root().members()) {
    CAPTURE(std::string(name));
    CHECK(doc->root()[name].dump() == value.dump());
  }
  CHECK(doc->root()["facts"].dump() == "{}");
  CHECK(doc->root()["assignee_history"].dump() == "[]");
  CHECK(doc->root()["snoozed_until"].is_null());
  CHECK(doc->root()["opened_at"].string_or("") == "2026-01-05T12:00:00.123Z");
  CHECK(doc->root()["resolved_at"].string_or("") == "2026-01-05T12:00:00.123Z");
}

TEST_CASE("view: a contact, word for word") {
  CHECK(json_of([](auto& w) { write_contact(w, ana()); }) ==
        R"({"id":"01900000-0000-7000-8000-000000000001","external_id":null,)"
        R"("name":"Ana \"A\" Lima",)"
        R"("identities":[{"channel":"sms","address":"+15550100777","verified":true},)"
        R"({"channel":"email","address":"ana@example.com","verified":false}],)"
        R"("attributes":{},"consent":{},"suppressed":[],)"
        R"("created_at":"2026-01-05T12:00:00.123Z","updated_at":"2026-01-05T12:00:00.123Z"})");
}

TEST_CASE("view: an inbound message, word for word") {
  CHECK(json_of([](auto& w) { write_message(w, tenant, message(), nullptr); }) ==
        message_json + "}");
}

TEST_CASE("view: an outbound message shows its delivery: status, provider's id, error") {
  auto entry = message();
  entry.direction = Direction::outbound;
  entry.dedupe_key.clear();
  entry.subject = "re";
  entry.attachments = {{"image", "https://example.com/a.png", "a.png", 12}, {"file", "u", "", 0}};
  Delivery d;
  d.message_seq = 7;
  d.status = MessageStatus::failed;
  d.provider_message_id = "SM9";
  d.error_code = "provider_failed";
  d.error_detail = "unreachable";
  d.provider_code = "30003";
  CHECK(json_of([&](auto& w) { write_message(w, tenant, entry, &d); }) ==
        R"({"id":")" + message_7 +
            R"(","conversation_id":"01900000-0000-7000-8000-000000000002",)"
            R"("direction":"outbound","channel":"sms","body":"hi\n\"there\"","subject":"re",)"
            R"("attachments":[{"type":"image","url":"https://example.com/a.png","name":"a.png",)"
            R"("size":12},{"type":"file","url":"u"}],"status":"failed","provider":"twilio",)"
            R"("provider_message_id":"SM9","error":{"code":"provider_failed",)"
            R"("detail":"unreachable","provider_code":"30003"},)"
            R"("created_at":"2026-01-05T12:00:00.123Z","seq":7})");
  d.error_code.clear();
  d.provider_message_id.clear();
  auto doc = json::parse(json_of([&](auto& w) { write_message(w, tenant, entry, &d); }));
  CHECK_FALSE(doc->root()["error"].exists());
  CHECK(doc->root()["provider_message_id"].is_null());
}

TEST_CASE("view: a hashed redelivery key is no provider's id") {
  auto entry = message();
  entry.dedupe_key = "s/#00ff";
  auto doc = json::parse(json_of([&](auto& w) { write_message(w, tenant, entry, nullptr); }));
  CHECK(doc->root()["provider_message_id"].is_null());
}

TEST_CASE("view: one inbound message is one event, with its inbox row inside") {
  JournalEvent event;
  event.tenant_id = tenant;
  event.entry = message();
  event.entry.after.channel = Channel::sms;
  event.contact = std::make_shared<Contact>(ana());
  event.conversation = std::make_shared<Conversation>(full());
  auto rendered = render_event(event);
  CHECK(rendered->seq == 7);
  CHECK(rendered->about_conversation);
  CHECK(rendered->preview == "hi");
  CHECK(rendered->after.channel == Channel::sms);
  CHECK(rendered->head == R"({"type":"message.created","seq":7)");
  CHECK(rendered->tail == R"(,"at":"2026-01-05T12:00:00.123Z","data":)" + message_json +
                              R"(,"conversation":)" + full_row + "}}");
  CHECK(json::parse(rendered->head + rendered->tail));
}

TEST_CASE("view: a status event shows the message with the status it brought") {
  JournalEvent event;
  event.tenant_id = tenant;
  event.entry = message();
  event.entry.kind = EventKind::message_status;
  event.entry.seq = 8;
  event.entry.subject_seq = 7;
  event.message = std::make_shared<JournalEntry>(message());
  Delivery d;
  d.message_seq = 7;
  d.status = MessageStatus::delivered;
  event.delivery = std::make_shared<Delivery>(d);
  auto rendered = render_event(event);
  auto doc = json::parse(rendered->head + rendered->tail);
  REQUIRE(doc);
  CHECK(doc->root()["type"].string_or("") == "message.status");
  CHECK(doc->root()["seq"].integer() == 8);
  CHECK(doc->root()["data"]["seq"].integer() == 7);
  CHECK(doc->root()["data"]["id"].string_or("") == message_7);
  CHECK(doc->root()["data"]["status"].string_or("") == "delivered");
  CHECK_FALSE(doc->root()["data"]["conversation"].exists());
}

TEST_CASE("view: any other change is the inbox row; what belongs to nobody says what it was") {
  JournalEvent event;
  event.tenant_id = tenant;
  event.entry.kind = EventKind::conversation_updated;
  event.entry.seq = 9;
  event.entry.at = noon;
  event.entry.conversation_id = plain().id;
  event.contact = std::make_shared<Contact>(ana());
  event.conversation = std::make_shared<Conversation>(full());
  CHECK(render_event(event)->tail ==
        R"(,"at":"2026-01-05T12:00:00.123Z","data":)" + full_row + "}");

  JournalEvent kept;
  kept.tenant_id = tenant;
  kept.entry.kind = EventKind::webhook_unmatched;
  kept.entry.seq = 10;
  kept.entry.at = noon;
  kept.entry.provider = Provider::twilio;
  kept.entry.body = "delivered";
  kept.entry.subject = "SM1";
  kept.entry.status = MessageStatus::delivered;
  auto rendered = render_event(kept);
  CHECK_FALSE(rendered->about_conversation);
  CHECK(rendered->head + rendered->tail ==
        R"({"type":"webhook.unmatched","seq":10,"at":"2026-01-05T12:00:00.123Z",)"
        R"("data":{"provider":"twilio","detail":"delivered","provider_message_id":"SM1",)"
        R"("status":"delivered"}})");
}

TEST_CASE("view: an entry of the dead-letter list, word for word") {
  JournalEntry e;
  e.seq = 4;
  e.at = noon;
  e.provider = Provider::meta;
  e.integration_id = IntegrationId{Uuid{1, 2}};
  e.body = "no sender";
  CHECK(json_of([&](auto& w) { write_failure(w, e); }) ==
        R"({"seq":4,"provider":"meta",)"
        R"("integration_id":"00000000-0000-0001-0000-000000000002",)"
        R"("reason":"no sender","at":"2026-01-05T12:00:00.123Z"})");
}
