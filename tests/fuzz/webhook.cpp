#include "tests/fuzz/webhook.hpp"

#include "base/text.hpp"
#include "tests/fuzz/target.hpp"

namespace sara::fuzz {

namespace {

bool storable(std::string_view s) {
  return text::valid_utf8(s) && s.find('\0') == s.npos;
}

std::string number(std::int64_t value) {
  return std::to_string(value);
}

/// Every text of an event, in one fixed order.
std::vector<std::string> texts(const domain::Inbound& in) {
  std::vector<std::string> out = {in.address,      in.account, in.provider_message_id,
                                  in.profile_name, in.subject, in.body,
                                  in.reference};
  for (const auto& a : in.attachments) out.insert(out.end(), {a.type, a.url, a.name});
  return out;
}
std::vector<std::string> texts(const domain::Receipt& r) {
  return {r.provider_message_id, r.address,   r.event, r.error_code,
          r.error_detail,        r.reference, r.key};
}
std::vector<std::string> texts(const domain::Retraction& gone) {
  return {gone.address, gone.provider_message_id};
}
std::vector<std::string> texts(const domain::Kept& kept) {
  return {kept.kind};
}
std::vector<std::string> texts(const domain::Unusable& unusable) {
  return {unusable.reason};
}

/// Everything else that it says.
std::string numbers(const domain::Inbound& in) {
  std::string out = number(static_cast<int>(in.channel)) + "/" +
                    number(static_cast<int>(in.provider)) + (in.echo ? "/echo/" : "/") +
                    number(to_millis(in.at));
  for (const auto& a : in.attachments) out += "/" + number(a.size_bytes);
  return out;
}
std::string numbers(const domain::Receipt& r) {
  return number(static_cast<int>(r.channel)) + "/" + number(static_cast<int>(r.provider)) + "/" +
         number(static_cast<int>(r.status)) + "/" + number(to_millis(r.watermark)) + "/" +
         number(to_millis(r.at));
}
std::string numbers(const domain::Retraction& gone) {
  return number(static_cast<int>(gone.channel)) + "/" + number(static_cast<int>(gone.provider)) +
         "/" + number(to_millis(gone.at));
}
std::string numbers(const domain::Kept&) {
  return {};
}
std::string numbers(const domain::Unusable&) {
  return {};
}

void demand_whole(const domain::Inbound& in) {
  demand(!in.address.empty(), "a message from nobody");
  demand(!in.provider_message_id.empty(), "a message without an id");
  demand(in.provider != domain::Provider::none, "a message of no provider");
  demand(in.channel != domain::Channel::none, "a message of no channel");
}
void demand_whole(const domain::Receipt& r) {
  demand(!r.key.empty(), "a receipt without a key");
  demand(!r.event.empty(), "a receipt without the provider's word");
}
void demand_whole(const domain::Retraction& gone) {
  demand(!gone.provider_message_id.empty(), "nothing is retracted");
}
void demand_whole(const domain::Kept& kept) {
  demand(!kept.kind.empty(), "kept as nothing");
}
void demand_whole(const domain::Unusable& unusable) {
  demand(!unusable.reason.empty(), "unusable for no reason");
}

}  // namespace

std::unique_ptr<providers::ChannelCodec> make_codec(domain::Provider provider,
                                                    const providers::Fields& credentials,
                                                    const providers::Fields& settings) {
  auto made = providers::make_codec(provider, credentials, settings);
  demand(made.has_value(), "no such integration");
  return std::move(*made);
}

TimePoint arrival() {
  return from_millis(1'700'000'300'000);
}

Result<Events> receive(const providers::ChannelCodec& codec, const Post& post) {
  const std::string_view url = post.url;
  const auto mark = url.find('?');
  const auto header = [&](std::string_view name) {
    const auto found = post.headers.find(name);
    return found == post.headers.end() ? std::string_view{} : std::string_view(found->second);
  };
  return codec.receive(
      {post.method, url, mark == url.npos ? std::string_view{} : url.substr(mark + 1),
       post.content_type, post.body, header},
      arrival());
}

void demand_sound(const Result<Events>& received, char letter, std::size_t body_bytes) {
  demand(received.has_value(), "a signed body is refused");
  demand(received->size() <= 10'000, "too many events");
  std::size_t bytes = 0;
  for (const auto& event : *received) {
    const auto& key = event.dedupe_key;
    demand(key.size() > 2 && key.size() <= 200, "a key out of its limits");
    demand(key[0] == letter && key[1] == '/' && storable(key), "not such a key");
    demand(!event.raw.empty() || body_bytes == 0, "an event without its bytes");
    bytes += event.raw.size();
    std::visit(
        [&](const auto& what) {
          demand_whole(what);
          for (const auto& text : texts(what)) {
            demand(storable(text), "a text that cannot be stored");
            bytes += text.size();
          }
        },
        event.what);
  }
  // What an event adds of its own (envelope, shared ids and names) has limits of its own.
  demand(bytes <= 8 * body_bytes + 8192 * received->size(), "a small body unfolds");
}

std::string told(const domain::WebhookEvent& event) {
  std::string out = number(static_cast<std::int64_t>(event.what.index()));
  std::visit(
      [&](const auto& what) {
        out += ":" + numbers(what);
        for (const auto& text : texts(what)) out += "\n" + text;
      },
      event.what);
  return out;
}

void demand_replay(const domain::WebhookEvent& event, const Result<Events>& again) {
  demand(again.has_value(), "an event's own bytes are refused");
  demand(again->size() == 1, "an event's own bytes are not one event");
  demand(told(again->front()) == told(event), "an event's own bytes tell something else");
  demand(again->front().dedupe_key == event.dedupe_key, "an event's own bytes have another key");
}

}  // namespace sara::fuzz
