// An integration: a tenant's account at a provider, and the channels it serves.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/time.hpp"
#include "domain/conversation.hpp"

namespace sara::domain {

struct Integration {
  IntegrationId id;
  TenantId tenant_id;
  Provider provider = Provider::none;
  std::string name;
  std::string endpoint;  ///< the unguessable part of its webhook URL: at least 128 random bits
  std::map<std::string, std::string> credentials;  ///< opened; never leaves the process
  std::string settings = "{}";                     ///< JSON object
  std::string base_url;
  TimePoint created_at{};
  TimePoint updated_at{};
  std::int64_t version = 1;
};

/// Channels that an integration can carry outbound messages on.
/// sandbox_channels: its settings.channels; empty: all.
std::vector<Channel> channels_of(const Integration& integration,
                                 const std::vector<Channel>& sandbox_channels);

/// A tenant as the edge and the actors need it at every step: immutable, replaced as a whole.
struct TenantSnapshot : RouteChooser {
  TenantId id;
  std::string name;
  struct Offer {
    Integration integration;
    std::vector<Channel> channels;
  };
  std::vector<Offer> offers;  ///< oldest first
  /// How many transactions had ended when it was read: an older reading never replaces a newer.
  std::int64_t as_of = 0;

  const Integration* find(IntegrationId integration_id) const;
  /// The integration that carried the last inbound, else the oldest that serves the channel; the
  /// sandbox only where no other serves it.
  Route choose(Channel channel, IntegrationId carried_last_inbound) const override;
};

}  // namespace sara::domain
