// Addresses: how they are stored and looked up.
#include "domain/contact.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::domain;

TEST_CASE("contact: addresses that mean one place are one text") {
  struct Case {
    Channel channel;
    const char* given;
    const char* stored;
  };
  for (auto& c : {
           Case{Channel::sms, "+15550100777", "+15550100777"},
           Case{Channel::sms, " +1-(555).010-0777 ", "+15550100777"},
           Case{Channel::sms, "+1234567", "+1234567"},
           Case{Channel::sms, "+123456789012345", "+123456789012345"},
           Case{Channel::email, "Ana.Lima@Example.COM", "Ana.Lima@example.com"},
           Case{Channel::email, "\"a@b\"@EXAMPLE.com", "\"a@b\"@example.com"},
           Case{Channel::whatsapp, "15550100777", "15550100777"},
           Case{Channel::messenger, "AbC123", "AbC123"},
       }) {
    CAPTURE(c.given);
    CHECK(normalise_address(c.channel, c.given).value_or("refused") == c.stored);
  }
}

TEST_CASE("contact: what is no address is refused") {
  struct Case {
    Channel channel;
    std::string given;
  };
  for (auto& c : {
           Case{Channel::sms, ""},
           Case{Channel::sms, "15550100777"},
           Case{Channel::sms, "+05550100777"},
           Case{Channel::sms, "+123456"},
           Case{Channel::sms, "+1234567890123456"},
           Case{Channel::sms, "+1555abc0777"},
           Case{Channel::sms, "+1 555 010 0777"},
           Case{Channel::email, "ana"},
           Case{Channel::email, "@example.com"},
           Case{Channel::email, "ana@"},
           Case{Channel::email, "ana lima@example.com"},
           Case{Channel::email, std::string("ana\r\nBcc: all@example.com")},
           Case{Channel::messenger, "   "},
           Case{Channel::messenger, std::string("a\0b", 3)},
           Case{Channel::messenger, std::string(255, 'x')},
       }) {
    CAPTURE(c.given);
    auto result = normalise_address(c.channel, c.given);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::invalid_argument);
  }
  CHECK(normalise_address(Channel::messenger, std::string(254, 'x')));
}

TEST_CASE("contact: the first identity of a channel is the one that is written to") {
  Contact contact;
  contact.identities = {{Channel::sms, "+1", false}, {Channel::email, "a@b", true},
                        {Channel::email, "c@d", true}};
  CHECK(contact.on(Channel::email)->address == "a@b");
  CHECK(contact.on(Channel::push) == nullptr);
}
