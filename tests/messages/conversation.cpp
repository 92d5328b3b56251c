// Every message of the conversation protocol survives the wire.
#include "messages/conversation.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace sara;
using namespace sara::messages;

namespace {

struct Config : caf::actor_system_config {
  Config() {
    add_message_types<caf::id_block::sara_conversation>();
    set("scheduler.policy", caf::atom("testing"));
  }
};

/// Never static: CAF keeps its logger in a thread-local, which is gone before the statics are.
struct Wire {
  Config config;
  caf::actor_system system{config};

  template <class T>
  std::vector<char> bytes_of(const T& value) {
    std::vector<char> buffer;
    caf::binary_serializer sink(system, buffer);
    REQUIRE(sink(value) == caf::none);
    return buffer;
  }

  template <class T>
  T back(const std::vector<char>& buffer) {
    T value;
    caf::binary_deserializer source(system, buffer);
    REQUIRE(source(value) == caf::none);
    CHECK(source.remaining() == 0);
    return value;
  }

  /// Alone and inside a caf::message; equal bytes mean equal members, for all of them are written.
  template <class T>
  T round_trip(const T& value) {
    auto once = bytes_of(value);
    CHECK(once.size() > 0);
    auto copy = back<T>(once);
    CHECK(bytes_of(copy) == once);
    // A default value must not look the same: then nothing would have been compared.
    CHECK(bytes_of(T{}) != once);
    const caf::message packed = back<caf::message>(bytes_of(caf::make_message(value)));
    REQUIRE(packed.match_elements<T>());
    CHECK(bytes_of(packed.get_as<T>(0)) == once);
    return copy;
  }
};

const TenantId tenant{Uuid{0x0190a6f23b7c7def, 0x8123456789abcdef}};
const ContactId contact{Uuid{3, 4}};
const ConversationId conversation{Uuid{5, 6}};
const IntegrationId integration{Uuid{7, ~0ull}};
const TimePoint at = parse_rfc3339("2026-01-05T12:00:00.123Z").value();

domain::Attachment attachment() { return {"image", "https://example.com/ü.png", "ü", 1 << 30}; }

domain::Delivery delivery() {
  domain::Delivery d;
  d.message_seq = (Sequence{1} << 40) - 1;
  d.conversation_id = conversation;
  d.contact_id = contact;
  d.channel = domain::Channel::custom;
  d.provider = domain::Provider::engarde;
  d.integration_id = integration;
  d.address = "+15550100777";
  d.status = domain::MessageStatus::unknown;
  d.provider_message_id = "SM1";
  d.error_code = "a";
  d.error_detail = "b";
  d.provider_code = "c";
  d.attempt = -3;
  d.created_at = at;
  d.sent_at = at + Millis{1};
  d.next_at = at + Millis{2};
  d.not_after = from_millis(-1);
  return d;
}

ReportedStatus reported() {
  ReportedStatus r;
  r.receipt.channel = domain::Channel::whatsapp;
  r.receipt.provider = domain::Provider::meta;
  r.receipt.provider_message_id = "wamid.1";
  r.receipt.address = "15550100777";
  r.receipt.watermark = at;
  r.receipt.status = domain::MessageStatus::bounced;
  r.receipt.at = at;
  r.receipt.event = "bounce";
  r.receipt.error_code = "131026";
  r.receipt.error_detail = "gone";
  r.receipt.reference = "ref";
  r.receipt.key = "wamid.1:bounced";
  r.dedupe_key = "m/wamid.1:bounced";
  r.raw = std::string("\0\xff raw", 6);
  return r;
}

domain::ReplyRequest reply() { return {"body", domain::Channel::email, "subject", {attachment()}}; }

}  // namespace

TEST_CASE_FIXTURE(Wire, "messages: an inbound message keeps every field, raw bytes included") {
  ReceiveInbound m;
  m.tenant_id = tenant;
  m.integration_id = integration;
  auto& in = m.inbound;
  in.channel = domain::Channel::instagram;
  in.provider = domain::Provider::meta;
  in.echo = true;
  in.address = "1784";
  in.account = "page";
  in.provider_message_id = "mid.1";
  in.profile_name = "Ana";
  in.subject = "s";
  in.body = "Bonjou, kòman ou ye? 👋";
  in.attachments = {attachment(), {}};
  in.at = at;
  in.reference = "r";
  m.dedupe_key = "m/mid.1";
  m.raw = std::string("{\"a\":\0}\xfe", 8);
  auto copy = round_trip(m);
  CHECK(copy.tenant_id == tenant);
  CHECK(copy.inbound.body == in.body);
  CHECK(copy.inbound.attachments == in.attachments);
  CHECK(copy.inbound.at == at);
  CHECK(copy.inbound.echo);
  CHECK(copy.raw == m.raw);
  CHECK(round_trip(InboundReceived{true}).duplicate);
}

