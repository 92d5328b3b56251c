// The journal's words, and the numbering of a set before the writer knows it.
#include "domain/journal.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::domain;

TEST_CASE("journal: stored numbers and names never change") {
  const std::vector<std::string> kinds{"message.created",   "message.status",
                                       "conversation.updated", "message.retracted",
                                       "webhook.kept",      "webhook.unmatched",
                                       "webhook.failed"};
  for (std::size_t i = 0; i < kinds.size(); ++i)
    CHECK(to_string(static_cast<EventKind>(i + 1)) == kinds[i]);
  const std::vector<std::string> directions{"none", "inbound", "outbound", "note"};
  for (std::size_t i = 0; i < directions.size(); ++i)
    CHECK(to_string(static_cast<Direction>(i)) == directions[i]);
}

TEST_CASE("journal: a redelivery key names its provider and, if there is one, the provider's id") {
  CHECK(dedupe_prefix(Provider::twilio) == "t/");
  CHECK(dedupe_prefix(Provider::sendgrid) == "s/");
  CHECK(dedupe_prefix(Provider::meta) == "m/");
  CHECK(dedupe_prefix(Provider::sandbox) == "x/");
  CHECK(provider_message_id("t/SM123") == "SM123");
  CHECK(provider_message_id("m/#4f5a") == "");
  for (auto* none : {"", "t/", "t", "nonsense"}) CHECK(provider_message_id(none) == "");
}

TEST_CASE("journal: numbers below zero stand for entries of the same set") {
  CHECK(WriteSet::resolve(-1, 10) == 10);
  CHECK(WriteSet::resolve(-3, 10) == 12);
  CHECK(WriteSet::resolve(7, 10) == 7);
  CHECK(WriteSet::resolve(0, 10) == 0);
}

TEST_CASE("journal: a row is written once a set, in its newest state") {
  WriteSet set;
  Conversation a;
  a.id = ConversationId{Uuid{1, 1}};
  Conversation b;
  b.id = ConversationId{Uuid{2, 2}};
  set.put(a);
  set.put(b);
  a.unread = 5;
  set.put(a);
  REQUIRE(set.conversations.size() == 2);
  CHECK(set.conversations[0].unread == 5);

  Delivery one;
  one.message_seq = -1;
  Delivery two;
  two.message_seq = -2;
  set.put(one);
  set.put(two);
  one.status = MessageStatus::sent;
  set.put(one);
  REQUIRE(set.deliveries.size() == 2);
  CHECK(set.deliveries[0].status == MessageStatus::sent);
  CHECK(set.deliveries[1].status == MessageStatus::queued);
}
