// The simulation is worth what its database is. Here the one in memory and Postgres get the same
// random groups: every outcome, every event and every row must be the same.
#include <random>

#include "database.hpp"
#include "messages/inbox.hpp"
#include "storage/delivery.hpp"
#include "tests/support/proxy.hpp"
#include "tests/storage/support.hpp"

using namespace sara;
using namespace sara::domain;
using sara::simulation::Database;
using sara::simulation::Fault;

namespace {

template <class T>
std::string text(const T& outcome) {
  std::string out = std::to_string(outcome.first_seq) + (outcome.again ? " again" : "");
  for (auto& key : outcome.duplicates) out += " dup:" + key;
  for (auto& key : outcome.matched) out += " matched:" + key;
  if (outcome.error.code != Errc::ok) out += " " + std::string(to_string(outcome.error.code));
  return out;
}
template <class T>
std::string text(const Result<std::vector<T>>& outcomes) {
  if (!outcomes) return "all " + std::string(to_string(outcomes.error().code));
  std::string out;
  for (auto& o : *outcomes) out += text(o) + "; ";
  return out;
}
std::string text(const std::vector<JournalEvent>& events) {
  std::string out;
  for (auto& event : events) {
    auto shown = messages::render_event(event);
    out += to_string(event.tenant_id).substr(30) + " " + shown->head + shown->tail + "\n";
  }
  return out;
}
std::string text(const std::vector<JournalEntry>& entries) {
  std::string out;
  for (auto& e : entries)
    out += std::to_string(e.seq) + " " + std::string(to_string(e.kind)) + " " + e.dedupe_key + " " +
           e.subject + " " + e.body + " " + std::string(to_string(e.status)) + "\n";
  return out;
}
std::string text(const Delivery& d) {
  return std::to_string(d.message_seq) + " " + std::string(to_string(d.status)) + " " +
         d.provider_message_id + " " + d.address + " " + std::to_string(d.attempt) + " " +
         std::to_string(to_millis(d.sent_at)) + " " + d.error_code + " " + d.error_detail + " " +
         d.provider_code + "\n";
}
std::string text(const std::shared_ptr<const Thread>& thread) {
  if (!thread) return "nobody\n";
  std::string out = to_string(thread->contact->id) + " " + thread->contact->name;
  for (auto& i : thread->contact->identities) out += " " + i.address;
  if (thread->has_conversation) {
    auto& c = thread->conversation;
    out += " | " + to_string(c.id) + " " + std::to_string(c.seq) + " " +
           std::to_string(c.unread) + " " + std::to_string(c.inbound_count) + " " +
           std::to_string(c.outbound_count) + " " + std::to_string(c.last_message.seq) + " '" +
           c.last_message.preview + "' " + std::to_string(to_millis(c.updated_at));
    for (auto& r : c.reach)
      out += " " + r.address + "/" + std::to_string(to_millis(r.last_inbound_at)) + "/" +
             std::to_string(to_millis(r.read_up_to));
  }
  out += "\n";
  for (auto& d : thread->outstanding) out += "  " + text(d);
  return out;
}

/// A contact's single writer, as far as it decides.
struct Writer {
  TenantId tenant;
  std::string address;
  Thread thread;
  WriteSet set;
  Thread after;
};

struct Pair : storage::World {
  test::Proxy proxy{url};
  storage::Connection through{proxy.url()};
  storage::GroupWriter real{through, lease()};
  Database model;
  std::mt19937 random{20260105};
  std::vector<TenantId> tenants{tenant, new_tenant(), new_tenant()};
  std::vector<Writer> writers;
  int ids = 0;

  std::size_t below(std::size_t n) { return random() % n; }

  Pair() {
    model.epoch = epoch;
    for (auto t : tenants) model.tenants[t];
    for (int i = 0; i < 12; ++i) {
      // Two writers for an address now and then: only one of them can have it.
      auto address = "+1555" + std::to_string(1'000'000 + (i == 11 ? 8 : i));
      auto contact = std::make_shared<Contact>();
      contact->id = ContactId::make(now);
      contact->identities.push_back({Channel::sms, address, true});
      contact->created_at = contact->updated_at = now;
      writers.push_back({tenants[below(3)], address, {}, {}, {}});
      writers.back().thread.contact = contact;
    }
    writers[11].tenant = writers[8].tenant;
  }

