// Identifiers: UUIDv7, one distinct type for each kind of object.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace sara {

/// 128 bits in network order: `hi` first. Compares as the bytes would.
struct Uuid {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;

  auto operator<=>(const Uuid&) const = default;
  explicit operator bool() const { return (hi | lo) != 0; }
};

/// "0190a6f2-3b7c-7def-8123-456789abcdef"
std::string to_string(const Uuid& id);
void append_to(std::string& out, const Uuid& id);
/// errors: malformed - not 36 characters of the canonical form
Result<Uuid> parse_uuid(std::string_view text);
/// A fresh UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then random bits.
Uuid make_uuid(TimePoint now);

template <class Tag>
struct Id : Uuid {
  Id() = default;
  explicit Id(Uuid u) : Uuid(u) {}
  auto operator<=>(const Id&) const = default;
  static Id make(TimePoint now) { return Id{make_uuid(now)}; }
  static Result<Id> parse(std::string_view text) {
    return parse_uuid(text).map([](Uuid u) { return Id{u}; });
  }
};

using TenantId = Id<struct TenantTag>;
using ContactId = Id<struct ContactTag>;
using ConversationId = Id<struct ConversationTag>;
using IntegrationId = Id<struct IntegrationTag>;
using MessageId = Id<struct MessageTag>;

/// Position of an event in its tenant's journal; the first is 1. Without gaps, in commit order.
using Sequence = std::int64_t;

/// A message's id encodes its place in the journal, so that it needs neither a column nor an index:
/// 48 bits of milliseconds, 12 + 22 bits drawn from the tenant, 40 bits of sequence.
MessageId message_id(TenantId tenant, Sequence seq, TimePoint at);
/// The sequence inside a message id. The row found there must still be checked by message_id().
Sequence sequence_of(MessageId id);

struct UuidHash {
  using is_transparent = void;
  std::size_t operator()(const Uuid& u) const noexcept {
    return static_cast<std::size_t>(u.hi * 0x9E3779B97F4A7C15ull ^ u.lo);
  }
};

}  // namespace sara

template <>
struct std::hash<sara::Uuid> : sara::UuidHash {};
template <class Tag>
struct std::hash<sara::Id<Tag>> : sara::UuidHash {};
