// The inbox: which conversations a filter shows, in the list and in the live feed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "domain/contact.hpp"
#include "domain/conversation.hpp"

namespace sara::domain {

/// One row of the inbox list.
struct InboxRow {
  Conversation conversation;
  Contact contact;
};

/// The inbox's filters; an empty member does not filter.
struct InboxFilter {
  std::optional<ConversationStatus> status;
  std::optional<Channel> channel;
  std::optional<std::string> intent;
  std::optional<std::string> urgency;
  std::optional<std::string> assigned_to;  ///< an id or name; "": nobody
  std::optional<bool> flagged;
  std::optional<bool> sla_breached;
  std::optional<std::string> label;
  std::string text;  ///< searched in the contact's name, addresses and the last message

  bool empty() const;
  bool operator==(const InboxFilter&) const = default;
};

enum class InboxSort : std::uint8_t { newest, oldest, sla_due, urgency };

/// One filter by its query name: status, channel, intent, urgency, assigned_to, flagged, sla,
/// label, q. me: what `assigned_to=me` means.
/// errors: invalid_argument - unknown name or value
Result<void> set_filter(InboxFilter& filter, std::string_view name, std::string_view value,
                        std::string_view me);

/// True if a conversation with these marks passes all filters but the text.
bool passes(const InboxFilter& filter, const Marks& marks);
/// True if the text is found in the contact or the preview, ASCII case ignored.
bool mentions(const std::string& text, const Contact& contact, std::string_view preview);

}  // namespace sara::domain
