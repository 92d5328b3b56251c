// Group commit against the real thing: numbers without gaps, nothing twice, nobody's fault but
// one's own.
#include "storage/journal.hpp"

#include <random>
#include <set>

#include "tests/support/proxy.hpp"
#include "support.hpp"

using namespace sara;
using namespace sara::storage;
using domain::EventKind;
using domain::MessageStatus;

namespace {

/// "1 2 3": the tenant's numbers as they stand.
std::string numbers(World& w, TenantId tenant) {
  return w.sql("SELECT string_agg(seq::text, ' ' ORDER BY seq) FROM journal", {tenant});
}
std::string numbers(World& w) { return numbers(w, w.tenant); }

}  // namespace

TEST_CASE_FIXTURE(World, "journal: each tenant is numbered from 1 without gaps, in commit order") {
  auto other = new_tenant();
  Person a(*this, "+15550100001");
  Person b(*this, "+15550100002");
  Person c(*this, other, "+15550100001");
  a.says("1").says("2");
  b.says("3");
  c.says("1");
  auto done = commit({&a.set, &c.set, &b.set});
  REQUIRE(done);
  CHECK((*done)[0].first_seq == 1);
  CHECK((*done)[1].first_seq == 1);
  CHECK((*done)[2].first_seq == 3);
  CHECK(a.set.entries[1].seq == 2);
  CHECK(numbers(*this) == "1 2 3");
  CHECK(numbers(*this, other) == "1");
  CHECK(sql("SELECT body FROM journal WHERE seq = 3") == "3");
}

TEST_CASE_FIXTURE(World, "journal: a redelivered key is refused, and takes no number") {
  Person a(*this);
  CHECK(a.says("1", "x/1").commit().first_seq == 1);
  auto again = a.says("new", "x/2").says("1", "x/1").commit();
  CHECK(again.first_seq == 0);
  CHECK(again.duplicates == std::vector<std::string>{"x/1"});
  CHECK(numbers(*this) == "1");
  // The same key of another tenant is another event.
  Person other(*this, new_tenant(), "+15550100777");
  CHECK(other.says("1", "x/1").commit().first_seq == 1);
}

TEST_CASE_FIXTURE(World, "journal: two sets of a group with one key: the second goes again") {
  Person a(*this, "+15550100001");
  Person b(*this, "+15550100002");
  Person c(*this, "+15550100003");
  a.says("1", "x/same");
  b.says("2", "x/same");
  c.says("3", "x/other");
  auto done = commit({&a.set, &b.set, &c.set});
  REQUIRE(done);
  CHECK((*done)[0].first_seq == 1);
  CHECK((*done)[1].again);
  CHECK((*done)[1].first_seq == 0);
  CHECK((*done)[2].first_seq == 2);
  auto again = commit({&b.set});
  REQUIRE(again);
  CHECK((*again)[0].duplicates == std::vector<std::string>{"x/same"});
  CHECK(sql("SELECT count(*) FROM contact") == "2");
}

