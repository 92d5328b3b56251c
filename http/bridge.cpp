// The bridge's queue and its sweep.
#include "http/bridge.hpp"

#include <vector>

namespace sara::http {
namespace {

constexpr auto sweep_every = std::chrono::milliseconds(50);
constexpr std::size_t late_max = 256;  ///< of one actor
/// An actor that crashed never answers: what it owes is written off some day.
constexpr auto late_kept = std::chrono::minutes(5);

}  // namespace

Bridge::Bridge(caf::actor_system& system, boost::asio::io_context& io)
    : io_(io),
      sweep_(io),
      self_(system.spawn<caf::actor_companion, caf::hidden>()),
      late_count_(metric::gauge("madansara_bridge_late",
                                "questions that were given up and have no answer yet")) {
  companion()->on_enqueue([this](caf::mailbox_element_ptr e) { push(std::move(e)); });
  arm_sweep();
}

Bridge::~Bridge() { stop(); }

caf::actor_companion* Bridge::companion() {
  return static_cast<caf::actor_companion*>(caf::actor_cast<caf::abstract_actor*>(self_));
}

void Bridge::push(caf::mailbox_element_ptr element) {
  auto* node = new Node{std::move(element), nullptr};
  auto* head = head_.load(std::memory_order_relaxed);
  do {
    node->next = head;
  } while (!head_.compare_exchange_weak(head, node, std::memory_order_release,
                                        std::memory_order_relaxed));
  // Only the first wakes the io thread. The node belongs to the consumer from here on.
  if (head == nullptr) boost::asio::post(io_, [this] { drain(); });
}

void Bridge::drain() {
  Node* list = head_.exchange(nullptr, std::memory_order_acquire);
  Node* in_order = nullptr;
  while (list != nullptr) {
    Node* next = list->next;
    list->next = in_order;
    in_order = list;
    list = next;
  }
  while (in_order != nullptr) {
    std::unique_ptr<Node> node(in_order);
    in_order = node->next;
    auto& element = *node->element;
    auto& content = element.content();
    if (!element.mid.is_response()) {
      if (on_message && !stopped_) on_message(content);
      continue;
    }
    auto id = element.mid.request_id().integer_value();
    auto there = operations_.find(id);
    if (there == operations_.end()) {
      if (auto late = late_.find(id); late != late_.end()) forget(late);
      continue;
    }
    auto operation = std::move(there->second);
    operations_.erase(there);
    if (content.match_elements<caf::error>())
      operation->complete(content.get_as<caf::error>(0), nullptr);
    else
      operation->complete({}, &content);
  }
}

bool Bridge::is_silent(const caf::abstract_actor* actor) const {
  auto there = late_of_.find(actor);
  return there != late_of_.end() && there->second >= late_max;
}

void Bridge::forget(std::unordered_map<std::uint64_t, Late>::iterator late) {
  if (--late_of_[late->second.asked] == 0) late_of_.erase(late->second.asked);
  late_.erase(late);
  late_count_.add(-1);
}

void Bridge::fail_overdue(bool all) {
  auto now = std::chrono::steady_clock::now();
  for (auto i = late_.begin(); i != late_.end();) {
    auto late = i++;
    if (all || now - late->second.since > late_kept) forget(late);
  }
  std::vector<std::unique_ptr<Operation>> overdue;
  for (auto i = operations_.begin(); i != operations_.end();) {
    if (all || i->second->deadline <= now) {
      if (!all) {
        late_.emplace(i->first, Late{i->second->asked, now});
        ++late_of_[i->second->asked];
        late_count_.add(1);
      }
      overdue.push_back(std::move(i->second));
      i = operations_.erase(i);
    } else {
      ++i;
    }
  }
  for (auto& operation : overdue)
    operation->complete(caf::make_error(all ? caf::sec::request_receiver_down
                                            : caf::sec::request_timeout),
                        nullptr);
}

void Bridge::arm_sweep() {
  sweep_.expires_after(sweep_every);
  sweep_.async_wait([this](boost::system::error_code error) {
    if (error || stopped_) return;
    fail_overdue(false);
    arm_sweep();
  });
}

void Bridge::stop() {
  if (stopped_) return;
  stopped_ = true;
  sweep_.cancel();
  // Takes the companion's lock: handlers that are running have left afterwards.
  companion()->on_enqueue({});
  companion()->cleanup(caf::make_error(caf::exit_reason::user_shutdown), nullptr);
  drain();
  fail_overdue(true);
  self_ = nullptr;
}

}  // namespace sara::http
