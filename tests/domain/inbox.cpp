// The inbox's filters: what they accept, and what they let through.
#include "domain/inbox.hpp"

#include <functional>

#include "support.hpp"

using namespace sara;
using namespace sara::domain;

TEST_CASE("inbox: a filter that is not set lets everything through") {
  InboxFilter filter;
  CHECK(filter.empty());
  CHECK(passes(filter, Marks{}));
  filter.flagged = false;
  CHECK_FALSE(filter.empty());
}

TEST_CASE("inbox: every filter shows what has the value, and nothing else") {
  Marks marks;
  marks.status = ConversationStatus::snoozed;
  marks.channel = Channel::email;
  marks.assigned_to = "ana";
  marks.flagged = true;
  marks.labels = {"vip", "refund"};
  marks.intent = "complaint";
  marks.urgency = "high";
  marks.sla_breached = true;
  struct Case {
    const char* name;
    const char* shows;
    const char* hides;
  };
  for (auto& c : {Case{"status", "snoozed", "open"}, Case{"channel", "email", "sms"},
                  Case{"intent", "complaint", "question"}, Case{"urgency", "high", "low"},
                  Case{"assigned_to", "ana", "ben"}, Case{"assigned_to", "me", "none"},
                  Case{"flagged", "true", "false"}, Case{"flagged", "1", "0"},
                  Case{"sla", "breached", "ok"}, Case{"label", "refund", "re"}}) {
    CAPTURE(c.name);
    InboxFilter yes;
    InboxFilter no;
    REQUIRE(set_filter(yes, c.name, c.shows, "ana"));
    REQUIRE(set_filter(no, c.name, c.hides, "ana"));
    CHECK(passes(yes, marks));
    CHECK_FALSE(passes(no, marks));
  }
}

TEST_CASE("inbox: filters are joined by and") {
  InboxFilter filter;
  REQUIRE(set_filter(filter, "status", "open", ""));
  REQUIRE(set_filter(filter, "channel", "sms", ""));
  Marks marks;
  marks.channel = Channel::sms;
  CHECK(passes(filter, marks));
  marks.channel = Channel::email;
  CHECK_FALSE(passes(filter, marks));
}

TEST_CASE("inbox: none means nobody, and the seeds' channel names are read") {
  InboxFilter filter;
  REQUIRE(set_filter(filter, "assigned_to", "none", "ana"));
  CHECK(passes(filter, Marks{}));
  REQUIRE(set_filter(filter, "channel", "facebook", ""));
  CHECK(filter.channel == Channel::messenger);
}

TEST_CASE("inbox: a wrong name or value is refused and names itself") {
  for (auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"status", "closed"},    {"status", ""},        {"channel", "fax"},
           {"intent", "angry"},     {"urgency", "urgent"}, {"flagged", "yes"},
           {"sla", "late"},         {"label", ""},         {"label", std::string(101, 'x')},
           {"q", ""},               {"q", std::string(201, 'x')},
           {"assigned_to", ""},     {"colour", "red"}}) {
    CAPTURE(name);
    InboxFilter filter;
    auto result = set_filter(filter, name, value, "ana");
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::invalid_argument);
    CHECK(result.error().fields.at(0).pointer == "?" + name);
    CHECK(filter.empty());
  }
}

TEST_CASE("inbox: a text is found in the name, an address or the last message") {
  Contact contact;
  contact.name = "Ana Lima";
  contact.identities.push_back({Channel::email, "ana@Example.com", true});
  CHECK(mentions("", contact, ""));
  CHECK(mentions("LIMA", contact, ""));
  CHECK(mentions("example", contact, ""));
  CHECK(mentions("Refund", contact, "where is my refund?"));
  CHECK_FALSE(mentions("ben", contact, "where is my refund?"));
  CHECK_FALSE(mentions("%", contact, "where is my refund?"));
}
