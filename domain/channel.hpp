// Channels, providers, and what a channel allows: its messaging window.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.hpp"

namespace sara::domain {

/// Ways to reach a contact. Stored as numbers: append, never reorder.
enum class Channel : std::uint8_t {
  none = 0,
  email,
  sms,
  whatsapp,
  messenger,
  instagram,
  chat,
  linkedin,
  push,
  x,
  custom,
};

/// Companies (or our sandbox) that carry messages. Stored as numbers: append, never reorder.
enum class Provider : std::uint8_t {
  none = 0,
  twilio,
  sendgrid,
  meta,
  sandbox,
  engarde,
};

std::string_view to_string(Channel channel);
std::string_view to_string(Provider provider);
/// The seeds' names are read as ours: facebook = messenger, in_app = chat, twitter = x.
std::optional<Channel> parse_channel(std::string_view name);
std::optional<Provider> parse_provider(std::string_view name);

/// How long after the contact's last inbound message a free-form message may be sent; none: always.
/// source: Meta, "24-hour standard messaging window" (WhatsApp, Messenger, Instagram)
std::optional<Millis> messaging_window(Channel channel);

}  // namespace sara::domain
