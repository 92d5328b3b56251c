// Names of journal events.
#include "domain/journal.hpp"

namespace sara::domain {

std::string_view to_string(EventKind kind) {
  switch (kind) {
    case EventKind::message_created: return "message.created";
    case EventKind::message_status: return "message.status";
    case EventKind::conversation_updated: return "conversation.updated";
    case EventKind::message_retracted: return "message.retracted";
    case EventKind::webhook_kept: return "webhook.kept";
    case EventKind::webhook_unmatched: return "webhook.unmatched";
    case EventKind::webhook_failed: return "webhook.failed";
  }
  return "event";
}

std::string_view to_string(Direction direction) {
  switch (direction) {
    case Direction::none: return "none";
    case Direction::inbound: return "inbound";
    case Direction::outbound: return "outbound";
    case Direction::note: return "note";
  }
  return "none";
}

std::string_view dedupe_prefix(Provider provider) {
  switch (provider) {
    case Provider::twilio: return "t/";
    case Provider::sendgrid: return "s/";
    case Provider::meta: return "m/";
    case Provider::sandbox: return "x/";
    default: return "o/";
  }
}

std::string_view provider_message_id(std::string_view dedupe_key) {
  return dedupe_key.size() > 2 && dedupe_key[1] == '/' && dedupe_key[2] != '#'
             ? dedupe_key.substr(2)
             : std::string_view{};
}

namespace {

template <class T, class Same>
void put_into(std::vector<T>& rows, const T& row, Same same) {
  for (auto& there : rows)
    if (same(there)) {
      there = row;
      return;
    }
  rows.push_back(row);
}

}  // namespace

void WriteSet::put(const Conversation& conversation) {
  put_into(conversations, conversation,
           [&](const Conversation& there) { return there.id == conversation.id; });
}

void WriteSet::put(const Delivery& delivery) {
  put_into(deliveries, delivery,
           [&](const Delivery& there) { return there.message_seq == delivery.message_seq; });
}

}  // namespace sara::domain