  /// A few decisions of one writer, as one set.
  WriteSet decide(Writer& w) {
    w.after = w.thread;
    WriteSet set;
    set.tenant_id = w.tenant;
    std::set<std::string> keys;
    auto key = [&](const std::string& k) { return keys.insert(k).second; };
    for (auto n = 1 + below(3); n > 0; --n) {
      auto id = std::to_string(below(600));
      Inbound in;
      in.channel = Channel::sms;
      in.provider = Provider::sandbox;
      in.address = w.address;
      in.body = "\"text\" \\ of " + id;
      switch (below(12)) {
        case 0:
          in.echo = true;
          in.provider_message_id = "e" + id;
          if (!key("x/e" + id)) break;
          w.after.receive(in, account, "x/e" + id, "raw", now, {}, set);
          break;
        case 1:
        case 2: {
          auto queued = w.after.reply({"re " + id, Channel::none, "", {}},
                                      storage::Person::Route{}, now, set);
          if (!queued || !set.idempotency.key.empty() || below(2) == 0) break;
          set.idempotency = {"key" + std::to_string(below(60)), std::string(64, 'a'), 202, {}};
          set.render_answer = [](Sequence first) { return "first " + std::to_string(first); };
          break;
        }
        case 3:
        case 4: {
          if (w.after.outstanding.empty()) break;
          auto mine = w.after.outstanding[below(w.after.outstanding.size())];
          mine.status = mine.status == MessageStatus::queued ? MessageStatus::sending
                                                             : MessageStatus::sent;
          ++mine.attempt;
          if (mine.status == MessageStatus::sent && mine.provider_message_id.empty())
            mine.provider_message_id = "p" + std::to_string(below(300));
          (void)w.after.settle(mine, now, set);
          break;
        }
        case 5: {
          if (w.after.outstanding.empty()) break;
          Receipt r;
          r.channel = Channel::sms;
          r.provider = Provider::sandbox;
          r.provider_message_id = w.after.outstanding.front().provider_message_id;
          r.status = below(2) ? MessageStatus::read : MessageStatus::failed;
          r.event = to_string(r.status);
          auto k = "x/" + r.provider_message_id + ":" + r.event;
          auto found = w.after.outstanding.front();
          if (key(k)) (void)w.after.report(r, &found, account, k, "raw", now, set);
          break;
        }
        case 6: {
          auto& rows = model.rows(w.tenant);
          if (!w.after.has_conversation || rows.last() == 0) break;
          auto seq = 1 + static_cast<Sequence>(below(static_cast<std::size_t>(rows.last())));
          if (rows.at(seq).kind == EventKind::message_created && key("x/gone" + id))
            w.after.retract(seq, account, "x/gone" + id, "raw", now, set);
          break;
        }
        case 7:
          if (below(4) == 0) in.body += std::string("\0", 1);
          [[fallthrough]];
        default:
          if (below(5) == 0) in.profile_name = "Name " + id;
          if (key("x/" + id)) w.after.receive(in, account, "x/" + id, "raw", now, {}, set);
      }
    }
    return set;
  }

  /// What a tenant stores without a conversation.
  WriteSet keep() {
    WriteSet set;
    set.tenant_id = tenants[below(3)];
    std::set<std::string> keys;
    for (auto n = 1 + below(3); n > 0; --n) {
      auto id = "p" + std::to_string(below(300));
      auto one = storage::unmatched(set.tenant_id, id, MessageStatus::delivered).entries[0];
      auto roll = below(4);
      if (roll == 0) one.kind = EventKind::webhook_failed;
      if (roll == 1) one.kind = EventKind::webhook_kept;
      if (keys.insert(one.dedupe_key).second) set.entries.push_back(one);
    }
    return set;
  }

  void round() {
    now += Millis{static_cast<std::int64_t>(below(50))};
    std::vector<WriteSet> sets;
    std::vector<Writer*> of;
    for (auto n = 1 + below(6); n > 0; --n) {
      bool bare = below(5) == 0;
      auto& w = writers[below(writers.size())];
      auto set = bare ? keep() : decide(w);
      if (set.entries.empty() && set.deliveries.empty()) continue;
      sets.push_back(std::move(set));
      of.push_back(bare ? nullptr : &w);
    }
    auto copies = sets;
    std::vector<WriteSet*> mine, theirs;
    for (auto& set : sets) mine.push_back(&set);
    for (auto& set : copies) theirs.push_back(&set);
    auto fault = Fault::none;
    if (sets.size() == 1 && below(6) == 0) {
      // Cut at its COMMIT, if it comes so far.
      auto trial = model;
      auto copy = sets.front();
      std::vector<WriteSet*> alone{&copy};
      auto done = trial.commit(epoch, alone, now, nullptr);
      if (done && done->front().error.code == Errc::ok)
        fault = below(2) ? Fault::lost : Fault::doubt_confirmed;
    }
    if (fault != Fault::none)
      proxy.cut(fault == Fault::lost ? test::Proxy::Cut::before_commit
                                     : test::Proxy::Cut::after_commit);
    std::vector<JournalEvent> told, really_told;
    auto outcomes = model.commit(epoch, mine, now, &told, fault);
    auto really = real.commit(theirs, now, &really_told);
    REQUIRE(text(outcomes) == text(really));
    REQUIRE(text(told) == text(really_told));
    if (!outcomes) return;
    for (std::size_t i = 0; i < sets.size(); ++i) {
      if (of[i] == nullptr) continue;
      auto& w = *of[i];
      if ((*outcomes)[i].error.code == Errc::unavailable) {
        // What it holds is not what is stored.
        auto stored = model.thread(w.tenant, model.contact(w.tenant, w.thread.contact->id));
        if (stored) w.thread = *stored;
      }
      // Now and then it forgets what it has just written, as after a crash.
      if ((*outcomes)[i].first_seq == 0 || below(30) == 0) continue;
      w.thread = w.after;
      w.thread.numbered(sets[i], (*outcomes)[i].first_seq);
    }
  }

