// Which integration carries what.
#include "domain/integration.hpp"

#include <algorithm>

namespace sara::domain {
namespace {

bool has(const std::vector<Channel>& channels, Channel channel) {
  return std::find(channels.begin(), channels.end(), channel) != channels.end();
}

/// The sandbox is the only sender yet; the others' messages wait in the queue and say so.
Route route_through(const Integration& integration) {
  return Route{integration.id, integration.provider, integration.provider == Provider::sandbox};
}

}  // namespace

std::vector<Channel> channels_of(const Integration& integration,
                                 const std::vector<Channel>& sandbox_channels) {
  auto filled = [&](const char* field) {
    auto i = integration.credentials.find(field);
    return i != integration.credentials.end() && !i->second.empty();
  };
  switch (integration.provider) {
    case Provider::twilio: return {Channel::sms, Channel::whatsapp};
    case Provider::sendgrid: return {Channel::email};
    case Provider::meta: {
      std::vector<Channel> channels;
      if (filled("page_id")) channels.push_back(Channel::messenger);
      if (filled("instagram_account_id")) channels.push_back(Channel::instagram);
      if (filled("phone_number_id")) channels.push_back(Channel::whatsapp);
      // An app without ids takes what its webhook brings; it can answer the same way.
      if (channels.empty()) channels = {Channel::messenger, Channel::instagram, Channel::whatsapp};
      return channels;
    }
    case Provider::sandbox:
      if (!sandbox_channels.empty()) return sandbox_channels;
      return {Channel::email,     Channel::sms,  Channel::whatsapp, Channel::messenger,
              Channel::instagram, Channel::chat, Channel::custom};
    default: return {};
  }
}

const Integration* TenantSnapshot::find(IntegrationId integration_id) const {
  for (auto& offer : offers)
    if (offer.integration.id == integration_id) return &offer.integration;
  return nullptr;
}

Route TenantSnapshot::choose(Channel channel, IntegrationId carried_last_inbound) const {
  for (auto& offer : offers)
    if (offer.integration.id == carried_last_inbound && has(offer.channels, channel))
      return route_through(offer.integration);
  const Offer* sandbox = nullptr;
  for (auto& offer : offers) {
    if (!has(offer.channels, channel)) continue;
    if (offer.integration.provider != Provider::sandbox) return route_through(offer.integration);
    if (sandbox == nullptr) sandbox = &offer;
  }
  return sandbox ? route_through(sandbox->integration) : Route{};
}

}  // namespace sara::domain
