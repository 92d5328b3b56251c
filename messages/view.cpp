// JSON of conversations, messages and events.
#include "messages/view.hpp"

#include "messages/inbox.hpp"

namespace sara::messages {

using namespace domain;

namespace {

void write_time(json::Writer& w, std::string_view name, TimePoint t) {
  if (known(t))
    w.member(name, to_rfc3339(t));
  else
    w.key(name).null();
}

std::string message_name(TenantId tenant, Sequence seq, TimePoint at) {
  return to_string(message_id(tenant, seq, at));
}

}  // namespace

void write_contact(json::Writer& w, const Contact& contact) {
  w.begin_object().member("id", to_string(contact.id));
  w.member_or_null("external_id", contact.external_id).member_or_null("name", contact.name);
  w.key("identities").begin_array();
  for (auto& i : contact.identities) {
    w.begin_object().member("channel", to_string(i.channel)).member("address", i.address);
    w.member("verified", i.verified).end_object();
  }
  w.end_array();
  w.key("attributes").begin_object().end_object();
  w.key("consent").begin_object().end_object();
  w.key("suppressed").begin_array().end_array();
  write_time(w, "created_at", contact.created_at);
  write_time(w, "updated_at", contact.updated_at);
  w.end_object();
}

void write_conversation(json::Writer& w, TenantId tenant, const Conversation& c,
                        const Contact& contact, bool single) {
  w.begin_object().member("id", to_string(c.id));
  w.key("contact").begin_object().member("id", to_string(contact.id));
  w.member_or_null("name", contact.name).key("identities").begin_array();
  for (auto& i : contact.identities) {
    w.begin_object().member("channel", to_string(i.channel)).member("address", i.address);
    w.member("verified", i.verified).end_object();
  }
  w.end_array().end_object();
  if (c.marks.channel == Channel::none)
    w.key("channel").null();
  else
    w.member("channel", to_string(c.marks.channel));
  w.member("status", to_string(c.marks.status));
  w.member_or_null("assigned_to", c.marks.assigned_to).member("flagged", c.marks.flagged);
  w.key("labels").begin_array();
  for (auto& label : c.marks.labels) w.string(label);
  w.end_array().member("unread", c.unread);
  w.key("last_message");
  if (c.last_message.seq == 0) {
    w.null();
  } else {
    auto& m = c.last_message;
    w.begin_object().member("id", message_name(tenant, m.seq, m.at));
    w.member("direction", to_string(static_cast<Direction>(m.direction)));
    w.member("channel", to_string(m.channel)).member("preview", m.preview);
    w.member("at", to_rfc3339(m.at)).end_object();
  }
  w.member_or_null("intent", c.marks.intent);
  w.key("sentiment");
  if (c.has_sentiment)
    w.number(c.sentiment);
  else
    w.null();
  w.member_or_null("urgency", c.marks.urgency);
  w.key("sla").begin_object();
  write_time(w, "due_at", c.marks.sla_due_at);
  w.member("breached", c.marks.sla_breached).end_object();
  w.member("state", c.state);
  if (single) {
    w.key("facts").begin_object().end_object();
    w.key("assignee_history").begin_array().end_array();
    w.key("snoozed_until").null();
    write_time(w, "opened_at", c.opened_at);
    write_time(w, "resolved_at", c.resolved_at);
  }
  write_time(w, "updated_at", c.updated_at);
  w.member("seq", c.seq).end_object();
}

void write_message(json::Writer& w, TenantId tenant, const JournalEntry& e,
                   const Delivery* delivery, const Conversation* conversation,
                   const Contact* contact) {
  w.begin_object().member("id", message_name(tenant, e.seq, e.at));
  w.member("conversation_id", to_string(e.conversation_id));
  w.member("direction", to_string(e.direction)).member("channel", to_string(e.channel));
  w.member("body", e.body);
  if (!e.subject.empty()) w.member("subject", e.subject);
  w.key("attachments").begin_array();
  for (std::size_t i = 0; i < e.attachments.size(); ++i) {
    auto& a = e.attachments[i];
    // A mail's files came with it: they are served from what was kept.
    bool inside = a.url.empty() && e.provider == Provider::sendgrid;
    w.begin_object().member("type", a.type);
    w.member("url", inside ? "/api/v1/messages/" + message_name(tenant, e.seq, e.at) +
                                 "/attachments/" + std::to_string(i)
                           : a.url);
    if (!a.name.empty()) w.member("name", a.name);
    if (a.size_bytes > 0) w.member("size", a.size_bytes);
    w.end_object();
  }
  w.end_array();
  bool sent = delivery != nullptr && delivery->message_seq != 0;
  w.member("status", to_string(sent ? delivery->status : e.status));
  w.member("provider", to_string(e.provider));
  std::string_view id = sent ? delivery->provider_message_id : provider_message_id(e.dedupe_key);
  w.member_or_null("provider_message_id", id);
  if (sent && !delivery->error_code.empty()) {
    w.key("error").begin_object().member("code", delivery->error_code);
    w.member("detail", delivery->error_detail);
    if (!delivery->provider_code.empty()) w.member("provider_code", delivery->provider_code);
    w.end_object();
  }
  w.member("created_at", to_rfc3339(e.at)).member("seq", e.seq);
  if (conversation != nullptr && contact != nullptr) {
    w.key("conversation");
    write_conversation(w, tenant, *conversation, *contact);
  }
  w.end_object();
}

void write_failure(json::Writer& w, const JournalEntry& e) {
  w.begin_object().member("seq", e.seq).member("provider", to_string(e.provider));
  w.member("integration_id", to_string(e.integration_id));
  w.member("reason", e.body).member("at", to_rfc3339(e.at)).end_object();
}

std::shared_ptr<const FeedEvent> render_event(const JournalEvent& event) {
  auto& e = event.entry;
  auto out = std::make_shared<FeedEvent>();
  out->seq = e.seq;
  out->before = e.before;
  out->after = e.after;
  out->contact = event.contact;
  out->about_conversation = static_cast<bool>(e.conversation_id);
  if (event.conversation) out->preview = event.conversation->last_message.preview;
  out->head = "{\"type\":\"" + std::string(to_string(e.kind)) + "\",\"seq\":" +
              std::to_string(e.seq);
  std::string& tail = out->tail;
  tail = ",\"at\":\"" + to_rfc3339(e.at) + "\",\"data\":";
  {
    json::Writer w(tail);
    if (e.kind == EventKind::message_created) {
      write_message(w, event.tenant_id, e, event.delivery.get(), event.conversation.get(),
                    event.contact.get());
    } else if ((e.kind == EventKind::message_status || e.kind == EventKind::message_retracted) &&
               event.message) {
      write_message(w, event.tenant_id, *event.message, event.delivery.get());
    } else if (event.conversation && event.contact) {
      write_conversation(w, event.tenant_id, *event.conversation, *event.contact);
    } else {
      w.begin_object().member("provider", to_string(e.provider));
      w.member("detail", e.body);
      if (e.kind == EventKind::webhook_unmatched)
        w.member("provider_message_id", e.subject).member("status", to_string(e.status));
      w.end_object();
    }
  }
  tail += '}';
  return out;
}

}  // namespace sara::messages
