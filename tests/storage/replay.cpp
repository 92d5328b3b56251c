// What the live feed was told is what a replay tells, byte for byte.
#include <random>

#include "messages/inbox.hpp"
#include "support.hpp"

using namespace sara;
using namespace sara::storage;
using domain::MessageStatus;

namespace {

std::string text_of(const domain::JournalEvent& event) {
  auto rendered = messages::render_event(event);
  return rendered->head + rendered->tail;
}

}  // namespace

TEST_CASE_FIXTURE(World, "replay: each group is replayed as it was told live") {
  std::mt19937 random(3);
  std::vector<std::unique_ptr<Person>> people;
  for (int i = 0; i < 5; ++i)
    people.push_back(std::make_unique<Person>(*this, "+1555010000" + std::to_string(i)));
  Sequence told = 0;
  for (int round = 0; round < 80; ++round) {
    now += Millis{1 + static_cast<int>(random() % 1000)};
    std::vector<Person*> group;
    std::vector<domain::WriteSet*> sets;
    for (auto& who : people) {
      if (random() % 3 == 0) continue;
      auto id = std::to_string(round) + who->address;
      switch (random() % 5) {
        case 0: who->says("hi " + id).says("and \"more\"\n" + id); break;
        case 1: who->echoed("e" + id); break;
        case 2:
          if (!who->thread.has_conversation) continue;
          who->is_answered("answer " + id);
          break;
        case 3: {
          auto& open = who->thread.outstanding;
          if (open.empty() || open.back().status != MessageStatus::sent) continue;
          auto status = random() % 3 == 0 ? MessageStatus::failed : MessageStatus::delivered;
          who->is_reported(status, open.back().provider_message_id);
          break;
        }
        default:
          if (!who->thread.has_conversation) continue;
          who->thread.retract(who->thread.conversation.last_message.seq, account, "x/u" + id,
                              "raw", now, who->set);
      }
      group.push_back(who.get());
      sets.push_back(&who->set);
    }
    auto kept = unmatched(tenant, "m" + std::to_string(round), MessageStatus::sent);
    sets.push_back(&kept);
    std::vector<domain::JournalEvent> live;
    auto done = commit(sets, &live);
    REQUIRE(done);
    for (std::size_t i = 0; i < group.size(); ++i) {
      REQUIRE((*done)[i].first_seq > 0);
      group[i]->finish((*done)[i]);
    }
    Sequence newest = 0;
    auto replayed = replay_journal(db, tenant, told, 500, newest);
    REQUIRE(replayed);
    REQUIRE(replayed->size() == live.size());
    for (std::size_t i = 0; i < live.size(); ++i) {
      CHECK(live[i].entry.seq == ++told);
      CHECK(text_of((*replayed)[i]) == text_of(live[i]));
      if (!live[i].entry.conversation_id) continue;
      // Filters look at these.
      CHECK((*replayed)[i].entry.before == live[i].entry.before);
      CHECK((*replayed)[i].entry.after == live[i].entry.after);
    }
    CHECK(newest == told);
  }
  CHECK(told > 200);
}

TEST_CASE_FIXTURE(World, "replay: it goes on behind a number, no further than asked") {
  Person a(*this);
  for (int i = 0; i < 10; ++i) a.says(std::to_string(i)).commit();
  auto seqs = [&](Sequence after, int limit) {
    Sequence newest = 0;
    std::string out;
    for (auto& e : must(replay_journal(db, tenant, after, limit, newest)))
      out += std::to_string(e.entry.seq) + " ";
    return out + "of " + std::to_string(newest);
  };
  CHECK(seqs(0, 3) == "1 2 3 of 10");
  CHECK(seqs(8, 50) == "9 10 of 10");
  CHECK(seqs(10, 50) == "of 10");
  Sequence newest = 7;
  CHECK(replay_journal(db, new_tenant(), 0, 50, newest)->empty());
  CHECK(newest == 0);
}
