// Contacts, threads, lists: what was written is what is read, in every order and behind any filter.
#include "storage/conversation.hpp"

#include <algorithm>
#include <random>
#include <set>

#include "support.hpp"

using namespace sara;
using namespace sara::storage;
using namespace sara::domain;

namespace {

std::int64_t rank(const std::string& urgency) {
  const std::vector<std::string> names{"", "low", "medium", "high", "critical"};
  return std::find(names.begin(), names.end(), urgency) - names.begin();
}

std::int64_t key_of(InboxSort sort, const Conversation& c) {
  if (sort == InboxSort::urgency) return rank(c.marks.urgency);
  if (sort != InboxSort::sla_due) return 0;
  return known(c.marks.sla_due_at) ? to_millis(c.marks.sla_due_at) : 9'000'000'000'000'000;
}

/// The inbox as the rules read, without a database.
std::vector<Sequence> reference(const std::vector<InboxRow>& rows, const InboxFilter& filter,
                                InboxSort sort) {
  std::vector<const Conversation*> shown;
  for (auto& row : rows)
    if (passes(filter, row.conversation.marks) &&
        mentions(filter.text, row.contact, row.conversation.last_message.preview))
      shown.push_back(&row.conversation);
  bool up = sort == InboxSort::oldest || sort == InboxSort::sla_due;
  std::sort(shown.begin(), shown.end(), [&](auto* a, auto* b) {
    auto x = std::pair(key_of(sort, *a), a->seq);
    auto y = std::pair(key_of(sort, *b), b->seq);
    return up ? x < y : x > y;
  });
  std::vector<Sequence> out;
  for (auto* c : shown) out.push_back(c->seq);
  return out;
}

template <class T>
T pick(std::mt19937& random, const std::vector<T>& values) {
  return values[random() % values.size()];
}

const std::vector<std::string> names{"Ana Lima",  "ANA", "100% sure", "under_score", "a\\b",
                                     "Élodie",    "",    "ben",       "O'Neil",      "\"quoted\""};

struct Inbox : World {
  std::vector<InboxRow> rows;

  explicit Inbox(int count = 90) {
    std::mt19937 random(42);
    for (int i = 0; i < count; ++i) {
      InboxRow row;
      row.contact.id = ContactId::make(noon);
      row.contact.name = pick(random, names);
      row.contact.identities.push_back(
          {Channel::sms, "+1555" + std::to_string(1'000'000 + i), true});
      row.contact.created_at = row.contact.updated_at = noon;
      auto& c = row.conversation;
      c.id = ConversationId::make(noon);
      c.contact_id = row.contact.id;
      c.opened_at = c.updated_at = noon;
      c.marks.status = static_cast<ConversationStatus>(random() % 4);
      c.marks.channel = pick<Channel>(random, {Channel::sms, Channel::email, Channel::x});
      c.marks.assigned_to = pick<std::string>(random, {"", "", "ana", "ben"});
      c.marks.flagged = random() % 2 == 0;
      c.marks.sla_breached = random() % 3 == 0;
      if (random() % 2 == 0) c.marks.labels.push_back("vip");
      if (random() % 4 == 0) c.marks.labels.push_back("a \"b\", {c}");
      c.marks.intent = pick<std::string>(random, {"", "question", "complaint"});
      c.marks.urgency = pick<std::string>(random, {"", "low", "medium", "high", "critical"});
      if (random() % 2 == 0)
        c.marks.sla_due_at = noon + Millis{static_cast<int>(random() % 5) * 1000};
      c.has_sentiment = random() % 2 == 0;
      if (c.has_sentiment) c.sentiment = static_cast<double>(random() % 100) / 128;
      c.reach.push_back({c.marks.channel, "at \"x\"", account, noon, noon, {}});
      c.unread = static_cast<int>(random() % 3);
      c.last_message.preview = pick<std::string>(random, {"where is it?", "50% off", "Merci", ""});
      rows.push_back(row);
    }
    // Some change later, so that the order of writing is not the order of making.
    for (auto& row : rows) store(row, true);
    for (int i = 0; i < count; ++i) store(rows[random() % rows.size()], false);
  }

  void store(InboxRow& row, bool fresh) {
    WriteSet set;
    set.tenant_id = tenant;
    set.contact = std::make_shared<Contact>(row.contact);
    set.contact_is_new = fresh;
    if (fresh) set.new_identities = row.contact.identities;
    JournalEntry e;
    e.kind = EventKind::conversation_updated;
    e.at = now;
    e.conversation_id = row.conversation.id;
    e.before = e.after = row.conversation.marks;
    set.entries.push_back(e);
    set.conversations.push_back(row.conversation);
    auto done = commit({&set});
    REQUIRE(done);
    REQUIRE(done->front().first_seq > 0);
    row.conversation.seq = done->front().first_seq;
  }

