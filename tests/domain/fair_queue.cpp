#include "domain/fair_queue.hpp"

#include <doctest/doctest.h>

#include <random>
#include <map>
#include <string>
#include <vector>

using sara::domain::FairQueue;

namespace {

std::string drain(FairQueue<char, std::string>& queue) {
  std::string out;
  while (auto next = queue.pop()) out += (out.empty() ? "" : " ") + *next;
  return out;
}

}  // namespace

TEST_CASE("fair queue: keys take turns, each in its own order") {
  FairQueue<char, std::string> queue;
  for (const auto* item : {"a1", "a2", "a3", "b1", "c1", "c2"}) queue.push(item[0], item);
  CHECK(queue.size() == 6);
  CHECK(queue.waiting('a') == 3);
  CHECK(drain(queue) == "a1 b1 c1 a2 c2 a3");
  CHECK(queue.empty());
  CHECK(queue.waiting('a') == 0);
}

TEST_CASE("fair queue: who comes late waits for one turn of each other, not for all they have") {
  FairQueue<char, std::string> queue;
  for (int i = 0; i < 1000; ++i) queue.push('a', "a");
  CHECK(*queue.pop() == "a");
  queue.push('b', "b");
  std::string next = *queue.pop();
  if (next == "a") next = *queue.pop();
  CHECK(next == "b");
}

TEST_CASE("fair queue: a turn is measured by cost, so large items come less often") {
  FairQueue<char, std::string> queue(4);
  for (int i = 0; i < 3; ++i) queue.push('a', "A", 8);
  for (int i = 0; i < 12; ++i) queue.push('b', "b", 1);
  // Four b for every turn; an A needs the credit of two.
  CHECK(drain(queue) == "b b b b A b b b b b b b b A A");
}

TEST_CASE("fair queue: an item that costs more than many turns comes all the same") {
  FairQueue<char, std::string> queue(2);
  queue.push('a', "A", 1000);
  for (int i = 0; i < 10; ++i) queue.push('b', "b", 1);
  const auto all = drain(queue);
  CHECK(all.find('A') != std::string::npos);
  CHECK(all.size() == 11 * 2 - 1);
}

TEST_CASE("fair queue: keys that may not are passed over and lose nothing else") {
  FairQueue<char, std::string> queue;
  for (const auto* item : {"a1", "b1", "a2", "b2"}) queue.push(item[0], item);
  auto only_b = [](char key) { return key == 'b'; };
  CHECK(*queue.pop(only_b) == "b1");
  CHECK(*queue.pop(only_b) == "b2");
  CHECK(!queue.pop(only_b));
  CHECK(queue.size() == 2);
  CHECK(drain(queue) == "a1 a2");
}

TEST_CASE("fair queue: who has waited too long leaves, the oldest of each key first") {
  FairQueue<char, int> queue;
  for (int i : {1, 5, 9}) queue.push('a', i);
  for (int i : {2, 3}) queue.push('b', i);
  auto old = [](int item) { return item <= 3; };
  CHECK(*queue.drop(old) == 1);
  CHECK(*queue.drop(old) == 2);
  CHECK(*queue.drop(old) == 3);
  CHECK(!queue.drop(old));
  CHECK(queue.waiting('b') == 0);
  CHECK(*queue.pop() == 5);
  CHECK(*queue.pop() == 9);
}

TEST_CASE("fair queue: of keys that all have enough waiting, none is ahead by more than a turn") {
  std::mt19937 random(7);
  FairQueue<int, std::pair<int, std::size_t>> queue(16);
  std::map<int, std::size_t> taken;
  std::uniform_int_distribution<std::size_t> cost(1, 40);
  for (int key = 0; key < 5; ++key)
    for (int i = 0; i < 500; ++i) {
      auto c = cost(random);
      queue.push(key, {key, c}, c);
    }
  for (int i = 0; i < 1500; ++i) {
    auto [key, c] = *queue.pop();
    taken[key] += c;
  }
  for (auto& [a, x] : taken)
    for (auto& [b, y] : taken) CHECK(x <= y + 16 + 40);
}
