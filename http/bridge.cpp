// The bridge's queue and its sweep.
#include "http/bridge.hpp"

#include <vector>

namespace sara::http {
namespace {

constexpr auto sweep_every = std::chrono::milliseconds(50);

}  // namespace

Bridge::Bridge(caf::actor_system& system, boost::asio::io_context& io)
    : io_(io), sweep_(io), self_(system.spawn<caf::actor_companion, caf::hidden>()) {
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
    auto there = operations_.find(element.mid.request_id().integer_value());
    if (there == operations_.end()) continue;
    auto operation = std::move(there->second);
    operations_.erase(there);
    if (content.match_elements<caf::error>())
      operation->complete(content.get_as<caf::error>(0), nullptr);
    else
      operation->complete({}, &content);
  }
}

void Bridge::fail_overdue(bool all) {
  auto now = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Operation>> overdue;
  for (auto i = operations_.begin(); i != operations_.end();) {
    if (all || i->second->deadline <= now) {
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