  /// All pages of `limit` rows.
  std::vector<Sequence> listed(const InboxFilter& filter, InboxSort sort, int limit) {
    std::vector<Sequence> out;
    InboxQuery query{filter, sort, 0, 0, limit};
    for (;;) {
      auto page = list_inbox(db, tenant, query);
      REQUIRE(page);
      REQUIRE(page->size() <= static_cast<std::size_t>(limit));
      for (auto& row : *page) out.push_back(row.conversation.seq);
      if (page->size() < static_cast<std::size_t>(limit)) return out;
      query.after_key = key_of(sort, page->back().conversation);
      query.after_seq = page->back().conversation.seq;
    }
  }
};

bool same(const Conversation& a, const Conversation& b) {
  return a.id == b.id && a.contact_id == b.contact_id && a.marks == b.marks &&
         a.unread == b.unread && a.inbound_count == b.inbound_count &&
         a.outbound_count == b.outbound_count && a.read_seq == b.read_seq &&
         a.last_message.seq == b.last_message.seq && a.last_message.at == b.last_message.at &&
         a.last_message.direction == b.last_message.direction &&
         a.last_message.channel == b.last_message.channel &&
         a.last_message.preview == b.last_message.preview && a.sentiment == b.sentiment &&
         a.has_sentiment == b.has_sentiment && a.state == b.state && a.reach == b.reach &&
         a.opened_at == b.opened_at && a.resolved_at == b.resolved_at &&
         a.updated_at == b.updated_at && a.seq == b.seq;
}

}  // namespace

TEST_CASE_FIXTURE(Inbox, "inbox: every filter, order and page is what the rules say") {
  std::mt19937 random(7);
  int shown = 0;
  for (int round = 0; round < 120; ++round) {
    InboxFilter f;
    if (random() % 3 == 0) f.status = static_cast<ConversationStatus>(random() % 4);
    if (random() % 4 == 0) f.channel = pick<Channel>(random, {Channel::sms, Channel::push});
    if (random() % 5 == 0) f.intent = "question";
    if (random() % 5 == 0) f.urgency = pick<std::string>(random, {"low", "critical"});
    if (random() % 4 == 0) f.assigned_to = pick<std::string>(random, {"", "ana", "nobody"});
    if (random() % 4 == 0) f.flagged = random() % 2 == 0;
    if (random() % 4 == 0) f.sla_breached = random() % 2 == 0;
    if (random() % 4 == 0) f.label = pick<std::string>(random, {"vip", "a \"b\", {c}", "re"});
    if (random() % 3 == 0)
      f.text = pick<std::string>(random, {"ana", "ANA", "%", "_", "\\", "é", "É", "1555100000",
                                          "where", "o'n", "\"", "none of it"});
    for (auto sort :
         {InboxSort::newest, InboxSort::oldest, InboxSort::sla_due, InboxSort::urgency}) {
      int limit = pick<int>(random, {1, 7, 50, 200});
      auto wanted = reference(rows, f, sort);
      CAPTURE(round);
      CAPTURE(f.text);
      CAPTURE(static_cast<int>(sort));
      CHECK(listed(f, sort, limit) == wanted);
      shown += static_cast<int>(wanted.size());
    }
  }
  CHECK(shown > 1000);
}

TEST_CASE_FIXTURE(Inbox, "inbox: rows come back as they were written, with their contacts") {
  auto page = list_inbox(db, tenant, {{}, InboxSort::newest, 0, 0, 200});
  REQUIRE(page);
  REQUIRE(page->size() == rows.size());
  for (auto& row : *page) {
    auto there = std::find_if(rows.begin(), rows.end(), [&](const InboxRow& r) {
      return r.conversation.id == row.conversation.id;
    });
    REQUIRE(there != rows.end());
    CHECK(same(row.conversation, there->conversation));
    CHECK(row.contact.name == there->contact.name);
    CHECK(row.contact.identities == there->contact.identities);
  }
}

TEST_CASE_FIXTURE(Inbox, "inbox: its order holds while conversations are brought to their places") {
  std::mt19937 random(7);
  for (int step = 0; step < 60; ++step) {
    for (auto n = random() % 4; n > 0; --n) store(rows[random() % rows.size()], false);
    if (random() % 2 == 0) {
      now += std::chrono::seconds{random() % 5};
      writer->tidy(now);
    }
    // Another process goes on with what the database tells it.
    if (random() % 8 == 0) writer = std::make_unique<GroupWriter>(db, lease());
    InboxFilter filter;
    if (random() % 3 == 0) filter.flagged = true;
    for (auto sort : {InboxSort::newest, InboxSort::oldest})
      REQUIRE(listed(filter, sort, 17) == reference(rows, filter, sort));
    REQUIRE(sql("SELECT count(*) FROM conversation WHERE listed_seq <> seq AND seq <= "
                "coalesce((SELECT listed_seq FROM conversation_order), 0)") == "0");
  }
  for (int rounds = 0; rounds < 10 && writer->tidy(now); ++rounds) now += std::chrono::seconds{3};
  CHECK(sql("SELECT count(*) FROM conversation WHERE listed_seq <> seq") == "0");
}