TEST_CASE_FIXTURE(World, "journal: a row that Postgres refuses fails alone") {
  Person good(*this, "+15550100001");
  Person bad(*this, "+15550100002");
  Person other(*this, new_tenant(), "+15550100003");
  good.says("1");
  other.says("1");
  SUBCASE("a zero byte") { bad.says(std::string("a\0b", 3)); }
  SUBCASE("no UTF-8") { bad.says("\xff\xfe"); }
  SUBCASE("a key too long for its index") {
    std::mt19937 random(1);
    std::string key;
    for (int i = 0; i < 20'000; ++i) key += static_cast<char>('a' + random() % 26);
    bad.says("long", key);
  }
  SUBCASE("a tenant that is not there") {
    bad.tenant = bad.set.tenant_id = TenantId{Uuid{1, 2}};
    bad.says("nobody's");
  }
  auto done = commit({&good.set, &bad.set, &other.set});
  REQUIRE(done);
  CHECK((*done)[0].first_seq == 1);
  CHECK((*done)[1].first_seq == 0);
  CHECK((*done)[1].error.code == Errc::internal);
  CHECK((*done)[2].first_seq == 1);
  CHECK(numbers(*this) == "1");
  good.finish((*done)[0]);
  CHECK(good.says("2").commit().first_seq == 2);
}

TEST_CASE_FIXTURE(World, "journal: of two contacts with one address the second is refused") {
  Person a(*this, "+15550100001");
  Person twin(*this, "+15550100001");
  a.says("1").commit();
  twin.says("2");
  auto done = commit({&twin.set});
  REQUIRE(done);
  CHECK((*done)[0].error.code == Errc::unavailable);
  CHECK(numbers(*this) == "1");
}

TEST_CASE_FIXTURE(World, "journal: groups of every kind of trouble leave no gap and lose nothing") {
  std::mt19937 random(20260105);
  std::vector<TenantId> tenants{tenant, new_tenant(), new_tenant()};
  std::map<TenantId, std::set<std::string>> acknowledged;
  for (int round = 0; round < 60; ++round) {
    std::vector<std::unique_ptr<Person>> people;
    std::vector<domain::WriteSet*> sets;
    for (auto n = 1 + random() % 12; n > 0; --n) {
      auto address = "+1555" + std::to_string(1'000'000 + round * 20 + static_cast<int>(n));
      auto who = std::make_unique<Person>(*this, tenants[random() % 3], address);
      for (auto m = 1 + random() % 3; m > 0; --m)
        who->says("b", "x/" + std::to_string(random() % 400));
      // Entries of one set share no key.
      std::set<std::string> keys;
      for (auto& e : who->set.entries) keys.insert(e.dedupe_key);
      if (keys.size() < who->set.entries.size()) continue;
      if (random() % 10 == 0) who->set.entries[0].body = "\xff";
      people.push_back(std::move(who));
      sets.push_back(&people.back()->set);
    }
    if (sets.empty()) continue;
    if (random() % 5 == 0) writer = std::make_unique<GroupWriter>(db, lease());
    auto done = commit(sets);
    REQUIRE(done);
    for (std::size_t i = 0; i < sets.size(); ++i)
      if ((*done)[i].first_seq != 0)
        for (auto& e : sets[i]->entries)
          CHECK(acknowledged[sets[i]->tenant_id].insert(e.dedupe_key).second);
  }
  for (auto id : tenants) {
    auto count = std::to_string(acknowledged[id].size());
    CHECK(sql("SELECT count(*) FROM journal", {id}) == count);
    CHECK(sql("SELECT max(seq) FROM journal", {id}) == count);
    CHECK(sql("SELECT count(DISTINCT dedupe_key) FROM journal", {id}) == count);
  }
}

TEST_CASE_FIXTURE(World, "journal: whoever takes the lease makes the writer before stale") {
  Person a(*this);
  a.says("1").commit();
  Connection second(url);
  auto newer = take_lease(second, "another", noon);
  REQUIRE(newer);
  CHECK(*newer == epoch + 1);
  a.says("2");
  auto refused = commit({&a.set});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::stale);
  CHECK(db.failure() == Failure::fenced);
  CHECK(numbers(*this) == "refused");  // What else this connection writes is fenced, too.
  GroupWriter winner(second, {{0, 1, 2, 3}, *newer});
  std::vector<domain::WriteSet*> sets{&a.set};
  auto done = winner.commit(sets, noon, nullptr);
  REQUIRE(done);
  CHECK(done->front().first_seq == 2);
}

TEST_CASE_FIXTURE(World, "journal: a status whose message is there is matched, not stored") {
  Person a(*this);
  a.echoed("id-1").commit();
  auto known_one = unmatched(tenant, "id-1", MessageStatus::delivered);
  auto early = unmatched(tenant, "id-2", MessageStatus::delivered);
  auto foreign = unmatched(new_tenant(), "id-1", MessageStatus::delivered);
  auto done = commit({&known_one, &early, &foreign});
  REQUIRE(done);
  CHECK((*done)[0].matched == std::vector<std::string>{"x/id-1:delivered"});
  CHECK((*done)[0].first_seq == 0);
  CHECK((*done)[1].first_seq == 2);
  CHECK((*done)[2].first_seq == 1);
  auto waiting = find_unmatched(db, tenant, domain::Provider::sandbox, "id-2");
  REQUIRE(waiting);
  REQUIRE(waiting->size() == 1);
  CHECK(waiting->front().status == MessageStatus::delivered);
  CHECK(waiting->front().seq == 2);
  // A longer id that begins the same is another message's.
  CHECK(find_unmatched(db, tenant, domain::Provider::sandbox, "id")->empty());
}

