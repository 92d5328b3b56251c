// The log of a filter: frames made once, places in it, and what is freed when.
#include "http/feed_log.hpp"

#include <doctest/doctest.h>

using namespace sara;
using namespace sara::http;

namespace {

std::shared_ptr<const messages::FeedEvent> event(Sequence seq, domain::Channel channel,
                                                 std::size_t bytes = 10) {
  auto out = std::make_shared<messages::FeedEvent>();
  out->seq = seq;
  out->head = "{" + std::to_string(seq);
  out->tail = std::string(bytes, '.') + "}";
  out->about_conversation = true;
  out->after.channel = channel;
  return out;
}

/// The texts of the frames in a chain from a place on, as "1<0 2<1": seq and prev_seq.
std::string told(FeedChunkPtr chunk, std::size_t from = 0) {
  std::string out;
  for (; chunk; chunk = chunk->next, from = 0) {
    auto bytes = std::string_view(chunk->bytes()).substr(from);
    while (!bytes.empty()) {
      std::size_t head = 2, size = static_cast<unsigned char>(bytes[1]);
      if (size == 126) {
        head = 4;
        size = static_cast<std::size_t>(static_cast<unsigned char>(bytes[2])) << 8 |
               static_cast<unsigned char>(bytes[3]);
      }
      auto text = bytes.substr(head, size);
      auto seq = text.substr(1, text.find(',') - 1);
      auto mark = text.find("\"prev_seq\":") + 11;
      out += (out.empty() ? "" : " ") + std::string(seq) + "<" +
             std::string(text.substr(mark, text.find('.') - mark));
      bytes.remove_prefix(head + size);
    }
  }
  return out;
}

struct Logs {
  std::size_t held = 0;
  FeedLog log{domain::InboxFilter{}, held};
  void turn(Sequence position, std::initializer_list<Sequence> seqs, std::size_t bytes = 10) {
    log.begin(position);
    for (auto seq : seqs) log.append(event(seq, domain::Channel::sms, bytes));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Logs, "feed log: each frame names the one before") {
  turn(7, {8, 9, 10});
  CHECK(told(log.fresh()) == "8<7 9<8 10<9");
  CHECK(log.fresh_previous() == 7);
  log.end();
  CHECK_FALSE(log.fresh());
  turn(10, {12, 15});
  CHECK(told(log.fresh()) == "12<10 15<12");
}

TEST_CASE_FIXTURE(Logs, "feed log: who comes from elsewhere has only the first frame different") {
  turn(7, {8, 9, 10});
  auto mine = log.fresh_after(3);
  CHECK(told(mine) == "8<3 9<8 10<9");
  CHECK(mine->last() == 10);
}

TEST_CASE_FIXTURE(Logs, "feed log: who has not come to the end reads on into the next turn") {
  turn(0, {1, 2});
  auto slow = log.fresh();
  log.end();
  turn(2, {3});
  log.end();
  turn(3, {4});
  CHECK(told(slow) == "1<0 2<1 3<2 4<3");
  auto first = slow->frame_end(1);
  CHECK(told(slow, first) == "2<1 3<2 4<3");
  CHECK(slow->event_at(first) == 1);
  CHECK(slow->event_at(first + 1) == 2);
  CHECK(slow->frame_end(first) == first);
  CHECK(slow->events_from(first) == 1);
  CHECK(slow->events_from(first + 1) == 0);
  CHECK(log.events() - slow->next->events_before == 2);
}

TEST_CASE_FIXTURE(Logs, "feed log: nobody reads over a hole") {
  turn(0, {1, 2});
  auto slow = log.fresh();
  log.end();
  log.interrupt(8);
  turn(8, {9});
  CHECK(told(slow) == "1<0 2<1");
  CHECK(told(log.fresh()) == "9<8");
}

TEST_CASE_FIXTURE(Logs, "feed log: a chunk lives as long as somebody needs it, and is counted") {
  turn(0, {1, 2, 3, 4}, 40'000);
  auto all = log.fresh();
  CHECK(all->next);  // Large events do not all lie in one.
  CHECK(held > 160'000);
  log.end();
  turn(4, {5});
  log.end();
  auto last = all->next->next;
  CHECK(told(last) == "5<4");
  all = nullptr;
  CHECK(held == last->bytes().size());
  last = nullptr;
  CHECK(held == 0);
}

TEST_CASE("feed log: a filter looks at the conversation before and after") {
  domain::InboxFilter sms;
  sms.channel = domain::Channel::sms;
  auto out = event(1, domain::Channel::email);
  auto into = event(2, domain::Channel::sms);
  CHECK(wants({}, *out));
  CHECK_FALSE(wants(sms, *out));
  CHECK(wants(sms, *into));
  auto leaves = *out;
  leaves.before.channel = domain::Channel::sms;
  CHECK(wants(sms, leaves));
  auto about_none = *into;
  about_none.about_conversation = false;
  CHECK_FALSE(wants(sms, about_none));
}
