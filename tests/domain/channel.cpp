// Names and windows of channels. Their numbers are stored, so they are written out here.
#include "domain/channel.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::domain;

TEST_CASE("channel: stored numbers and names never change") {
  const std::vector<std::string> channels{"none",      "email", "sms",      "whatsapp",
                                          "messenger", "instagram", "chat", "linkedin",
                                          "push",      "x",     "custom"};
  for (std::size_t i = 0; i < channels.size(); ++i) {
    CHECK(to_string(static_cast<Channel>(i)) == channels[i]);
    if (i > 0) CHECK(parse_channel(channels[i]) == static_cast<Channel>(i));
  }
  const std::vector<std::string> providers{"none", "twilio", "sendgrid", "meta", "sandbox",
                                           "engarde"};
  for (std::size_t i = 0; i < providers.size(); ++i) {
    CHECK(to_string(static_cast<Provider>(i)) == providers[i]);
    if (i > 0) CHECK(parse_provider(providers[i]) == static_cast<Provider>(i));
  }
}

TEST_CASE("channel: the seeds' names are read as ours, others not at all") {
  CHECK(parse_channel("facebook") == Channel::messenger);
  CHECK(parse_channel("in_app") == Channel::chat);
  CHECK(parse_channel("twitter") == Channel::x);
  for (auto* name : {"", "none", "SMS", "fax", "email "}) CHECK_FALSE(parse_channel(name));
  for (auto* name : {"", "none", "Twilio", "smtp"}) CHECK_FALSE(parse_provider(name));
}

TEST_CASE("channel: Meta's channels have a window of 24 hours, the others none") {
  for (int i = 0; i <= static_cast<int>(Channel::custom); ++i) {
    auto channel = static_cast<Channel>(i);
    bool meta = channel == Channel::whatsapp || channel == Channel::messenger ||
                channel == Channel::instagram;
    CAPTURE(to_string(channel));
    CHECK(messaging_window(channel).has_value() == meta);
    if (meta) CHECK(*messaging_window(channel) == Millis{24h});
  }
}