TEST_CASE_FIXTURE(World, "conversation: a second owner's write is refused as a whole") {
  Person a(*this);
  a.says("hi").commit();
  Person twin = a;
  a.says("first").commit();
  twin.says("second");
  auto refused = commit({&twin.set});
  REQUIRE(refused);
  CHECK(refused->front().error.code == Errc::unavailable);
  CHECK(refused->front().first_seq == 0);
  CHECK(sql("SELECT count(*) FROM journal WHERE body = 'second'") == "0");
  // Nobody else of its group suffers, and the numbering goes on without a gap.
  Person b(*this, "+15550100888");
  twin.set = {};
  twin.set.tenant_id = tenant;
  twin.says("third");
  b.says("hello");
  auto group = commit({&twin.set, &b.set});
  REQUIRE(group);
  CHECK(group->at(0).error.code == Errc::unavailable);
  CHECK(group->at(1).first_seq == 3);
}

TEST_CASE_FIXTURE(World, "inbox: a page never repeats what changes while it is read") {
  std::vector<std::unique_ptr<Person>> people;
  for (int i = 0; i < 6; ++i) {
    people.push_back(std::make_unique<Person>(*this, "+1555010000" + std::to_string(i)));
    people.back()->says("hi").commit();
  }
  auto first = must(list_inbox(db, tenant, {{}, InboxSort::newest, 0, 0, 3}));
  people[0]->says("again").commit();
  auto second =
      must(list_inbox(db, tenant, {{}, InboxSort::newest, 0, first.back().conversation.seq, 3}));
  std::set<ConversationId> seen;
  for (auto* page : {&first, &second})
    for (auto& row : *page) CHECK(seen.insert(row.conversation.id).second);
}

TEST_CASE_FIXTURE(World, "conversation: a thread comes back as its actor left it") {
  Person a(*this);
  a.says("hi").commit();
  a.echoed("e1").echoed("e2").is_answered("reply").commit();
  a.is_reported(MessageStatus::delivered, "e1").commit();
  a.is_reported(MessageStatus::read, "e2").commit();
  auto loaded = get_thread(db, tenant, a.thread.contact->id, {});
  REQUIRE(loaded);
  REQUIRE(*loaded);
  auto& t = **loaded;
  CHECK(t.contact_stored);
  CHECK(t.has_conversation);
  CHECK(t.contact->identities == a.thread.contact->identities);
  CHECK(same(t.conversation, a.thread.conversation));
  CHECK(t.outstanding == a.thread.outstanding);
  CHECK(t.outstanding.size() == 2);
  // By its conversation and by its address it is the same; a stranger has none.
  CHECK((*get_thread(db, tenant, {}, t.conversation.id))->contact->id == t.contact->id);
  auto found = find_threads(db, {{tenant, Channel::sms, "+15550100777"},
                                 {tenant, Channel::sms, "+15550100778"},
                                 {tenant, Channel::whatsapp, "+15550100777"},
                                 {new_tenant(), Channel::sms, "+15550100777"},
                                 {tenant, Channel::sms, "+15550100777"}});
  REQUIRE(found);
  REQUIRE(found->size() == 5);
  CHECK(same((*found)[0]->conversation, t.conversation));
  for (int i : {1, 2, 3}) CHECK((*found)[static_cast<std::size_t>(i)] == nullptr);
  CHECK((*found)[4]->outstanding == t.outstanding);
  CHECK(*get_thread(db, new_tenant(), t.contact->id, {}) == nullptr);
}

TEST_CASE_FIXTURE(World, "conversation: a contact's thread is the newest of its conversations") {
  Person a(*this);
  a.says("old").commit();
  auto first = a.thread.conversation.id;
  a.thread.conversation.marks.status = ConversationStatus::resolved;
  a.thread.conversation.resolved_at = now;
  a.set.put(a.thread.conversation);
  a.thread.retract(1, account, "", "", now, a.set);
  a.commit();
  now += 8 * 24h;
  a.says("new").commit();
  auto loaded = get_thread(db, tenant, {}, first).value();
  REQUIRE(loaded);
  CHECK(loaded->conversation.id == a.thread.conversation.id);
  CHECK(loaded->conversation.id != first);
  CHECK(sql("SELECT count(*) FROM conversation") == "2");
}