TEST_CASE_FIXTURE(World, "journal: an applied status waits no more") {
  auto early = unmatched(tenant, "id-1", MessageStatus::delivered);
  REQUIRE(commit({&early}));
  Person a(*this);
  a.echoed("id-1").commit();
  a.set.applied_unmatched.push_back(1);
  a.is_reported(MessageStatus::delivered, "id-1");
  a.set.entries.back().dedupe_key.clear();
  CHECK(a.commit().first_seq == 3);
  CHECK(find_unmatched(db, tenant, domain::Provider::sandbox, "id-1")->empty());
  CHECK(sql("SELECT kind FROM journal WHERE seq = 1") == "5");
}

TEST_CASE_FIXTURE(World, "journal: an answer is remembered with its effect, or not at all") {
  Person a(*this);
  a.says("hi").commit();
  auto reply = [&](const std::string& body) {
    a.is_answered(body);
    a.set.idempotency = {"key", "00ff", 202, {}};
    a.set.render_answer = [](Sequence first) { return "number " + std::to_string(first); };
    return a.commit();
  };
  CHECK(reply("\xff").error.code == Errc::internal);
  CHECK_FALSE(find_idempotency(db, tenant, "key", noon));
  a.thread = *get_thread(db, tenant, a.thread.contact->id, {}).value();
  CHECK(reply("hello").first_seq == 2);
  auto record = find_idempotency(db, tenant, "key", noon);
  REQUIRE(record);
  CHECK(record->status == 202);
  CHECK(record->body == "number 2");
  CHECK(record->request_hash == "00ff");
  CHECK(reply("again").error.code == Errc::idempotency_running);
  CHECK(numbers(*this) == "1 2");
  CHECK(sql("SELECT count(*) FROM delivery") == "1");
  // Another tenant's key is another key, and so is one of yesterday.
  CHECK(find_idempotency(db, tenant, "key", noon + 23h));
  CHECK_FALSE(find_idempotency(db, tenant, "key", noon + 25h));
  CHECK_FALSE(find_idempotency(db, new_tenant(), "key", noon));
}

TEST_CASE_FIXTURE(World, "journal: a withdrawn message keeps its place and loses its content") {
  Person a(*this);
  a.says("a secret", "x/1").commit();
  a.thread.retract(1, account, "x/1:unsend", "raw", now, a.set);
  CHECK(a.commit().first_seq == 2);
  CHECK(sql("SELECT coalesce(body, '') || coalesce(raw::text, '') FROM journal WHERE seq = 1") ==
        "");
  CHECK(sql("SELECT last_preview FROM conversation") == "");
  // Its redelivery is still known.
  CHECK(a.says("a secret", "x/1").commit().duplicates.size() == 1);
}

TEST_CASE_FIXTURE(World, "journal: raw bytes come back as they came, message by message") {
  Person a(*this);
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  for (auto& raw : {bytes, std::string{}, std::string("\0", 1), bytes + bytes})
    a.thread.receive(a.inbound("hi"), account, "", raw, now, {}, a.set);
  a.commit();
  for (auto& [seq, raw] : std::map<Sequence, std::string>{
           {1, bytes}, {2, ""}, {3, std::string("\0", 1)}, {4, bytes + bytes}}) {
    auto message = get_message(db, tenant, seq);
    REQUIRE(message);
    REQUIRE(message->size() == 1);
    CHECK(message->front().entry.raw == raw);
  }
  CHECK(get_message(db, new_tenant(), 1)->empty());
}

TEST_CASE_FIXTURE(World, "journal: what could not be used is listed, newest first") {
  for (int i = 1; i <= 5; ++i) {
    auto set = unmatched(tenant, std::to_string(i), MessageStatus::sent);
    set.entries[0].kind = i == 3 ? EventKind::webhook_kept : EventKind::webhook_failed;
    REQUIRE(commit({&set}));
  }
  auto seqs = [&](Sequence before, int limit) {
    std::string out;
    for (auto& e : must(list_failures(db, tenant, before, limit)))
      out += std::to_string(e.seq) + " ";
    return out;
  };
  CHECK(seqs(0, 10) == "5 4 2 1 ");
  CHECK(seqs(0, 2) == "5 4 ");
  CHECK(seqs(4, 2) == "2 1 ");
}

TEST_CASE_FIXTURE(World, "journal: a connection that was lost is answered, then replaced") {
  Person a(*this);
  a.says("1").commit();
  auto pid = sql("SELECT pg_backend_pid()");
  pqxx::connection other(url);
  pqxx::nontransaction(other).exec("SELECT pg_terminate_backend(" + pid + ", 5000)");
  a.says("2");
  auto lost = commit({&a.set});
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code == Errc::unavailable);
  CHECK(db.failure() == Failure::connection_lost);
  auto done = commit({&a.set});
  REQUIRE(done);
  CHECK(done->front().first_seq == 2);
  CHECK(numbers(*this) == "1 2");
}

