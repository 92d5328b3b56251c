// Filters of the inbox.
#include "domain/inbox.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace sara::domain {
namespace {

constexpr std::array intents{"purchase_intent", "question",    "objection",   "complaint",
                             "compliment",      "feedback",    "unsubscribe", "spam"};
constexpr std::array urgencies{"low", "medium", "high", "critical"};

template <std::size_t N>
bool one_of(const std::array<const char*, N>& names, std::string_view value) {
  return std::any_of(names.begin(), names.end(), [&](const char* n) { return value == n; });
}

Result<bool> parse_bool(std::string_view name, std::string_view value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return fail(invalid("?" + std::string(name), "must be true or false"));
}

}  // namespace

bool InboxFilter::empty() const { return *this == InboxFilter{}; }

Result<void> set_filter(InboxFilter& filter, std::string_view name, std::string_view value,
                        std::string_view me) {
  auto wrong = [&](const char* why) { return fail(invalid("?" + std::string(name), why)); };
  if (name == "status") {
    for (auto s : {ConversationStatus::open, ConversationStatus::pending,
                   ConversationStatus::snoozed, ConversationStatus::resolved})
      if (to_string(s) == value) {
        filter.status = s;
        return {};
      }
    return wrong("must be open, pending, snoozed or resolved");
  }
  if (name == "channel") {
    filter.channel = parse_channel(value);
    if (!filter.channel) return wrong("is not a channel");
    return {};
  }
  if (name == "intent") {
    if (!one_of(intents, value)) return wrong("is not one of the eight intents");
    filter.intent = value;
    return {};
  }
  if (name == "urgency") {
    if (!one_of(urgencies, value)) return wrong("must be low, medium, high or critical");
    filter.urgency = value;
    return {};
  }
  if (name == "assigned_to") {
    if (value.empty() || value.size() > 200) return wrong("must be an id, me or none");
    filter.assigned_to = value == "none" ? std::string{} : std::string(value == "me" ? me : value);
    return {};
  }
  if (name == "flagged") {
    auto flag = parse_bool(name, value);
    if (!flag) return fail(flag.error());
    filter.flagged = *flag;
    return {};
  }
  if (name == "sla") {
    if (value != "breached" && value != "ok") return wrong("must be breached or ok");
    filter.sla_breached = value == "breached";
    return {};
  }
  if (name == "label") {
    if (value.empty() || value.size() > 100) return wrong("must have 1 to 100 bytes");
    filter.label = value;
    return {};
  }
  if (name == "q") {
    if (value.empty() || value.size() > 200) return wrong("must have 1 to 200 bytes");
    filter.text = value;
    return {};
  }
  return wrong("is not a filter of the inbox");
}

bool passes(const InboxFilter& f, const Marks& m) {
  if (f.status && *f.status != m.status) return false;
  if (f.channel && *f.channel != m.channel) return false;
  if (f.intent && *f.intent != m.intent) return false;
  if (f.urgency && *f.urgency != m.urgency) return false;
  if (f.assigned_to && *f.assigned_to != m.assigned_to) return false;
  if (f.flagged && *f.flagged != m.flagged) return false;
  if (f.sla_breached && *f.sla_breached != m.sla_breached) return false;
  if (f.label && std::find(m.labels.begin(), m.labels.end(), *f.label) == m.labels.end())
    return false;
  return true;
}

bool mentions(const std::string& text, const Contact& contact, std::string_view preview) {
  if (text.empty()) return true;
  std::string wanted = text::lower_ascii(text);
  auto has = [&](std::string_view s) {
    return text::lower_ascii(s).find(wanted) != std::string::npos;
  };
  if (has(contact.name) || has(preview)) return true;
  return std::any_of(contact.identities.begin(), contact.identities.end(),
                     [&](const Identity& i) { return has(i.address); });
}

}  // namespace sara::domain
