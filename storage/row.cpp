// Row mapping.
#include "storage/row.hpp"

#include "base/json.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

using namespace domain;

std::string write_attachments(const std::vector<Attachment>& attachments) {
  if (attachments.empty()) return {};
  std::string out;
  json::Writer w(out);
  w.begin_array();
  for (auto& a : attachments) {
    w.begin_object().member("type", a.type).member("url", a.url).member("name", a.name);
    w.member("size", a.size_bytes).end_object();
  }
  w.end_array();
  return out;
}

std::vector<Attachment> read_attachments(std::string_view text) {
  std::vector<Attachment> result;
  if (text.empty()) return result;
  auto doc = json::parse(text);
  if (!doc) return result;
  for (std::size_t i = 0; i < doc->root().size(); ++i) {
    auto item = doc->root().at(i);
    result.push_back({std::string(item["type"].string_or("")),
                      std::string(item["url"].string_or("")),
                      std::string(item["name"].string_or("")), item["size"].integer().value_or(0)});
  }
  return result;
}

std::string write_marks(const Marks& marks, Channel channel) {
  Marks plain;
  plain.channel = channel;
  if (marks == plain) return {};
  std::string out;
  json::Writer w(out);
  w.begin_object();
  if (marks.status != plain.status) w.member("s", static_cast<int>(marks.status));
  if (marks.channel != channel) w.member("c", static_cast<int>(marks.channel));
  if (!marks.assigned_to.empty()) w.member("a", marks.assigned_to);
  if (marks.flagged) w.member("f", true);
  if (!marks.labels.empty()) {
    w.key("l").begin_array();
    for (auto& label : marks.labels) w.string(label);
    w.end_array();
  }
  if (!marks.intent.empty()) w.member("i", marks.intent);
  if (!marks.urgency.empty()) w.member("u", marks.urgency);
  if (known(marks.sla_due_at)) w.member("d", to_millis(marks.sla_due_at));
  if (marks.sla_breached) w.member("b", true);
  w.end_object();
  return out;
}

Marks read_marks(std::string_view text, Channel channel) {
  Marks marks;
  marks.channel = channel;
  if (text.empty()) return marks;
  auto doc = json::parse(text);
  if (!doc) return marks;
  auto root = doc->root();
  if (auto s = root["s"].integer()) marks.status = static_cast<ConversationStatus>(*s);
  if (auto c = root["c"].integer()) marks.channel = static_cast<Channel>(*c);
  marks.assigned_to = root["a"].string_or("");
  marks.flagged = root["f"].boolean().value_or(false);
  for (std::size_t i = 0; i < root["l"].size(); ++i)
    marks.labels.emplace_back(root["l"].at(i).string_or(""));
  marks.intent = root["i"].string_or("");
  marks.urgency = root["u"].string_or("");
  if (auto d = root["d"].integer()) marks.sla_due_at = from_millis(*d);
  marks.sla_breached = root["b"].boolean().value_or(false);
  return marks;
}

std::string write_reach(const std::vector<Reach>& reach) {
  std::string out;
  json::Writer w(out);
  w.begin_array();
  for (auto& r : reach) {
    w.begin_array().integer(static_cast<int>(r.channel)).string(r.address);
    w.string(r.integration_id ? to_string(r.integration_id) : std::string{});
    w.integer(to_millis(r.last_inbound_at));
    w.integer(to_millis(r.delivered_up_to)).integer(to_millis(r.read_up_to)).end_array();
  }
  w.end_array();
  return out;
}

std::vector<Reach> read_reach(std::string_view text) {
  std::vector<Reach> result;
  auto doc = json::parse(text);
  if (!doc) return result;
  for (std::size_t i = 0; i < doc->root().size(); ++i) {
    auto r = doc->root().at(i);
    auto number = [&](std::size_t at) { return r.at(at).integer().value_or(0); };
    result.push_back({static_cast<Channel>(number(0)), std::string(r.at(1).string_or("")),
                      IntegrationId{parse_uuid(r.at(2).string_or("")).value_or(Uuid{})},
                      from_millis(number(3)), from_millis(number(4)), from_millis(number(5))});
  }
  return result;
}

std::string write_error(const JournalEntry& entry) {
  if (entry.error_code.empty() && entry.error_detail.empty() && entry.provider_code.empty())
    return {};
  std::string out;
  json::Writer w(out);
  w.begin_array().string(entry.error_code).string(entry.error_detail).string(entry.provider_code);
  w.end_array();
  return out;
}

void read_error(std::string_view text, JournalEntry& entry) {
  if (text.empty()) return;
  auto doc = json::parse(text);
  if (!doc) return;
  entry.error_code = doc->root().at(0).string_or("");
  entry.error_detail = doc->root().at(1).string_or("");
  entry.provider_code = doc->root().at(2).string_or("");
}

int urgency_rank(std::string_view urgency) {
  if (urgency == "low") return 1;
  if (urgency == "medium") return 2;
  if (urgency == "high") return 3;
  return urgency == "critical" ? 4 : 0;
}

const char* const journal_columns =
    "j.seq, j.at_ms, j.conversation_id, j.integration_id, j.subject_seq, j.unread, j.kind,"
    " j.direction, j.channel, j.provider, j.status, j.dedupe_key, j.subject, j.body,"
    " j.attachments, j.error, j.marks, j.was";