TEST_CASE_FIXTURE(World, "journal: a commit in doubt is looked up, never assumed") {
  test::Proxy proxy(url);
  Connection through(proxy.url());
  GroupWriter doubtful(through, lease());
  std::vector<domain::JournalEvent> told;
  auto write = [&](domain::WriteSet& set) {
    std::vector<domain::WriteSet*> sets{&set};
    return doubtful.commit(sets, now, &told);
  };
  Person a(*this, "+15550100001");
  a.says("1");
  REQUIRE(write(a.set));
  Person b(*this, "+15550100002");
  b.says("2");
  SUBCASE("it was committed, and only the answer was lost") {
    proxy.cut(test::Proxy::Cut::after_commit);
    auto done = write(b.set);
    CHECK(proxy.has_cut());
    REQUIRE(done);
    CHECK(done->front().first_seq == 2);
    CHECK(told.size() == 2);
  }
  SUBCASE("it was on its way for longer than the connection lasted") {
    proxy.cut(test::Proxy::Cut::late_commit);
    auto done = write(b.set);
    CHECK(proxy.has_cut());
    REQUIRE(done);
    CHECK(done->front().first_seq == 2);
  }
  SUBCASE("the first of its sets made no row") {
    domain::WriteSet nothing;
    nothing.tenant_id = tenant;
    std::vector<domain::WriteSet*> sets{&nothing, &b.set};
    proxy.cut(test::Proxy::Cut::after_commit);
    auto done = doubtful.commit(sets, now, &told);
    REQUIRE(done);
    CHECK((*done)[1].first_seq == 2);
  }
  SUBCASE("it never arrived") {
    proxy.cut(test::Proxy::Cut::before_commit);
    auto done = write(b.set);
    CHECK(proxy.has_cut());
    REQUIRE_FALSE(done);
    CHECK(done.error().code == Errc::unavailable);
    CHECK(numbers(*this) == "1");
    CHECK(told.size() == 1);
    auto again = write(b.set);
    REQUIRE(again);
    CHECK(again->front().first_seq == 2);
  }
  CHECK(numbers(*this) == "1 2");
  Person c(*this, "+15550100003");
  c.says("3");
  CHECK(write(c.set)->front().first_seq == 3);
}

TEST_CASE_FIXTURE(World, "journal: a connection that ends in the middle is no fault of the rows") {
  test::Proxy proxy(url);
  Connection through(proxy.url());
  GroupWriter unlucky(through, lease());
  Person a(*this, "+15550100001");
  Person b(*this, "+15550100002");
  a.says("1");
  b.says("2");
  std::vector<domain::WriteSet*> sets{&a.set, &b.set};
  for (auto& [statement, answered] : {std::pair{"journal.append", false},
                                      {"contact.save", false},
                                      {"journal.append", true},
                                      {"contact.save", true},
                                      {"BEGIN", true}}) {
    CAPTURE(statement);
    CAPTURE(answered);
    proxy.cut_at(statement, answered);
    auto done = unlucky.commit(sets, now, nullptr);
    CHECK(proxy.has_cut());
    REQUIRE_FALSE(done);
    CHECK(done.error().code == Errc::unavailable);
    CHECK(through.failure() == Failure::connection_lost);
    CHECK(numbers(*this) == "");
  }
  REQUIRE(unlucky.commit(sets, now, nullptr));
  CHECK(numbers(*this) == "1 2");
}

TEST_CASE_FIXTURE(World, "journal: what the database's own troubles refuse may be sent again") {
  struct {
    std::string state;
    Errc code;
  } cases[] = {{"53100", Errc::unavailable}, {"57014", Errc::unavailable},
               {"58030", Errc::unavailable}, {"XX000", Errc::unavailable},
               {"25006", Errc::unavailable}, {"40001", Errc::unavailable},
               {"22001", Errc::internal},    {"54000", Errc::internal}};
  for (auto& [state, code] : cases) {
    CAPTURE(state);
    auto done = db.transact({tenant}, false, "", [&, &raised = state](const pqxx::result&) {
      db.execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '" + raised + "'; END $$");
    });
    REQUIRE_FALSE(done);
    CHECK(done.error().code == code);
  }
}
