// What happens to a thread: inbound messages, replies, reports. Reads like api.md's rules.
#include "domain/conversation.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "domain/journal.hpp"

namespace sara::domain {
namespace {

/// Longest free-form body of a channel, in bytes or characters as its provider counts.
/// source: Twilio 1600; WhatsApp 4096; Messenger 2000; Instagram 1000 bytes
std::size_t body_bytes_max(Channel channel) {
  switch (channel) {
    case Channel::sms: return 1600;
    case Channel::whatsapp: return 4096;
    case Channel::messenger: return 2000;
    case Channel::instagram: return 1000;
    default: return 100'000;
  }
}

constexpr std::size_t outstanding_max = 1000;

/// The provider's time of an event, as far as it can be believed: not in the future.
TimePoint event_time(TimePoint said, TimePoint now) {
  return known(said) && said < now ? said : now;
}

}  // namespace

std::string_view to_string(ConversationStatus status) {
  switch (status) {
    case ConversationStatus::open: return "open";
    case ConversationStatus::pending: return "pending";
    case ConversationStatus::snoozed: return "snoozed";
    case ConversationStatus::resolved: return "resolved";
  }
  return "open";
}

const Reach* Conversation::reach_on(Channel channel) const {
  for (auto& r : reach)
    if (r.channel == channel) return &r;
  return nullptr;
}

Reach& Thread::reach_for(Channel channel, const std::string& address) {
  for (auto& r : conversation.reach)
    if (r.channel == channel) {
      if (r.address != address) r = Reach{channel, address, {}, {}, {}, {}};
      return r;
    }
  conversation.reach.push_back(Reach{channel, address, {}, {}, {}, {}});
  return conversation.reach.back();
}

void Thread::ensure_conversation(TimePoint now, const ThreadPolicy& policy) {
  bool ended = has_conversation && conversation.marks.status == ConversationStatus::resolved &&
               now - conversation.resolved_at > policy.reopen_within;
  if (has_conversation && !ended) return;
  // The next conversation of the same contact keeps only how the contact is reached.
  Conversation fresh;
  fresh.id = ConversationId::make(now);
  fresh.contact_id = contact->id;
  fresh.reach = std::move(conversation.reach);
  fresh.opened_at = now;
  fresh.updated_at = now;
  conversation = std::move(fresh);
  has_conversation = true;
}

void Thread::announce_contact(WriteSet& out) const {
  out.contact = contact;
  if (contact_stored || out.contact_is_new) return;
  out.contact_is_new = true;
  out.new_identities = contact->identities;
}

void Thread::add_message(JournalEntry&& entry, WriteSet& out) {
  out.entries.push_back(std::move(entry));
  auto& added = out.entries.back();
  added.conversation_id = conversation.id;
  auto& last = conversation.last_message;
  // The writer gives the sequence; until then it is counted from the end of this set.
  last.seq = -static_cast<Sequence>(out.entries.size());
  last.at = added.at;
  last.direction = static_cast<std::uint8_t>(added.direction);
  last.channel = added.channel;
  last.preview = text::preview(added.body);
  conversation.updated_at = added.at;
  conversation.marks.channel = added.channel;
  added.after = conversation.marks;
  added.unread = conversation.unread;
  announce_contact(out);
  out.put(conversation);
}

void Thread::add_outstanding(const Delivery& delivery) {
  if (outstanding.size() >= outstanding_max) {
    auto old = std::find_if(outstanding.begin(), outstanding.end(), [](const Delivery& d) {
      return d.status == MessageStatus::delivered;
    });
    if (old != outstanding.end()) {
      outstanding.erase(old);
      outstanding_complete = false;
    }
  }
  outstanding.push_back(delivery);
}

void Thread::receive(const Inbound& in, IntegrationId integration, const std::string& dedupe_key,
                     const std::string& raw, TimePoint now, const ThreadPolicy& policy,
                     WriteSet& out) {
  ensure_conversation(now, policy);
  if (!in.profile_name.empty() && contact->name.empty()) {
    auto named = std::make_shared<Contact>(*contact);
    named->name = in.profile_name;
    named->updated_at = now;
    contact = named;
    out.contact_changed = true;
  }
  auto& reach = reach_for(in.channel, in.address);
  reach.integration_id = integration;

  JournalEntry entry;
  entry.at = now;
  entry.channel = in.channel;
  entry.provider = in.provider;
  entry.integration_id = integration;
  entry.dedupe_key = dedupe_key;
  entry.subject = in.subject;
  entry.body = in.body;
  entry.attachments = in.attachments;
  entry.raw = raw;
  entry.before = conversation.marks;

  if (!in.echo) {
    reach.last_inbound_at = std::max(reach.last_inbound_at, event_time(in.at, now));
    entry.direction = Direction::inbound;
    entry.status = MessageStatus::received;
    conversation.marks.status = ConversationStatus::open;
    conversation.resolved_at = {};
    ++conversation.unread;
    ++conversation.inbound_count;
    add_message(std::move(entry), out);
    return;
  }

  Delivery delivery;
  delivery.conversation_id = conversation.id;
  delivery.contact_id = contact->id;
  delivery.channel = in.channel;
  delivery.provider = in.provider;
  delivery.integration_id = integration;
  delivery.address = in.address;
  delivery.provider_message_id = in.provider_message_id;
  delivery.created_at = now;
  delivery.sent_at = event_time(in.at, now);
  delivery.status = MessageStatus::sent;
  if (known(reach.delivered_up_to) && delivery.sent_at <= reach.delivered_up_to)
    delivery.status = MessageStatus::delivered;
  if (known(reach.read_up_to) && delivery.sent_at <= reach.read_up_to)
    delivery.status = MessageStatus::read;
  entry.direction = Direction::outbound;
  entry.status = delivery.status;
  ++conversation.outbound_count;
  add_message(std::move(entry), out);
  delivery.message_seq = conversation.last_message.seq;
  if (!settled(delivery.status)) add_outstanding(delivery);
  out.put(delivery);
}

Result<void> Thread::reply(const ReplyRequest& request, const RouteChooser& routes, TimePoint now,
                           WriteSet& out) {
  if (text::trim(request.body).empty() && request.attachments.empty())
    return fail(invalid("/body", "a message needs a body or an attachment"));
  Channel channel = request.channel;
  if (channel == Channel::none) channel = conversation.marks.channel;
  if (channel == Channel::none && !contact->identities.empty())
    channel = contact->identities.front().channel;
  if (request.body.size() > body_bytes_max(channel))
    return fail(invalid("/body", std::string("longer than ") + std::string(to_string(channel)) +
                                     " carries: " + std::to_string(body_bytes_max(channel)) +
                                     " bytes"));
  const Reach* reach = conversation.reach_on(channel);
  const Identity* identity = contact->on(channel);
  if (reach == nullptr && identity == nullptr)
    return fail(Errc::no_channel, "the contact has no address on this channel");
  if (auto window = messaging_window(channel)) {
    if (reach == nullptr || !known(reach->last_inbound_at) ||
        now - reach->last_inbound_at > *window)
      return fail(Errc::outside_messaging_window,
                  std::string("the last message from this contact on ") +
                      std::string(to_string(channel)) +
                      " is more than 24 hours old; only an approved template may be sent");
  }
  Route route = routes.choose(channel, reach ? reach->integration_id : IntegrationId{});
  if (route.provider == Provider::none)
    return fail(Errc::no_channel, "no integration of this tenant serves the channel");

  JournalEntry entry;
  entry.at = now;
  entry.direction = Direction::outbound;
  entry.channel = channel;
  entry.provider = route.provider;
  entry.integration_id = route.integration_id;
  entry.status = MessageStatus::queued;
  entry.subject = request.subject;
  entry.body = request.body;
  entry.attachments = request.attachments;
  entry.before = conversation.marks;

  Delivery delivery;
  delivery.conversation_id = conversation.id;
  delivery.contact_id = contact->id;
  delivery.channel = channel;
  delivery.provider = route.provider;
  delivery.integration_id = route.integration_id;
  delivery.address = reach ? reach->address : identity->address;
  delivery.status = MessageStatus::queued;
  delivery.created_at = now;
  delivery.next_at = now;
  if (!route.can_send) {
    delivery.error_code = "sender_not_available";
    delivery.error_detail = "sending through " + std::string(to_string(route.provider)) +
                            " is not available yet; the message waits in the queue";
    entry.error_code = delivery.error_code;
    entry.error_detail = delivery.error_detail;
  }
  ++conversation.outbound_count;
  add_message(std::move(entry), out);
  delivery.message_seq = conversation.last_message.seq;
  add_outstanding(delivery);
  out.put(delivery);
  return {};
}

bool Thread::open(TimePoint now, const ThreadPolicy& policy, WriteSet& out) {
  bool resolved =
      has_conversation && conversation.marks.status == ConversationStatus::resolved;
  if (has_conversation && !resolved) return false;
  Marks before = conversation.marks;
  if (resolved) conversation.resolved_at = now - policy.reopen_within - Millis{1};
  ensure_conversation(now, policy);
  if (!resolved) before = conversation.marks;
  JournalEntry entry;
  entry.kind = EventKind::conversation_updated;
  entry.at = now;
  entry.conversation_id = conversation.id;
  entry.before = entry.after = conversation.marks;
  conversation.updated_at = now;
  announce_contact(out);
  out.entries.push_back(std::move(entry));
  out.put(conversation);
  return true;
}

void Thread::change(Delivery& delivery, const Delivery& to, TimePoint now, WriteSet& out) {
  delivery = to;
  JournalEntry entry;
  entry.kind = EventKind::message_status;
  entry.at = now;
  entry.conversation_id = delivery.conversation_id;
  entry.direction = Direction::outbound;
  entry.channel = delivery.channel;
  entry.provider = delivery.provider;
  entry.integration_id = delivery.integration_id;
  entry.status = delivery.status;
  entry.subject_seq = delivery.message_seq;
  entry.error_code = delivery.error_code;
  entry.error_detail = delivery.error_detail;
  entry.provider_code = delivery.provider_code;
  entry.before = entry.after = conversation.marks;
  entry.unread = conversation.unread;
  announce_contact(out);
  out.entries.push_back(std::move(entry));
  out.put(delivery);
}

int Thread::report(const Receipt& receipt, const Delivery* found, IntegrationId integration,
                   const std::string& dedupe_key, const std::string& raw, TimePoint now,
                   WriteSet& out) {
  int changed = 0;
  std::size_t first_entry = out.entries.size();
  auto apply = [&](Delivery& delivery) {
    if (!advances(delivery.status, receipt.status)) return;
    Delivery to = delivery;
    to.status = receipt.status;
    if (to.provider_message_id.empty()) to.provider_message_id = receipt.provider_message_id;
    if (!known(to.sent_at)) to.sent_at = event_time(receipt.at, now);
    bool bad = receipt.status == MessageStatus::failed ||
               receipt.status == MessageStatus::bounced ||
               receipt.status == MessageStatus::complained;
    to.error_code = bad ? "provider_" + std::string(to_string(receipt.status)) : "";
    to.error_detail = bad ? receipt.error_detail : "";
    to.provider_code = bad ? receipt.error_code : "";
    change(delivery, to, now, out);
    ++changed;
  };
  if (known(receipt.watermark)) {
    auto& reach = reach_for(receipt.channel, receipt.address);
    auto& mark = receipt.status == MessageStatus::read ? reach.read_up_to : reach.delivered_up_to;
    if (receipt.watermark > mark && has_conversation) {
      mark = receipt.watermark;
      out.put(conversation);
    }
    for (auto& delivery : outstanding)
      if (delivery.channel == receipt.channel && known(delivery.sent_at) &&
          delivery.sent_at <= receipt.watermark)
        apply(delivery);
  } else {
    auto mine = std::find_if(outstanding.begin(), outstanding.end(), [&](const Delivery& d) {
      return found ? d.message_seq == found->message_seq
                   : !d.provider_message_id.empty() && d.provider == receipt.provider &&
                         d.provider_message_id == receipt.provider_message_id;
    });
    if (mine != outstanding.end()) {
      apply(*mine);
    } else if (found != nullptr) {
      Delivery copy = *found;
      // All that is unsettled stands in `outstanding`: this one was settled after it was looked up,
      // and only a complaint can still change it.
      if (!settled(copy.status) && outstanding_complete)
        copy.status = MessageStatus::read;
      apply(copy);
    }
  }
  std::erase_if(outstanding, [](const Delivery& d) { return settled(d.status); });
  if (changed == 0) {
    JournalEntry kept;
    kept.kind = EventKind::webhook_kept;
    kept.at = now;
    kept.channel = receipt.channel;
    kept.provider = receipt.provider;
    kept.integration_id = integration;
    kept.body = "status:" + receipt.event;
    out.entries.push_back(std::move(kept));
  }
  out.entries[first_entry].dedupe_key = dedupe_key;
  out.entries[first_entry].raw = raw;
  return changed;
}

int Thread::settle(const Delivery& outcome, TimePoint now, WriteSet& out) {
  auto mine = std::find_if(outstanding.begin(), outstanding.end(), [&](const Delivery& d) {
    return d.message_seq == outcome.message_seq;
  });
  if (mine == outstanding.end()) return 0;
  // This very outcome is recorded already: only the answer to that commit was lost.
  if (mine->status == outcome.status && mine->attempt == outcome.attempt &&
      mine->provider_message_id == outcome.provider_message_id)
    return 1;
  // The provider's answer may come after its own signed report: then only the id is news.
  Delivery to = outcome;
  if (!advances(mine->status, outcome.status)) {
    if (!mine->provider_message_id.empty() || outcome.provider_message_id.empty()) return 0;
    to = *mine;
    to.provider_message_id = outcome.provider_message_id;
    *mine = to;
    out.put(to);
    return 1;
  }
  change(*mine, to, now, out);
  std::erase_if(outstanding, [](const Delivery& d) { return settled(d.status); });
  return 1;
}

void Thread::retract(Sequence message_seq, IntegrationId integration,
                     const std::string& dedupe_key, const std::string& raw, TimePoint now,
                     WriteSet& out) {
  JournalEntry entry;
  entry.kind = EventKind::message_retracted;
  entry.at = now;
  entry.conversation_id = conversation.id;
  entry.integration_id = integration;
  entry.subject_seq = message_seq;
  entry.dedupe_key = dedupe_key;
  entry.raw = raw;
  entry.before = entry.after = conversation.marks;
  entry.unread = conversation.unread;
  announce_contact(out);
  out.entries.push_back(std::move(entry));
  if (conversation.last_message.seq == message_seq) {
    conversation.last_message.preview.clear();
    out.put(conversation);
  }
}

void Thread::numbered(const WriteSet& set, Sequence first) {
  auto resolve = [&](Sequence s) { return WriteSet::resolve(s, first); };
  contact_stored = contact_stored || set.contact_is_new;
  conversation.last_message.seq = resolve(conversation.last_message.seq);
  if (!set.conversations.empty() && !set.entries.empty())
    conversation.seq = first + static_cast<Sequence>(set.entries.size()) - 1;
  for (auto& delivery : outstanding) delivery.message_seq = resolve(delivery.message_seq);
}

}  // namespace sara::domain
