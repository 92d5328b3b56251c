// The JSON forms of api.md's objects, for the routes and the live feed alike.
#pragma once

#include <string>

#include "base/json.hpp"
#include "domain/inbox.hpp"
#include "domain/journal.hpp"

namespace sara::messages {

void write_contact(json::Writer& w, const domain::Contact& contact);
/// The conversation's inbox row; `single` adds what GET /conversations/{id} has more.
void write_conversation(json::Writer& w, TenantId tenant, const domain::Conversation& c,
                        const domain::Contact& contact, bool single = false);
/// delivery: null for what is not outbound. with: the inbox row to carry inside, or null.
void write_message(json::Writer& w, TenantId tenant, const domain::JournalEntry& entry,
                   const domain::Delivery* delivery,
                   const domain::Conversation* conversation = nullptr,
                   const domain::Contact* contact = nullptr);
/// One entry of the dead-letter list.
void write_failure(json::Writer& w, const domain::JournalEntry& entry);

}  // namespace sara::messages
