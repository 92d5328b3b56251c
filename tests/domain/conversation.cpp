// The thread: what a message, a reply, a report do to it, and what they want stored.
#include "domain/conversation.hpp"

#include "support.hpp"

using namespace sara;
using namespace sara::domain;

TEST_CASE("conversation: the first message makes the contact and opens a conversation") {
  Desk desk;
  desk.receive(inbound("hi"), "m/1");
  REQUIRE(desk.set.entries.size() == 1);
  auto& entry = desk.set.entries[0];
  CHECK(entry.dedupe_key == "m/1");
  CHECK(entry.raw == "raw");
  CHECK(entry.status == MessageStatus::received);
  CHECK(entry.conversation_id == desk.conversation().id);
  CHECK(desk.set.contact_is_new);
  CHECK(desk.set.new_identities.size() == 1);
  CHECK(desk.set.conversations.size() == 1);
  CHECK(desk.commit() == "message.created inbound open");
  CHECK(desk.thread.contact_stored);
  CHECK(desk.conversation().seq == 1);
  CHECK(desk.conversation().last_message.seq == 1);
  CHECK(desk.conversation().opened_at == noon);

  desk.receive(inbound("again"));
  CHECK_FALSE(desk.set.contact_is_new);
  CHECK(desk.set.new_identities.empty());
}

TEST_CASE("conversation: unread and the counters follow the messages") {
  Desk desk;
  desk.receive(inbound("one"));
  desk.receive(inbound("two"));
  CHECK(desk.reply("three"));
  desk.receive(echo("four", noon, Channel::whatsapp));
  CHECK(desk.conversation().unread == 2);
  CHECK(desk.conversation().inbound_count == 2);
  CHECK(desk.conversation().outbound_count == 2);
  // Each event carries how many were unread after it.
  std::vector<std::int64_t> unread;
  for (auto& e : desk.set.entries) unread.push_back(e.unread);
  CHECK(unread == std::vector<std::int64_t>{1, 2, 2, 2});
  CHECK(desk.set.conversations.size() == 1);
  CHECK(desk.set.conversations[0].unread == 2);
}

TEST_CASE("conversation: the preview is one short line of the newest message") {
  Desk desk;
  desk.receive(inbound("  first\n line \t of\nmany  "));
  CHECK(desk.conversation().last_message.preview == "first line of many");
  CHECK(desk.conversation().last_message.direction ==
        static_cast<std::uint8_t>(Direction::inbound));
  desk.receive(inbound(std::string(500, 'x'), Channel::sms));
  CHECK(desk.conversation().last_message.preview.size() <= 160);
  CHECK(desk.conversation().last_message.channel == Channel::sms);
  CHECK(desk.conversation().marks.channel == Channel::sms);
}

TEST_CASE("conversation: within seven days of resolving a message reopens, later it starts anew") {
  struct Case {
    Millis after;
    bool same;
  };
  for (auto c : {Case{0ms, true}, Case{24h, true}, Case{7 * 24h, true}, Case{7 * 24h + 1ms, false},
                 Case{365 * 24h, false}}) {
    CAPTURE(c.after.count());
    Desk desk;
    desk.receive(inbound("hi"));
    desk.commit();
    auto first = desk.conversation().id;
    desk.thread.conversation.marks.status = ConversationStatus::resolved;
    desk.thread.conversation.resolved_at = desk.now;
    desk.now += c.after;
    desk.receive(inbound("back"));
    CHECK((desk.conversation().id == first) == c.same);
    CHECK(desk.conversation().marks.status == ConversationStatus::open);
    CHECK(desk.conversation().inbound_count == (c.same ? 2 : 1));
    CHECK(desk.conversation().unread == (c.same ? 2 : 1));
    CHECK_FALSE(known(desk.conversation().resolved_at));
    auto& entry = desk.set.entries[0];
    CHECK(entry.conversation_id == desk.conversation().id);
    CHECK(entry.before.status ==
          (c.same ? ConversationStatus::resolved : ConversationStatus::open));
    CHECK(entry.after.status == ConversationStatus::open);
  }
}