JournalEntry read_entry(const pqxx::row& row, int first) {
  auto f = [&](int i) { return row[first + i]; };
  JournalEntry e;
  e.seq = to_int(f(0));
  e.at = to_time(f(1));
  e.conversation_id = ConversationId{to_uuid(f(2))};
  e.integration_id = IntegrationId{to_uuid(f(3))};
  e.subject_seq = to_int(f(4));
  e.unread = to_int(f(5));
  e.kind = to_enum<EventKind>(f(6));
  e.direction = to_enum<Direction>(f(7));
  e.channel = to_enum<Channel>(f(8));
  e.provider = to_enum<Provider>(f(9));
  e.status = to_enum<MessageStatus>(f(10));
  e.dedupe_key = to_string_or_empty(f(11));
  e.subject = to_string_or_empty(f(12));
  e.body = to_string_or_empty(f(13));
  e.attachments = read_attachments(to_string_or_empty(f(14)));
  read_error(to_string_or_empty(f(15)), e);
  e.after = read_marks(to_string_or_empty(f(16)), e.channel);
  e.before = f(17).is_null() ? e.after : read_marks(to_string_or_empty(f(17)), e.channel);
  return e;
}

const char* const conversation_columns =
    "c.id, c.contact_id, c.seq, c.unread, c.inbound_count, c.outbound_count, c.read_seq,"
    " c.opened_at_ms, c.resolved_at_ms, c.updated_at_ms, c.last_seq, c.last_at_ms,"
    " c.sla_due_at_ms, c.sentiment, c.last_direction, c.last_channel, c.status, c.channel,"
    " c.urgency_rank, c.flagged, c.sla_breached, c.assigned_to, c.intent, c.urgency, c.state,"
    " to_json(c.labels)::text, c.reach, c.last_preview";

Conversation read_conversation(const pqxx::row& row, int first) {
  auto f = [&](int i) { return row[first + i]; };
  Conversation c;
  c.id = ConversationId{to_uuid(f(0))};
  c.contact_id = ContactId{to_uuid(f(1))};
  c.seq = to_int(f(2));
  c.unread = to_int(f(3));
  c.inbound_count = to_int(f(4));
  c.outbound_count = to_int(f(5));
  c.read_seq = to_int(f(6));
  c.opened_at = to_time(f(7));
  c.resolved_at = to_time(f(8));
  c.updated_at = to_time(f(9));
  c.last_message.seq = to_int(f(10));
  c.last_message.at = to_time(f(11));
  c.marks.sla_due_at = to_time(f(12));
  c.has_sentiment = !f(13).is_null();
  if (c.has_sentiment) c.sentiment = f(13).as<double>();
  c.last_message.direction = static_cast<std::uint8_t>(to_int(f(14)));
  c.last_message.channel = to_enum<Channel>(f(15));
  c.marks.status = to_enum<ConversationStatus>(f(16));
  c.marks.channel = to_enum<Channel>(f(17));
  c.marks.flagged = f(19).as<bool>();
  c.marks.sla_breached = f(20).as<bool>();
  c.marks.assigned_to = to_string_or_empty(f(21));
  c.marks.intent = to_string_or_empty(f(22));
  c.marks.urgency = to_string_or_empty(f(23));
  c.state = to_string_or_empty(f(24));
  if (!f(25).is_null())
    if (auto labels = json::parse(to_string_or_empty(f(25))))
      for (std::size_t i = 0; i < labels->root().size(); ++i)
        c.marks.labels.emplace_back(labels->root().at(i).string_or(""));
  c.reach = read_reach(to_string_or_empty(f(26)));
  c.last_message.preview = to_string_or_empty(f(27));
  return c;
}

const char* const delivery_columns =
    "d.message_seq, d.conversation_id, d.contact_id, d.integration_id, d.created_at_ms,"
    " d.sent_at_ms, d.next_at_ms, d.not_after_ms, d.attempt, d.channel, d.provider, d.status,"
    " d.address, d.provider_message_id, d.error_code, d.error_detail, d.provider_code";

Delivery read_delivery(const pqxx::row& row, int first) {
  auto f = [&](int i) { return row[first + i]; };
  Delivery d;
  if (f(0).is_null()) return d;
  d.message_seq = to_int(f(0));
  d.conversation_id = ConversationId{to_uuid(f(1))};
  d.contact_id = ContactId{to_uuid(f(2))};
  d.integration_id = IntegrationId{to_uuid(f(3))};
  d.created_at = to_time(f(4));
  d.sent_at = to_time(f(5));
  d.next_at = to_time(f(6));
  d.not_after = to_time(f(7));
  d.attempt = static_cast<int>(to_int(f(8)));
  d.channel = to_enum<Channel>(f(9));
  d.provider = to_enum<Provider>(f(10));
  d.status = to_enum<MessageStatus>(f(11));
  d.address = to_string_or_empty(f(12));
  d.provider_message_id = to_string_or_empty(f(13));
  d.error_code = to_string_or_empty(f(14));
  d.error_detail = to_string_or_empty(f(15));
  d.provider_code = to_string_or_empty(f(16));
  return d;
}

}  // namespace sara::storage
