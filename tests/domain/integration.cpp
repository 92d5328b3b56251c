// Which integration carries an answer.
#include "domain/integration.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::domain;

namespace {

Integration made(Provider provider, std::uint64_t n) {
  Integration i;
  i.id = IntegrationId{Uuid{n, n}};
  i.provider = provider;
  return i;
}

struct Tenant : TenantSnapshot {
  Tenant& with(Integration i, std::vector<Channel> sandbox = {}) {
    auto channels = channels_of(i, sandbox);
    offers.push_back({std::move(i), std::move(channels)});
    return *this;
  }
  std::uint64_t chosen(Channel channel, std::uint64_t last = 0) const {
    return choose(channel, IntegrationId{Uuid{last, last}}).integration_id.lo;
  }
};

}  // namespace

TEST_CASE("integration: the one that carried the last message carries the answer") {
  auto tenant = Tenant{}.with(made(Provider::twilio, 1)).with(made(Provider::twilio, 2));
  CHECK(tenant.chosen(Channel::sms, 2) == 2);
  CHECK(tenant.chosen(Channel::sms, 1) == 1);
}

TEST_CASE("integration: else the oldest that serves the channel, the sandbox last") {
  auto tenant = Tenant{}
                    .with(made(Provider::sandbox, 1))
                    .with(made(Provider::twilio, 2))
                    .with(made(Provider::twilio, 3))
                    .with(made(Provider::sendgrid, 4));
  CHECK(tenant.chosen(Channel::sms) == 2);
  CHECK(tenant.chosen(Channel::sms, 99) == 2);
  CHECK(tenant.chosen(Channel::email) == 4);
  CHECK(tenant.chosen(Channel::messenger) == 1);
  // The sandbox carried the last one, so it carries this one.
  CHECK(tenant.chosen(Channel::sms, 1) == 1);
}

TEST_CASE("integration: one that does not serve the channel is not chosen, even if it is named") {
  auto tenant = Tenant{}.with(made(Provider::sendgrid, 1)).with(made(Provider::twilio, 2));
  CHECK(tenant.chosen(Channel::sms, 1) == 2);
  CHECK(tenant.choose(Channel::messenger, {}).provider == Provider::none);
  CHECK(Tenant{}.choose(Channel::sms, {}).provider == Provider::none);
}

TEST_CASE("integration: only the sandbox can send yet") {
  auto tenant = Tenant{}.with(made(Provider::sandbox, 1)).with(made(Provider::twilio, 2));
  CHECK(tenant.choose(Channel::email, {}).can_send);
  CHECK_FALSE(tenant.choose(Channel::sms, {}).can_send);
}

TEST_CASE("integration: channels follow from the provider and its credentials") {
  CHECK(channels_of(made(Provider::twilio, 1), {}) ==
        std::vector{Channel::sms, Channel::whatsapp});
  CHECK(channels_of(made(Provider::sendgrid, 1), {}) == std::vector{Channel::email});
  auto meta = made(Provider::meta, 1);
  CHECK(channels_of(meta, {}).size() == 3);
  meta.credentials = {{"page_id", "1"}, {"phone_number_id", "2"}, {"instagram_account_id", ""}};
  CHECK(channels_of(meta, {}) == std::vector{Channel::messenger, Channel::whatsapp});
  CHECK(channels_of(made(Provider::sandbox, 1), {Channel::chat}) == std::vector{Channel::chat});
  CHECK(channels_of(made(Provider::sandbox, 1), {}).size() == 7);
  CHECK(channels_of(made(Provider::engarde, 1), {}).empty());
}

TEST_CASE("integration: a tenant finds its own and no other") {
  auto tenant = Tenant{}.with(made(Provider::twilio, 1));
  CHECK(tenant.find(IntegrationId{Uuid{1, 1}})->provider == Provider::twilio);
  CHECK(tenant.find(IntegrationId{Uuid{2, 2}}) == nullptr);
}