TEST_CASE_FIXTURE(Wire, "messages: reports keep every field") {
  auto copy = round_trip(ReportStatuses{tenant, integration, {reported(), reported()}});
  REQUIRE(copy.reports.size() == 2);
  CHECK(copy.reports[1].receipt.watermark == at);
  CHECK(copy.reports[1].receipt.status == domain::MessageStatus::bounced);
  CHECK(copy.reports[1].raw == reported().raw);
  auto apply = round_trip(ApplyReport{tenant, contact, integration, reported(), delivery(), 42});
  CHECK(apply.found == delivery());
  CHECK(apply.unmatched_seq == 42);
  CHECK(round_trip(Applied{4'000'000'000u}).count == 4'000'000'000u);
}

TEST_CASE_FIXTURE(Wire, "messages: kept events keep every field") {
  KeepEvents m{tenant, integration, domain::Provider::sendgrid, {{"reaction", true, "k", "raw"}}};
  auto copy = round_trip(m);
  REQUIRE(copy.events.size() == 1);
  CHECK(copy.events[0].failed);
  CHECK(copy.events[0].kind_or_reason == "reaction");
}

TEST_CASE_FIXTURE(Wire, "messages: a retraction keeps every field") {
  RetractMessage m;
  m.tenant_id = tenant;
  m.integration_id = integration;
  m.retraction = {domain::Channel::instagram, domain::Provider::meta, "1784", "mid.1", at};
  m.dedupe_key = "m/mid.1:unsend";
  m.raw = "raw";
  m.message_seq = 12;
  auto copy = round_trip(m);
  CHECK(copy.retraction.at == at);
  CHECK(copy.retraction.provider_message_id == "mid.1");
  CHECK(copy.message_seq == 12);
}

TEST_CASE_FIXTURE(Wire, "messages: replies and their answers keep every field") {
  auto sent = round_trip(SendReply{tenant, conversation, reply(), {"key", "hash"}});
  CHECK(sent.conversation_id == conversation);
  CHECK(sent.reply.attachments == std::vector{attachment()});
  CHECK(sent.idempotency.request_hash == "hash");
  auto open = round_trip(OpenConversation{tenant, contact, true, reply(), {"key", "hash"}});
  CHECK(open.contact_id == contact);
  CHECK(open.with_message);
  CHECK(open.message.subject == "subject");
  CHECK(round_trip(Answered{202, "{}"}).body == "{}");
}

TEST_CASE_FIXTURE(Wire, "messages: outcomes and housekeeping keep every field") {
  CHECK(round_trip(SettleDelivery{tenant, delivery()}).outcome == delivery());
  CHECK(round_trip(WantUnload{tenant, contact}).contact_id == contact);
  CHECK(round_trip(Drain{true}).stop);
  CHECK(round_trip(GetPopulation{true}).detail);
  CHECK(round_trip(Population{1, 2, 3, 4, 5, 6, 7}).resting == 7);
}

TEST_CASE_FIXTURE(Wire, "messages: cut bytes are an error, never a half-read message") {
  auto bytes = bytes_of(SettleDelivery{tenant, delivery()});
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    SettleDelivery value;
    caf::binary_deserializer source(system, cut);
    CHECK(source(value) != caf::none);
  }
}

TEST_CASE_FIXTURE(Wire, "messages: ids travel between nodes, so their numbers never change") {
  CHECK(caf::type_id<ReceiveInbound>::value == caf::first_custom_type_id);
  CHECK(caf::type_id<ReportStatuses>::value == caf::first_custom_type_id + 2);
  CHECK(caf::type_id<SendReply>::value == caf::first_custom_type_id + 7);
  CHECK(caf::type_id<Population>::value == caf::first_custom_type_id + 14);
}
