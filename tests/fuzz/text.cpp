// Text: whatever goes in, what comes out is UTF-8; and what is UTF-8 stays so. The first line is
// the charset that the rest claims to be in.
#include "base/text.hpp"

#include <algorithm>
#include <string>

#include "base/crypto.hpp"
#include "base/id.hpp"
#include "base/time.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
}

void attack_utf8(std::string_view s) {
  const auto tidy = text::tidy(s);
  demand(text::valid_utf8(tidy), "tidied out of UTF-8");
  demand(std::none_of(tidy.begin(), tidy.end(), is_control), "a control is left");
  demand(text::tidy(tidy) == tidy, "tidied twice, tidied differently");
  const auto preview = text::preview(s);
  demand(text::valid_utf8(preview) && preview.size() <= 160, "a preview out of its limits");
  demand(text::valid_utf8(text::lower_ascii(s)), "lowered out of UTF-8");
  for (std::size_t n = 0; n <= std::min<std::size_t>(s.size() + 1, 80); ++n) {
    const auto cut = text::cut(s, n);
    demand(text::valid_utf8(cut) && cut.size() <= n && s.starts_with(cut), "cut within a letter");
    demand(cut.size() + 4 > std::min(n, s.size()), "cut off too much");
  }
}

void attack_charset(std::string_view bytes) {
  const auto line = bytes.find('\n');
  const auto charset = bytes.substr(0, line);
  const auto rest = line == bytes.npos ? std::string_view{} : bytes.substr(line + 1);
  const auto text = text::to_utf8(rest, charset);
  demand(text::valid_utf8(text), "converted, but not to UTF-8");
  attack_utf8(text);
}

/// Values with one spelling come back as they were sent.
void attack_values(std::string_view bytes) {
  if (const auto time = parse_rfc3339(bytes)) {
    const auto again = parse_rfc3339(to_rfc3339(*time));
    // The years 0 to 9999 are all that RFC 3339 can write; an offset may lead out of them.
    const auto year = std::chrono::year_month_day{floor<std::chrono::days>(*time)}.year();
    const bool writable = year >= std::chrono::year{0} && year <= std::chrono::year{9999};
    demand(again && (!writable || *again == *time), "a time changes when it is written");
  }
  if (const auto id = parse_uuid(bytes))
    demand(to_string(*id) == text::lower_ascii(bytes), "an id changes when it is written");
  if (const auto decoded = crypto::from_base64(bytes))
    demand(crypto::to_base64(*decoded) == bytes, "base64 with two spellings");
  if (const auto decoded = crypto::from_hex(bytes))
    demand(crypto::to_hex(*decoded) == text::lower_ascii(bytes), "hex that changes");
  const auto key = crypto::EcdsaPublicKey::parse(bytes);
  demand(key || key.error().code == Errc::malformed, "a key of another error");
}

void attack(std::string_view bytes) {
  attack_charset(bytes);
  attack_values(bytes);
  const auto repaired = text::to_utf8(bytes, "utf-8");
  demand(text::valid_utf8(repaired), "repaired, but not to UTF-8");
  demand(!text::valid_utf8(bytes) || repaired == bytes, "UTF-8 is repaired");
  attack_utf8(repaired);
}

[[maybe_unused]] const bool added = fuzz::add_target("text", attack);

}  // namespace