TEST_CASE("conversation: the next one keeps how the contact is reached, and nothing else") {
  Desk desk;
  desk.receive(inbound("hi"));
  desk.thread.conversation.marks = {.status = ConversationStatus::resolved,
                                    .channel = Channel::whatsapp,
                                    .assigned_to = "ana",
                                    .flagged = true,
                                    .labels = {"vip"},
                                    .intent = "question",
                                    .urgency = "high",
                                    .sla_due_at = noon,
                                    .sla_breached = true};
  desk.thread.conversation.resolved_at = noon;
  desk.commit();
  auto reach = desk.conversation().reach;
  desk.now += 8 * 24h;
  desk.receive(inbound("back", Channel::sms, "+15550100777"));
  Marks fresh;
  fresh.channel = Channel::sms;
  CHECK(desk.conversation().marks == fresh);
  REQUIRE(desk.conversation().reach.size() == 2);
  CHECK(desk.conversation().reach[0] == reach[0]);
}

TEST_CASE("conversation: pending and snoozed open with an inbound message, not with an echo") {
  for (auto status : {ConversationStatus::pending, ConversationStatus::snoozed}) {
    Desk desk;
    desk.receive(inbound("hi"));
    desk.thread.conversation.marks.status = status;
    desk.receive(echo("we wrote elsewhere", noon));
    CHECK(desk.conversation().marks.status == status);
    desk.receive(inbound("and they answered"));
    CHECK(desk.conversation().marks.status == ConversationStatus::open);
  }
}

TEST_CASE("conversation: a profile name fills an empty name once") {
  Desk desk;
  auto in = inbound("hi");
  in.profile_name = "Ana";
  desk.receive(in);
  CHECK(desk.thread.contact->name == "Ana");
  CHECK(desk.set.contact_changed);
  CHECK(desk.set.contact->name == "Ana");
  desk.commit();
  in.profile_name = "Somebody Else";
  desk.receive(in);
  CHECK(desk.thread.contact->name == "Ana");
  CHECK_FALSE(desk.set.contact_changed);
}

TEST_CASE("conversation: an echo is stored as sent, never unread, and can be reported on") {
  Desk desk;
  desk.receive(echo("hello", noon - 1min));
  auto& delivery = desk.set.deliveries.at(0);
  CHECK(delivery.status == MessageStatus::sent);
  CHECK(delivery.sent_at == noon - 1min);
  CHECK(delivery.provider_message_id == "mid.hello");
  CHECK(desk.conversation().unread == 0);
  CHECK_FALSE(known(desk.conversation().reach_on(Channel::messenger)->last_inbound_at));
  CHECK(desk.commit() == "message.created outbound open");
  CHECK(desk.report(receipt(MessageStatus::delivered, "mid.hello")) == 1);
  CHECK(desk.set.deliveries.at(0).message_seq == 1);
  CHECK(desk.commit() == "message.status delivered");
}

TEST_CASE("conversation: a watermark moves everything sent up to it, on its channel only") {
  Desk desk;
  desk.receive(echo("a", noon));
  desk.now += 1min;
  desk.receive(echo("b", noon + 1min));
  desk.receive(echo("other", noon, Channel::instagram));
  desk.now += 1min;
  desk.receive(echo("later", noon + 2min));
  desk.commit();
  CHECK(desk.report(watermark(MessageStatus::delivered, noon + 1min), nullptr, "m/w1") == 2);
  CHECK(desk.set.entries[0].subject_seq == 1);
  CHECK(desk.set.entries[1].subject_seq == 2);
  // The report's key and bytes stand in the first of its entries.
  CHECK(desk.set.entries[0].dedupe_key == "m/w1");
  CHECK(desk.set.entries[1].dedupe_key.empty());
  CHECK(desk.commit() == "message.status delivered, message.status delivered");
  CHECK(desk.report(watermark(MessageStatus::delivered, noon + 1min)) == 0);
  CHECK(desk.commit() == "webhook.kept");
}

TEST_CASE("conversation: messages that are recorded later inherit the watermark") {
  Desk desk;
  desk.receive(inbound("hi", Channel::messenger));
  desk.commit();
  CHECK(desk.report(watermark(MessageStatus::delivered, noon + 2min)) == 0);
  CHECK(desk.report(watermark(MessageStatus::read, noon + 1min)) == 0);
  CHECK(desk.set.conversations.size() == 1);
  desk.commit();
  desk.now += 5min;
  struct Case {
    const char* body;
    TimePoint sent_at;
    MessageStatus status;
  };
  for (auto& c : {Case{"a", noon + 1min, MessageStatus::read},
                  Case{"b", noon + 1min + 1ms, MessageStatus::delivered},
                  Case{"c", noon + 2min, MessageStatus::delivered},
                  Case{"d", noon + 2min + 1ms, MessageStatus::sent}}) {
    desk.receive(echo(c.body, c.sent_at));
    CAPTURE(c.body);
    CHECK(desk.set.deliveries.back().status == c.status);
    CHECK(desk.set.entries.back().status == c.status);
  }
  // What is read can change no more, so it is not held in memory.
  CHECK(desk.thread.outstanding.size() == 3);
}

