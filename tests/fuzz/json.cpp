// The JSON reader and writer: what is accepted is written back and reads the same again, and the
// raw texts of its parts are those parts.
#include "base/json.hpp"

#include <string>

#include "base/text.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;

void demand_same(json::Ref a, json::Ref b) {
  demand(a.exists() && b.exists(), "a value is gone");
  demand(a.is_object() == b.is_object() && a.is_array() == b.is_array(), "another kind");
  demand(a.string() == b.string() && a.boolean() == b.boolean(), "another value");
  demand(a.number() == b.number(), "another number");
  // JSON knows one kind of number: 1.0 may come back as 1, but no integer may lose its digits.
  demand(!a.integer() || a.integer() == b.integer(), "another integer");
  demand(a.is_null() == b.is_null() && a.size() == b.size(), "another size");
  for (std::size_t i = 0; a.is_array() && i < a.size(); ++i) demand_same(a.at(i), b.at(i));
  const auto ours = a.members();
  const auto theirs = b.members();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    demand(ours[i].first == theirs[i].first, "another key");
    demand_same(ours[i].second, theirs[i].second);
  }
}

/// Depth and keys of an accepted text; every string of it is UTF-8.
void demand_within(json::Ref value, const json::Limits& limits, std::size_t depth) {
  demand(depth <= limits.depth_max, "nested too deep");
  if (const auto string = value.string()) {
    demand(text::valid_utf8(*string), "a string that is not UTF-8");
    demand(limits.any_string || string->find('\0') == string->npos, "U+0000 in a string");
  }
  for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
    demand_within(value.at(i), limits, depth + 1);
  const auto members = value.members();
  for (const auto& [name, member] : members) {
    demand(text::valid_utf8(name), "a key that is not UTF-8");
    if (members.size() <= 32) demand_same(value[name], member);  // No key stands twice.
    demand_within(member, limits, depth + 1);
  }
}

/// The raw texts of a text's parts parse to those parts.
void demand_raws(std::string_view text, json::Ref value, const json::Limits& limits) {
  const auto elements = json::raw_elements(text);
  demand(elements.size() == (value.is_array() ? value.size() : 0), "another number of raw texts");
  for (std::size_t i = 0; i < elements.size() && i < 16; ++i) {
    const auto again = json::parse(elements[i], limits);
    demand(again.has_value(), "the raw text of an element does not parse");
    demand_same(again->root(), value.at(i));
  }
  std::size_t seen = 0;
  for (const auto& [name, member] : value.members()) {
    if (++seen > 16) break;
    const auto raw = json::raw_member(text, name);
    // A key is compared under the API's own limits: one that only a webhook may have is not found.
    if (raw.empty() && limits.any_string) continue;
    const auto again = json::parse(raw, limits);
    demand(again.has_value(), "the raw text of a member does not parse");
    demand_same(again->root(), member);
  }
}

void round_trip(std::string_view bytes, const json::Limits& limits) {
  const auto first = json::parse(bytes, limits);
  if (!first) {
    demand(first.error().code == Errc::malformed || first.error().code == Errc::invalid_argument,
           "an error of another kind");
    return;
  }
  demand(text::valid_utf8(bytes), "accepted, but not UTF-8");
  demand_within(first->root(), limits, 0);
  demand_raws(bytes, first->root(), limits);
  const auto written = first->root().dump();
  const auto again = json::parse(written, limits);
  demand(again.has_value(), "what was written does not parse");
  demand_same(first->root(), again->root());
  demand(again->root().dump() == written, "written twice, written differently");
}

void attack(std::string_view bytes) {
  round_trip(bytes, {});
  round_trip(bytes, {.depth_max = 32, .members_max = 200'000, .any_string = true});
  round_trip(bytes, {.depth_max = 2, .members_max = 4});
  // The scanner of raw texts is fed parsed texts only, but trusts nothing all the same.
  json::raw_elements(bytes);
  json::raw_member(bytes, "a");
  // Whatever a string holds, it leaves as valid JSON and comes back repaired.
  std::string written;
  json::Writer(written).string(bytes);
  const auto again = json::parse(written, {.any_string = true});
  demand(again && again->root().string() == text::to_utf8(bytes, "utf-8"), "a string is lost");
}

[[maybe_unused]] const bool added = fuzz::add_target("json", attack);

}  // namespace
