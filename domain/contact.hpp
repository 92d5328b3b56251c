// A contact: a person, and the addresses on which we know them.
#pragma once

#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/time.hpp"
#include "domain/channel.hpp"

namespace sara::domain {

struct Identity {
  Channel channel = Channel::none;
  std::string address;  ///< normalised: E.164, lower-case e-mail domain, provider's id as given
  bool verified = false;

  bool operator==(const Identity&) const = default;
};

struct Contact {
  ContactId id;
  std::string external_id;
  std::string name;
  std::vector<Identity> identities;
  TimePoint created_at{};
  TimePoint updated_at{};

  const Identity* on(Channel channel) const {
    for (auto& identity : identities)
      if (identity.channel == channel) return &identity;
    return nullptr;
  }
};

/// Normalises an address as it is stored and looked up.
/// errors: invalid_argument - not an address of that channel (a phone number that is not E.164)
Result<std::string> normalise_address(Channel channel, std::string_view address);

}  // namespace sara::domain