TEST_CASE("conversation: an older watermark does not pull a newer one back") {
  Desk desk;
  desk.receive(inbound("hi", Channel::messenger));
  desk.report(watermark(MessageStatus::read, noon + 2min));
  desk.report(watermark(MessageStatus::read, noon + 1min));
  CHECK(desk.conversation().reach_on(Channel::messenger)->read_up_to == noon + 2min);
}

TEST_CASE("conversation: a report finds its message by the provider's id") {
  Desk desk;
  desk.receive(echo("a", noon));
  desk.receive(echo("b", noon));
  desk.commit();
  auto report = receipt(MessageStatus::failed, "mid.b");
  report.error_code = "131026";
  report.error_detail = "not on this network";
  CHECK(desk.report(report, nullptr, "m/mid.b:failed") == 1);
  auto& entry = desk.set.entries.at(0);
  CHECK(entry.subject_seq == 2);
  CHECK(entry.error_code == "provider_failed");
  CHECK(entry.error_detail == "not on this network");
  CHECK(entry.provider_code == "131026");
  CHECK(desk.commit() == "message.status failed");
  CHECK(desk.thread.outstanding.size() == 1);
}

TEST_CASE("conversation: a report that changes nothing is kept, so that its redelivery is known") {
  Desk desk;
  desk.receive(echo("a", noon));
  desk.commit();
  CHECK(desk.report(receipt(MessageStatus::sent, "mid.a"), nullptr, "m/mid.a:sent") == 0);
  CHECK(desk.set.deliveries.empty());
  CHECK(desk.set.entries.at(0).dedupe_key == "m/mid.a:sent");
  CHECK(desk.set.entries.at(0).body == "status:sent");
  CHECK(desk.commit() == "webhook.kept");
}

