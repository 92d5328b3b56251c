// Address rules.
#include "domain/contact.hpp"

#include <algorithm>
#include <cctype>

#include "base/text.hpp"

namespace sara::domain {
namespace {

constexpr std::size_t address_bytes_max = 254;

bool is_e164(std::string_view s) {
  return s.size() >= 8 && s.size() <= 16 && s[0] == '+' && s[1] != '0' &&
         std::all_of(s.begin() + 1, s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool has_space_or_control(std::string_view s) {
  return std::any_of(s.begin(), s.end(),
                     [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
}

}  // namespace

Result<std::string> normalise_address(Channel channel, std::string_view address) {
  address = text::trim(address);
  if (address.empty() || address.size() > address_bytes_max || has_space_or_control(address))
    return fail(Errc::invalid_argument, "an address has 1 to 254 bytes and no white space");
  switch (channel) {
    case Channel::sms: {
      std::string digits;
      for (char c : address)
        if (c != '-' && c != '.' && c != '(' && c != ')') digits += c;
      if (!is_e164(digits))
        return fail(Errc::invalid_argument, "a phone number must be E.164, such as +15550100777");
      return digits;
    }
    case Channel::email: {
      auto at = address.rfind('@');
      if (at == std::string_view::npos || at == 0 || at + 1 == address.size())
        return fail(Errc::invalid_argument, "an e-mail address must be local@domain");
      return std::string(address.substr(0, at + 1)) + text::lower_ascii(address.substr(at + 1));
    }
    default:
      return std::string(address);
  }
}

}  // namespace sara::domain
