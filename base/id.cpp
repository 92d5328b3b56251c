// UUIDs as text, UUIDv7 from the clock, and message ids that name a place in the journal.
#include "base/id.hpp"

#include <array>

#include "base/random.hpp"

namespace sara {
namespace {

constexpr std::uint64_t version_7 = 0x7000;
constexpr std::uint64_t variant = 0x8000'0000'0000'0000;
constexpr int sequence_bits = 40;
constexpr std::uint64_t sequence_mask = (std::uint64_t{1} << sequence_bits) - 1;

std::uint64_t timestamp_bits(TimePoint at) {
  return (static_cast<std::uint64_t>(to_millis(at)) & 0xFFFF'FFFF'FFFF) << 16;
}

/// 34 well mixed bits of a tenant (the finaliser of SplitMix64). Ids in the database depend on it:
/// it can never change.
std::uint64_t tenant_bits(TenantId tenant) {
  std::uint64_t x = tenant.hi ^ (tenant.lo * 0x9E3779B97F4A7C15ull);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return (x ^ (x >> 31)) >> 30;
}

constexpr std::array<signed char, 256> hex_values = [] {
  std::array<signed char, 256> t{};
  t.fill(-1);
  for (int i = 0; i < 10; ++i) t[static_cast<std::size_t>('0' + i)] = static_cast<signed char>(i);
  for (int i = 0; i < 6; ++i) {
    t[static_cast<std::size_t>('a' + i)] = static_cast<signed char>(10 + i);
    t[static_cast<std::size_t>('A' + i)] = static_cast<signed char>(10 + i);
  }
  return t;
}();

constexpr auto hex_pairs = [] {
  constexpr char digits[] = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> t{};
  for (std::size_t i = 0; i < 256; ++i) t[i] = {digits[i >> 4], digits[i & 15]};
  return t;
}();

}  // namespace

void append_to(std::string& out, const Uuid& id) {
  std::array<char, 36> text;
  char* to = text.data();
  for (int byte = 0; byte < 16; ++byte) {
    if (byte == 4 || byte == 6 || byte == 8 || byte == 10) *to++ = '-';
    const std::uint64_t half = byte < 8 ? id.hi : id.lo;
    const auto& pair = hex_pairs[(half >> (56 - 8 * (byte & 7))) & 0xFF];
    *to++ = pair[0];
    *to++ = pair[1];
  }
  out.append(text.data(), text.size());
}

std::string to_string(const Uuid& id) {
  std::string out;
  append_to(out, id);
  return out;
}

Result<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != 36) return fail(Errc::malformed, "not a UUID");
  Uuid id;
  int nibble = 0;
  for (std::size_t i = 0; i < 36; ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return fail(Errc::malformed, "not a UUID");
      continue;
    }
    const int digit = hex_values[static_cast<unsigned char>(text[i])];
    if (digit < 0) return fail(Errc::malformed, "not a UUID");
    std::uint64_t& half = nibble++ < 16 ? id.hi : id.lo;
    half = half << 4 | static_cast<std::uint64_t>(digit);
  }
  return id;
}

Uuid make_uuid(TimePoint now) {
  const std::uint64_t a = random_u64();
  const std::uint64_t b = random_u64();
  return {timestamp_bits(now) | version_7 | (a & 0xFFF), variant | (b >> 2)};
}

MessageId message_id(TenantId tenant, Sequence seq, TimePoint at) {
  ensure(seq > 0 && static_cast<std::uint64_t>(seq) <= sequence_mask, "sequence out of range");
  const std::uint64_t bits = tenant_bits(tenant);
  return MessageId{
      Uuid{timestamp_bits(at) | version_7 | (bits >> 22),
           variant | (bits & 0x3F'FFFF) << sequence_bits | static_cast<std::uint64_t>(seq)}};
}

Sequence sequence_of(MessageId id) {
  return static_cast<Sequence>(id.lo & sequence_mask);
}

}  // namespace sara
