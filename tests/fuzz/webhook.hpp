// What the webhook targets share: a request that owns its bytes, and what must hold of every event
// that a codec makes of it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "providers/channel.hpp"

namespace sara::fuzz {

struct Post {
  std::string method = "POST";
  std::string url = "https://hooks.example.com/webhooks/p/e";
  std::string content_type = "application/json";
  std::string_view body;
  std::map<std::string, std::string, std::less<>> headers;  ///< by their names in the codecs
};

using Events = std::vector<domain::WebhookEvent>;

/// The integration's codec, which must be possible.
std::unique_ptr<providers::ChannelCodec> make_codec(domain::Provider provider,
                                                    const providers::Fields& credentials,
                                                    const providers::Fields& settings = {});

/// The time at which every webhook arrives.
TimePoint arrival();

Result<Events> receive(const providers::ChannelCodec& codec, const Post& post);

/// A signed body never fails, and its events can be stored: at most 10,000, texts in UTF-8 without
/// U+0000, keys of the right letter and length, no more bytes than the body accounts for.
void demand_sound(const Result<Events>& received, char letter, std::size_t body_bytes);

/// Everything an event says, as text; two events that say the same are the same.
std::string told(const domain::WebhookEvent& event);

/// The event's own bytes, received again, are this one event with the same key.
void demand_replay(const domain::WebhookEvent& event, const Result<Events>& again);

}  // namespace sara::fuzz