TEST_CASE("conversation: reports in any order end in the same state") {
  using enum MessageStatus;
  std::vector<MessageStatus> order{delivered, MessageStatus::read, sent};
  std::sort(order.begin(), order.end());
  do {
    Desk desk;
    CHECK(desk.reply("hi", Channel::none).has_value() == false);
    desk.receive(inbound("hi", Channel::messenger));
    CHECK(desk.reply("hello"));
    desk.commit();
    auto sent_one = desk.thread.outstanding.at(0);
    sent_one.status = sending;
    CHECK(desk.thread.settle(sent_one, desk.now, desk.set) == 1);
    desk.commit();
    // As the database had it when the webhooks came: all three looked it up at once.
    auto found = desk.thread.outstanding.at(0);
    MessageStatus last = sending;
    for (auto status : order) {
      auto r = receipt(status, "mid.1");
      desk.report(r, &found);
      for (auto& d : desk.set.deliveries) last = d.status;
      desk.commit();
    }
    CHECK(last == MessageStatus::read);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("conversation: a long thread forgets delivered messages, never what must still leave") {
  Desk desk;
  desk.receive(inbound("hi", Channel::messenger));
  for (int i = 0; i < 3; ++i) desk.receive(echo(std::to_string(i), noon));
  desk.commit();
  CHECK(desk.report(receipt(MessageStatus::delivered, "mid.0")) == 1);
  desk.commit();
  auto delivered = desk.thread.outstanding.at(0);
  REQUIRE(delivered.status == MessageStatus::delivered);
  for (int i = 0; i < 1100; ++i) {
    CHECK(desk.reply("hello"));
    desk.commit();
  }
  CHECK(std::count_if(desk.thread.outstanding.begin(), desk.thread.outstanding.end(),
                      [](const Delivery& d) { return d.status == MessageStatus::queued; }) ==
        1100);
  // The forgotten one is still moved, by what the database says of it.
  CHECK(desk.report(receipt(MessageStatus::read, "mid.0"), &delivered) == 1);
  CHECK(desk.set.deliveries.at(0).status == MessageStatus::read);
}

TEST_CASE("conversation: a complaint comes through though the message was read long ago") {
  Desk desk;
  desk.receive(echo("a", noon));
  desk.commit();
  auto stale = desk.thread.outstanding.at(0);
  CHECK(desk.report(receipt(MessageStatus::read, "mid.a"), &stale) == 1);
  desk.commit();
  auto now_read = stale;
  now_read.status = MessageStatus::read;
  CHECK(desk.report(receipt(MessageStatus::bounced, "mid.a"), &now_read) == 0);
  desk.commit();
  CHECK(desk.report(receipt(MessageStatus::complained, "mid.a"), &stale) == 1);
  CHECK(desk.commit() == "message.status complained");
}

TEST_CASE("conversation: the provider's time is believed unless it lies in the future") {
  Desk desk;
  desk.receive(echo("past", noon - 1h));
  desk.receive(echo("future", noon + 1h));
  desk.receive(echo("silent", TimePoint{}));
  CHECK(desk.set.deliveries[0].sent_at == noon - 1h);
  CHECK(desk.set.deliveries[1].sent_at == noon);
  CHECK(desk.set.deliveries[2].sent_at == noon);
  // What counts for order is when it came to us.
  for (auto& e : desk.set.entries) CHECK(e.at == noon);
}

TEST_CASE("conversation: the reply window closes 24 hours after the contact wrote") {
  struct Case {
    Channel channel;
    Millis event_age;  ///< how long before its arrival the contact wrote
    Millis after;      ///< from the arrival to the reply
    const char* code;
  };
  for (auto& c : {
           Case{Channel::whatsapp, 0ms, 24h, "ok"},
           Case{Channel::whatsapp, 0ms, 24h + 1ms, "outside_messaging_window"},
           Case{Channel::messenger, 0ms, 24h, "ok"},
           Case{Channel::messenger, 0ms, 24h + 1ms, "outside_messaging_window"},
           Case{Channel::instagram, 0ms, 24h + 1ms, "outside_messaging_window"},
           // The window counts from when they wrote, not from when we heard of it.
           Case{Channel::whatsapp, 2h, 22h, "ok"},
           Case{Channel::whatsapp, 2h, 22h + 1ms, "outside_messaging_window"},
           Case{Channel::whatsapp, 25h, 0ms, "outside_messaging_window"},
           Case{Channel::sms, 0ms, 24h * 365, "ok"},
           Case{Channel::email, 0ms, 24h * 365, "ok"},
       }) {
    CAPTURE(to_string(c.channel));
    CAPTURE(c.after.count());
    Desk desk;
    auto in = inbound("hi", c.channel);
    in.at = desk.now - c.event_age;
    desk.receive(in);
    desk.commit();
    desk.now += c.after;
    CHECK(code_of(desk.reply("hello")) == c.code);
    CHECK(desk.set.entries.size() == (std::string(c.code) == "ok" ? 1 : 0));
  }
}

TEST_CASE("conversation: a message that comes late does not close a window that is open") {
  Desk desk;
  desk.receive(inbound("now"));
  auto late = inbound("from yesterday");
  late.at = noon - 30h;
  desk.receive(late);
  desk.commit();
  CHECK(code_of(desk.reply("hello")) == "ok");
}

TEST_CASE("conversation: an echo opens no window") {
  Desk desk;
  desk.receive(echo("we began", noon));
  CHECK(code_of(desk.reply("more")) == "outside_messaging_window");
}

TEST_CASE("conversation: a reply is queued with its outbox row, to where the contact wrote from") {
  Desk desk;
  desk.receive(inbound("hi", Channel::sms, "+15550100777"));
  desk.commit();
  CHECK(desk.reply("hello"));
  REQUIRE(desk.set.deliveries.size() == 1);
  auto& d = desk.set.deliveries[0];
  CHECK(d.status == MessageStatus::queued);
  CHECK(d.channel == Channel::sms);
  CHECK(d.address == "+15550100777");
  CHECK(d.provider == Provider::sandbox);
  CHECK(d.next_at == noon);
  CHECK(d.error_code.empty());
  CHECK(d.message_seq == -1);
  CHECK(desk.routes.asked_for == account);
  CHECK(desk.commit() == "message.created outbound open");
  CHECK(desk.thread.outstanding.at(0).message_seq == 2);
}

TEST_CASE("conversation: a reply whose sender is not there waits in the queue and says so") {
  Desk desk;
  desk.routes.route = {account, Provider::twilio, false};
  desk.receive(inbound("hi", Channel::sms));
  CHECK(desk.reply("hello"));
  CHECK(desk.set.deliveries.at(0).error_code == "sender_not_available");
  CHECK(desk.set.entries.back().error_code == "sender_not_available");
  CHECK(desk.set.deliveries.at(0).status == MessageStatus::queued);
}

TEST_CASE("conversation: what cannot be sent is refused and leaves nothing behind") {
  struct Case {
    const char* code;
    std::string body;
    Channel channel;
    Provider provider;
  };
  for (auto& c : {
           Case{"invalid_argument", "", Channel::none, Provider::sandbox},
           Case{"invalid_argument", " \n\t ", Channel::none, Provider::sandbox},
           Case{"no_channel", "hi", Channel::email, Provider::sandbox},
           Case{"no_channel", "hi", Channel::sms, Provider::none},
       }) {
    Desk desk;
    desk.receive(inbound("hi", Channel::sms));
    desk.commit();
    desk.routes.route.provider = c.provider;
    CHECK(code_of(desk.reply(c.body, c.channel)) == c.code);
    CHECK(desk.set.entries.empty());
    CHECK(desk.set.deliveries.empty());
    CHECK(desk.conversation().outbound_count == 0);
  }
}

TEST_CASE("conversation: an attachment needs no text") {
  Desk desk;
  desk.receive(inbound("hi", Channel::sms));
  ReplyRequest request;
  request.attachments.push_back({"image", "https://example.com/cat.png", "cat", 12});
  CHECK(desk.thread.reply(request, desk.routes, desk.now, desk.set));
  CHECK(desk.set.entries.back().attachments.size() == 1);
}

TEST_CASE("conversation: a body is as long as its channel carries, not a byte more") {
  struct Case {
    Channel channel;
    std::size_t bytes_max;
  };
  for (auto c : {Case{Channel::sms, 1600}, Case{Channel::whatsapp, 4096},
                 Case{Channel::messenger, 2000}, Case{Channel::instagram, 1000},
                 Case{Channel::email, 100'000}}) {
    CAPTURE(to_string(c.channel));
    Desk desk;
    desk.receive(inbound("hi", c.channel));
    CHECK(code_of(desk.reply(std::string(c.bytes_max, 'x'))) == "ok");
    auto refused = desk.reply(std::string(c.bytes_max + 1, 'x'));
    REQUIRE(code_of(refused) == "invalid_argument");
    CHECK(refused.error().fields.at(0).pointer == "/body");
    CHECK(refused.error().fields.at(0).detail.find(std::to_string(c.bytes_max)) !=
          std::string::npos);
  }
}

TEST_CASE("conversation: a new address on a channel replaces the old one and its marks") {
  Desk desk;
  desk.receive(inbound("hi", Channel::messenger, "psid-1"));
  desk.report(watermark(MessageStatus::read, noon));
  desk.receive(inbound("me again", Channel::messenger, "psid-2"));
  REQUIRE(desk.conversation().reach.size() == 1);
  CHECK(desk.conversation().reach[0].address == "psid-2");
  CHECK_FALSE(known(desk.conversation().reach[0].read_up_to));
}

TEST_CASE("conversation: opening one needs no message, and happens once") {
  Desk desk;
  CHECK(desk.thread.open(desk.now, desk.policy, desk.set));
  CHECK(desk.set.contact_is_new);
  CHECK(desk.commit() == "conversation.updated");
  CHECK(desk.conversation().last_message.seq == 0);
  CHECK(desk.conversation().seq == 1);
  CHECK_FALSE(desk.thread.open(desk.now, desk.policy, desk.set));
  CHECK(desk.set.entries.empty());
  auto first = desk.conversation().id;
  desk.thread.conversation.marks.status = ConversationStatus::resolved;
  desk.thread.conversation.resolved_at = desk.now;
  CHECK(desk.thread.open(desk.now, desk.policy, desk.set));
  CHECK(desk.conversation().id != first);
}

TEST_CASE("conversation: what our sender found out moves the message forward only") {
  using enum MessageStatus;
  Desk desk;
  desk.receive(inbound("hi", Channel::sms));
  CHECK(desk.reply("hello"));
  desk.commit();
  auto settle = [&](MessageStatus status, const std::string& id) {
    auto outcome = desk.thread.outstanding.at(0);
    outcome.status = status;
    outcome.provider_message_id = id;
    return desk.thread.settle(outcome, desk.now, desk.set);
  };
  CHECK(settle(sending, "") == 1);
  CHECK(desk.commit() == "message.status sending");
  CHECK(desk.report(receipt(delivered, ""), &desk.thread.outstanding.at(0)) == 1);
  CHECK(desk.commit() == "message.status delivered");
  // The provider's own answer comes last: only its id is news, and that is no event.
  CHECK(settle(sent, "sbx_1") == 1);
  CHECK(desk.set.deliveries.at(0).status == delivered);
  CHECK(desk.set.deliveries.at(0).provider_message_id == "sbx_1");
  CHECK(desk.commit() == "");
  CHECK(settle(sent, "sbx_1") == 0);
  CHECK(settle(sending, "") == 0);
  CHECK(desk.commit() == "");
}

TEST_CASE("conversation: the same outcome told twice is no second event, but is agreed to") {
  Desk desk;
  desk.receive(inbound("hi", Channel::sms));
  CHECK(desk.reply("hello"));
  desk.commit();
  auto outcome = desk.thread.outstanding.at(0);
  outcome.status = MessageStatus::sending;
  outcome.attempt = 1;
  CHECK(desk.thread.settle(outcome, desk.now, desk.set) == 1);
  CHECK(desk.commit() == "message.status sending");
  // The worker lost the answer and asks again: it may go on.
  CHECK(desk.thread.settle(outcome, desk.now, desk.set) == 1);
  CHECK(desk.commit() == "");
  // Another attempt than the one recorded may not.
  outcome.attempt = 2;
  CHECK(desk.thread.settle(outcome, desk.now, desk.set) == 0);
}

TEST_CASE("conversation: an outcome of a message that is not outstanding is no news") {
  Desk desk;
  desk.receive(inbound("hi"));
  desk.commit();
  Delivery stranger;
  stranger.message_seq = 99;
  stranger.status = MessageStatus::sent;
  CHECK(desk.thread.settle(stranger, desk.now, desk.set) == 0);
  CHECK(desk.commit() == "");
}

TEST_CASE("conversation: a withdrawn message leaves an event, and no preview if it was the last") {
  Desk desk;
  desk.receive(inbound("one"));
  desk.receive(inbound("two"));
  desk.commit();
  desk.thread.retract(1, account, "m/1:unsend", "raw", desk.now, desk.set);
  CHECK(desk.set.entries.at(0).subject_seq == 1);
  CHECK(desk.set.entries.at(0).dedupe_key == "m/1:unsend");
  CHECK(desk.conversation().last_message.preview == "two");
  CHECK(desk.set.conversations.empty());
  CHECK(desk.commit() == "message.retracted");
  desk.thread.retract(2, account, "m/2:unsend", "raw", desk.now, desk.set);
  CHECK(desk.conversation().last_message.preview.empty());
  CHECK(desk.set.conversations.size() == 1);
  CHECK(desk.conversation().unread == 2);
}

TEST_CASE("conversation: decisions of one set know each other before they are numbered") {
  Desk desk;
  desk.next = 41;
  desk.receive(inbound("hi", Channel::messenger));
  desk.receive(echo("a", noon));
  CHECK(desk.reply("b", Channel::messenger));
  CHECK(desk.report(receipt(MessageStatus::read, "mid.a")) == 1);
  REQUIRE(desk.set.entries.size() == 4);
  REQUIRE(desk.set.deliveries.size() == 2);
  auto resolve = [](Sequence s) { return WriteSet::resolve(s, 41); };
  CHECK(resolve(desk.set.deliveries[0].message_seq) == 42);
  CHECK(desk.set.deliveries[0].status == MessageStatus::read);
  CHECK(resolve(desk.set.deliveries[1].message_seq) == 43);
  CHECK(resolve(desk.set.entries[3].subject_seq) == 42);
  CHECK(resolve(desk.set.conversations.at(0).last_message.seq) == 43);
  CHECK(desk.commit() ==
        "message.created inbound open, message.created outbound open, "
        "message.created outbound open, message.status read");
  CHECK(desk.conversation().last_message.seq == 43);
  CHECK(desk.conversation().seq == 44);
  CHECK(desk.thread.outstanding.at(0).message_seq == 43);
}

TEST_CASE("conversation: a status changes no inbox row, so no row is written for it") {
  Desk desk;
  desk.receive(echo("a", noon));
  desk.commit();
  auto seq = desk.conversation().seq;
  CHECK(desk.report(receipt(MessageStatus::delivered, "mid.a")) == 1);
  CHECK(desk.set.conversations.empty());
  desk.commit();
  CHECK(desk.conversation().seq == seq);
}

TEST_CASE("conversation: every status has its name") {
  CHECK(to_string(ConversationStatus::open) == "open");
  CHECK(to_string(ConversationStatus::pending) == "pending");
  CHECK(to_string(ConversationStatus::snoozed) == "snoozed");
  CHECK(to_string(ConversationStatus::resolved) == "resolved");
}
