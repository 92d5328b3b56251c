#include "http/feed_command.hpp"

#include "base/json.hpp"
#include "http/check.hpp"

namespace sara::http {

using domain::set_filter;

Result<FeedCommand> parse_feed_command(std::string_view text, std::string_view me) {
  auto doc = json::parse(text);
  if (!doc) return fail(doc.error());
  auto root = doc->root();
  auto type = root["type"].string_or("");
  FeedCommand command;
  if (type == "ping") {
    command.type = FeedCommand::Type::ping;
    if (auto known = only_members(root, "", {"type"}); !known) return fail(known.error());
    return command;
  }
  if (type == "typing" || type == "viewing") {
    command.type = type == "typing" ? FeedCommand::Type::typing : FeedCommand::Type::viewing;
    if (auto known = only_members(root, "", {"type", "conversation_id"}); !known)
      return fail(known.error());
    command.conversation_id = root["conversation_id"].string_or("");
    if (!ConversationId::parse(command.conversation_id))
      return fail(invalid("/conversation_id", "is not an id"));
    return command;
  }
  if (type != "subscribe")
    return fail(invalid("/type", "must be subscribe, typing, viewing or ping"));
  command.type = FeedCommand::Type::subscribe;
  if (auto known = only_members(root, "", {"type", "filter", "after"}); !known)
    return fail(known.error());
  if (auto after = root["after"]; after.exists() && !after.is_null()) {
    command.after = after.integer();
    if (!command.after || *command.after < 0)
      return fail(invalid("/after", "must be a sequence number"));
  }
  auto filter = root["filter"];
  if (filter.exists() && !filter.is_null() && !filter.is_object())
    return fail(invalid("/filter", "must be an object"));
  for (auto& [name, value] : filter.members()) {
    if (value.is_null()) continue;
    std::string as_text = value.string()    ? std::string(*value.string())
                          : value.boolean() ? (*value.boolean() ? "true" : "false")
                                            : std::string();
    if (as_text.empty()) return fail(invalid("/filter/" + std::string(name), "must be a string"));
    if (auto set = set_filter(command.filter, name, as_text, me); !set)
      return fail(invalid("/filter/" + std::string(name), set.error().fields.empty()
                                                              ? set.error().detail
                                                              : set.error().fields[0].detail));
  }
  return command;
}

}  // namespace sara::http
