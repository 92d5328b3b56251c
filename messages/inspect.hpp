// How domain values travel in messages: their inspect functions. The domain never sees CAF.
#pragma once

#include <caf/all.hpp>

#include "base/id.hpp"
#include "domain/contact.hpp"
#include "domain/conversation.hpp"
#include "domain/delivery.hpp"
#include "domain/webhook.hpp"

namespace sara {

template <class Inspector, class Tag>
typename Inspector::result_type inspect(Inspector& f, Id<Tag>& x) {
  return f(caf::meta::type_name("Id"), x.hi, x.lo);
}

}  // namespace sara

namespace sara::domain {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Attachment& x) {
  return f(caf::meta::type_name("Attachment"), x.type, x.url, x.name, x.size_bytes);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Inbound& x) {
  return f(caf::meta::type_name("Inbound"), x.channel, x.provider, x.echo, x.address, x.account,
           x.provider_message_id, x.profile_name, x.subject, x.body, x.attachments, x.at,
           x.reference);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Receipt& x) {
  return f(caf::meta::type_name("Receipt"), x.channel, x.provider, x.provider_message_id,
           x.address, x.watermark, x.status, x.at, x.event, x.error_code, x.error_detail,
           x.reference, x.key);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Retraction& x) {
  return f(caf::meta::type_name("Retraction"), x.channel, x.provider, x.address,
           x.provider_message_id, x.at);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, ReplyRequest& x) {
  return f(caf::meta::type_name("ReplyRequest"), x.body, x.channel, x.subject, x.attachments);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Delivery& x) {
  return f(caf::meta::type_name("Delivery"), x.message_seq, x.conversation_id, x.contact_id,
           x.channel, x.provider, x.integration_id, x.address, x.status, x.provider_message_id,
           x.error_code, x.error_detail, x.provider_code, x.attempt, x.created_at, x.sent_at,
           x.next_at, x.not_after);
}

}  // namespace sara::domain
