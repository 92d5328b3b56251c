// A queue that takes turns between keys (deficit round robin): what one key has waiting costs the
// others nothing but its turns. Within a key the order is that of arrival. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

namespace sara::domain {

template <class Key, class Item>
class FairQueue {
 public:
  /// quantum: what one key may take in its turn, in the unit of the items' costs
  explicit FairQueue(std::size_t quantum = 1) : quantum_(std::max<std::size_t>(1, quantum)) {}

  void push(const Key& key, Item item, std::size_t cost = 1) {
    auto [place, fresh] = places_.try_emplace(key);
    if (fresh) place->second = turns_.insert(turns_.end(), Flow{key, {}, 0});
    place->second->waiting.push_back({std::move(item), std::max<std::size_t>(1, cost)});
    ++size_;
  }

  /// The next item in turn, of a key for which may(key) holds. Nothing: none waits, or none may.
  template <class May>
  std::optional<Item> pop(May may) {
    // Ends: with each turn a key that may comes nearer to the cost of its first item.
    for (std::size_t passed = 0; passed < turns_.size();) {
      auto& flow = turns_.front();
      if (!may(std::as_const(flow.key))) {
        end_turn(0);
        ++passed;
        continue;
      }
      passed = 0;
      if (!in_turn_) flow.credit += quantum_;
      in_turn_ = true;
      if (flow.waiting.front().cost > flow.credit) {
        end_turn(flow.credit);
        continue;
      }
      return take();
    }
    return std::nullopt;
  }
  std::optional<Item> pop() {
    return pop([](const Key&) { return true; });
  }

  /// The oldest of some key that gone(item) says is not to wait any longer. Turns stay as they are.
  template <class Gone>
  std::optional<Item> drop(Gone gone) {
    for (auto flow = turns_.begin(); flow != turns_.end(); ++flow) {
      if (!gone(std::as_const(flow->waiting.front().item))) continue;
      Item item = std::move(flow->waiting.front().item);
      flow->waiting.pop_front();
      --size_;
      if (flow->waiting.empty()) {
        if (flow == turns_.begin()) in_turn_ = false;
        places_.erase(flow->key);
        turns_.erase(flow);
      }
      return item;
    }
    return std::nullopt;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t waiting(const Key& key) const {
    auto place = places_.find(key);
    return place == places_.end() ? 0 : place->second->waiting.size();
  }

 private:
  struct Waiting {
    Item item;
    std::size_t cost;
  };
  struct Flow {
    Key key;
    std::deque<Waiting> waiting;  ///< never empty between calls
    std::size_t credit;           ///< what is left of its turns for an item that cost more
  };

  void end_turn(std::size_t credit) {
    turns_.front().credit = credit;
    turns_.splice(turns_.end(), turns_, turns_.begin());
    in_turn_ = false;
  }

  Item take() {
    auto& flow = turns_.front();
    auto next = std::move(flow.waiting.front());
    flow.waiting.pop_front();
    --size_;
    flow.credit -= next.cost;
    if (flow.waiting.empty()) {
      places_.erase(flow.key);
      turns_.pop_front();
      in_turn_ = false;
    } else if (flow.credit < flow.waiting.front().cost) {
      end_turn(flow.credit);
    }
    return std::move(next.item);
  }

  const std::size_t quantum_;
  std::list<Flow> turns_;  ///< whose turn it is stands first
  std::unordered_map<Key, typename std::list<Flow>::iterator> places_;
  bool in_turn_ = false;  ///< the first has had its quantum
  std::size_t size_ = 0;
};

}  // namespace sara::domain