TEST_CASE_FIXTURE(World, "conversation: its messages come oldest first, a page at a time") {
  Person a(*this, "+15550100001");
  Person b(*this, "+15550100002");
  for (int i = 0; i < 5; ++i) {
    a.says(std::to_string(i)).commit();
    b.says("x" + std::to_string(i)).commit();
  }
  a.is_answered("5").commit();
  auto bodies = [&](Sequence after, int limit) {
    bool found = false;
    std::string out;
    for (auto& m :
         must(list_messages(db, tenant, a.thread.conversation.id, after, limit, found)))
      out += m.entry.body + (m.delivery.message_seq != 0 ? "! " : " ");
    return (found ? "" : "none: ") + out;
  };
  CHECK(bodies(0, 50) == "0 1 2 3 4 5! ");
  CHECK(bodies(0, 2) == "0 1 ");
  CHECK(bodies(3, 2) == "2 3 ");
  bool found = true;
  CHECK(list_messages(db, new_tenant(), a.thread.conversation.id, 0, 50, found)->empty());
  CHECK_FALSE(found);
}

TEST_CASE_FIXTURE(World, "contact: one is made once; who has an address already is named") {
  Contact c;
  c.id = ContactId::make(noon);
  c.external_id = "crm-1";
  c.name = "Ana";
  c.identities = {{Channel::sms, "+15550100001", false}, {Channel::email, "a@b.c", true}};
  c.created_at = c.updated_at = noon;
  CHECK_FALSE(create_contact(db, tenant, c, {"key", "00", 201, "{}"}, noon).value());
  CHECK(find_idempotency(db, tenant, "key", noon)->status == 201);
  auto back = must(get_contact(db, tenant, c.id));
  REQUIRE(back.size() == 1);
  CHECK(back[0].name == "Ana");
  CHECK(back[0].external_id == "crm-1");
  CHECK(back[0].identities.size() == 2);

  for (auto& wanted : std::vector<std::pair<std::string, Identity>>{
           {"", {Channel::email, "a@b.c", false}},
           {"crm-1", {Channel::sms, "+15550100009", false}}}) {
    Contact other;
    other.id = ContactId::make(noon);
    other.external_id = wanted.first;
    other.identities = {wanted.second};
    CHECK(create_contact(db, tenant, other, {"other", "00", 201, "{}"}, noon).value() == c.id);
    CHECK_FALSE(find_idempotency(db, tenant, "other", noon));
    // Another tenant may have the same.
    CHECK_FALSE(create_contact(db, new_tenant(), other, {}, noon).value());
  }
  CHECK(sql("SELECT count(*) FROM contact") == "1");
}

TEST_CASE_FIXTURE(World, "contact: the list finds by text, address and external id, newest first") {
  std::vector<Contact> all;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Contact c;
    c.id = ContactId::make(noon + Millis{static_cast<int>(i)});
    c.name = names[i];
    c.external_id = i == 3 ? "crm-3" : "";
    c.identities = {{Channel::sms, "+1555010000" + std::to_string(i), false}};
    c.created_at = c.updated_at = noon;
    REQUIRE(create_contact(db, tenant, c, {}, noon));
    all.push_back(c);
  }
  auto found = [&](ContactQuery q) {
    std::string out;
    for (auto& c : must(list_contacts(db, tenant, q))) out += c.name + "|";
    return out;
  };
  CHECK(found({"ANA", "", "", {}, 50}) == "ANA|Ana Lima|");
  CHECK(found({"%", "", "", {}, 50}) == "100% sure|");
  CHECK(found({"_", "", "", {}, 50}) == "under_score|");
  CHECK(found({"\\", "", "", {}, 50}) == "a\\b|");
  CHECK(found({"", "+15550100007", "", {}, 50}) == "ben|");
  CHECK(found({"", "", "crm-3", {}, 50}) == "under_score|");
  CHECK(found({"", "", "", {}, 2}) == "\"quoted\"|O'Neil|");
  CHECK(found({"", "", "", all[2].id, 50}) == "ANA|Ana Lima|");
  CHECK(found({"ben", "+15550100007", "", {}, 50}) == "ben|");
  CHECK(found({"ANA", "+15550100007", "", {}, 50}) == "");
  CHECK(found({"", "+15550199999", "", {}, 50}) == "");
  // Whatever the channel.
  for (auto channel : {Channel::email, Channel::chat, Channel::custom}) {
    Contact c;
    c.id = ContactId::make(noon + std::chrono::hours{1 + static_cast<int>(channel)});
    c.name = std::string(domain::to_string(channel));
    c.identities = {{channel, "the same", false}};
    c.created_at = c.updated_at = noon;
    REQUIRE(create_contact(db, tenant, c, {}, noon));
  }
  CHECK(found({"", "the same", "", {}, 50}) == "custom|chat|email|");
  CHECK(list_contacts(db, new_tenant(), {})->empty());
}
