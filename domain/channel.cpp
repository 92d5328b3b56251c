// Names and windows of channels.
#include "domain/channel.hpp"

#include <array>
#include <utility>

namespace sara::domain {
namespace {

using namespace std::literals;

constexpr std::array<std::pair<Channel, std::string_view>, 10> channel_names{{
    {Channel::email, "email"},
    {Channel::sms, "sms"},
    {Channel::whatsapp, "whatsapp"},
    {Channel::messenger, "messenger"},
    {Channel::instagram, "instagram"},
    {Channel::chat, "chat"},
    {Channel::linkedin, "linkedin"},
    {Channel::push, "push"},
    {Channel::x, "x"},
    {Channel::custom, "custom"},
}};

constexpr std::array<std::pair<Provider, std::string_view>, 5> provider_names{{
    {Provider::twilio, "twilio"},
    {Provider::sendgrid, "sendgrid"},
    {Provider::meta, "meta"},
    {Provider::sandbox, "sandbox"},
    {Provider::engarde, "engarde"},
}};

}  // namespace

std::string_view to_string(Channel channel) {
  for (auto& [value, name] : channel_names)
    if (value == channel) return name;
  return "none";
}

std::string_view to_string(Provider provider) {
  for (auto& [value, name] : provider_names)
    if (value == provider) return name;
  return "none";
}

std::optional<Channel> parse_channel(std::string_view name) {
  if (name == "facebook") return Channel::messenger;
  if (name == "in_app") return Channel::chat;
  if (name == "twitter") return Channel::x;
  for (auto& [value, known_name] : channel_names)
    if (known_name == name) return value;
  return std::nullopt;
}

std::optional<Provider> parse_provider(std::string_view name) {
  for (auto& [value, known_name] : provider_names)
    if (known_name == name) return value;
  return std::nullopt;
}

std::optional<Millis> messaging_window(Channel channel) {
  switch (channel) {
    case Channel::whatsapp:
    case Channel::messenger:
    case Channel::instagram:
      return 24h;
    default:
      return std::nullopt;
  }
}

}  // namespace sara::domain
