// What a client of the live feed sends: whatever is accepted is a command within its limits.
#include "http/feed_command.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;
using Type = http::FeedCommand::Type;

bool fits(const std::optional<std::string>& value, std::size_t bytes_max) {
  return !value || (value->size() <= bytes_max && text::valid_utf8(*value));
}

void demand_filter(const domain::InboxFilter& filter) {
  demand(fits(filter.intent, 32) && fits(filter.urgency, 16), "a filter by an unknown word");
  demand(fits(filter.assigned_to, 200) && fits(filter.label, 100), "a filter that is too long");
  demand(fits(filter.text, 200), "a text that is too long");
  // A filter that was accepted can be asked of anything.
  domain::passes(filter, {});
  domain::mentions(filter.text, {}, "preview");
}

void attack(std::string_view bytes) {
  const auto command = http::parse_feed_command(bytes, "key00001");
  if (!command) {
    const auto& error = command.error();
    demand(error.code == Errc::malformed || error.code == Errc::invalid_argument, "another error");
    demand(text::valid_utf8(error.detail), "a detail that is not UTF-8");
    for (const auto& field : error.fields)
      demand(text::valid_utf8(field.pointer) && text::valid_utf8(field.detail), "not UTF-8");
    return;
  }
  const bool about_one = command->type == Type::typing || command->type == Type::viewing;
  demand(about_one == ConversationId::parse(command->conversation_id).has_value(),
         "a presence without its conversation");
  if (command->type != Type::subscribe)
    demand(command->filter.empty() && !command->after, "a filter without a subscription");
  demand(!command->after || *command->after >= 0, "a sequence below zero");
  demand_filter(command->filter);
}

[[maybe_unused]] const bool added = fuzz::add_target("feed_command", attack);

}  // namespace