  void compare_rows() {
    for (auto t : tenants) {
      auto& rows = model.rows(t);
      Sequence last = 0;
      auto events = storage::must(storage::replay_journal(db, t, 0, 100'000, last));
      REQUIRE(last == rows.last());
      REQUIRE(text(model.replay(t, 0, 100'000)) == text(events));
      std::vector<JournalEntry> failures;
      for (auto seq = rows.failures.rbegin(); seq != rows.failures.rend(); ++seq)
        failures.push_back(rows.at(*seq));
      REQUIRE(text(failures) == text(storage::must(storage::list_failures(db, t, 0, 100'000))));
      std::string waiting, really_waiting, answered, really_answered;
      for (int i = 0; i < 300; ++i) {
        auto id = "p" + std::to_string(i);
        waiting += text(model.find_unmatched(t, Provider::sandbox, id));
      }
      for (int i = 0; i < 300; ++i)
        if (waiting.find("p" + std::to_string(i) + " ") != waiting.npos)
          really_waiting += text(storage::must(
              storage::find_unmatched(db, t, Provider::sandbox, "p" + std::to_string(i))));
      REQUIRE(waiting == really_waiting);
      for (int i = 0; i < 60; ++i) {
        auto k = "key" + std::to_string(i);
        auto* row = model.find_idempotency(t, k, now);
        auto record = storage::find_idempotency(db, t, k, now);
        answered += row ? row->record.body + ";" : "none;";
        really_answered += record ? record->body + ";" : "none;";
      }
      REQUIRE(answered == really_answered);
      std::vector<Sequence> all(static_cast<std::size_t>(rows.last()));
      for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Sequence>(i + 1);
      std::string sent, really_sent;
      for (auto& d : model.find_deliveries(t, Provider::sandbox, {}, all)) sent += text(d);
      auto found = storage::must(storage::find_deliveries(db, t, Provider::sandbox, {}, all));
      std::sort(found.begin(), found.end(),
                [](auto& a, auto& b) { return a.message_seq < b.message_seq; });
      for (auto& d : found) really_sent += text(d);
      REQUIRE(sent == really_sent);
    }
    std::vector<storage::Address> addresses;
    std::string threads, really;
    for (auto& w : writers) {
      addresses.push_back({w.tenant, Channel::sms, w.address});
      auto contact =
          model.contact(w.tenant, model.holder_of(w.tenant, Channel::sms, w.address));
      threads += text(model.thread(w.tenant, contact));
    }
    for (auto& thread : storage::must(storage::find_threads(db, addresses))) really += text(thread);
    REQUIRE(threads == really);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Pair, "database: the one in memory answers as Postgres does") {
  for (int i = 0; i < 400; ++i) {
    round();
    if (i % 40 == 39) compare_rows();
  }
  // It was worth it: there were numbers, and there were refusals of each kind.
  CHECK(model.rows(tenant).last() > 100);
  CHECK(model.conflicts > 0);
  CHECK(proxy.has_cut());
}

TEST_CASE_FIXTURE(Pair, "database: whoever holds an older lease is refused") {
  auto set = storage::unmatched(tenant, "p1", MessageStatus::sent);
  auto copy = set;
  std::vector<WriteSet*> mine{&set}, theirs{&copy};
  CHECK(model.take_lease() == storage::take_lease(db, "another", now).value());
  auto refused = model.commit(epoch, mine, now, nullptr);
  auto really = real.commit(theirs, now, nullptr);
  REQUIRE_FALSE(refused);
  CHECK(text(refused) == text(really));
  CHECK(refused.error().code == Errc::stale);
  Contact contact;
  contact.id = ContactId::make(now);
  CHECK(model.create_contact(epoch, tenant, contact).error().code == Errc::stale);
  CHECK(storage::create_contact(through, tenant, contact, {}, now).error().code == Errc::stale);
}
