// From coroutines to actors and back. An actor_companion's enqueue runs on the sender's thread, so
// an answer goes straight to the io thread without being scheduled (caf.md, section 6). One bridge
// per io_context that is run by exactly one thread; only push() is called from others.
#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <caf/actor_companion.hpp>
#include <caf/all.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/metric.hpp"
#include "base/result.hpp"
#include "messages/error.hpp"

namespace sara::http {

class Bridge {
 public:
  Bridge(caf::actor_system& system, boost::asio::io_context& io);
  ~Bridge();
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  /// Asks an actor and waits for its answer at most `timeout`; a forgotten request answers
  /// Errc::unavailable by itself. Whom too many questions wait for that were given up already is
  /// asked no more (Errc::unavailable at once), or its queue would grow for as long as the database
  /// is silent.
  template <class Handle, class Message>
  auto ask(const Handle& dest, std::chrono::steady_clock::duration timeout, Message message) {
    using Reply = caf::response_type_unbox<typename Handle::signatures,
                                              caf::detail::type_list<std::decay_t<Message>>>;
    static_assert(Reply::valid, "the receiver does not accept the message");
    using R = std::tuple_element_t<0, typename Reply::tuple_type>;
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Result<R>)>(
        [this, timeout](auto handler, Handle to, Message m) {
          using H = decltype(handler);
          auto* address = caf::actor_cast<caf::abstract_actor*>(to);
          if (is_silent(address)) {
            boost::asio::post(io_, [h = std::move(handler)]() mutable {
              std::move(h)(Result<R>(fail(Errc::unavailable, "there was no answer for a while")));
            });
            return;
          }
          struct Waiting final : Operation {
            explicit Waiting(H&& h) : handler(std::move(h)) {}
            void complete(caf::error error, caf::type_erased_tuple* content) override {
              if (content == nullptr)
                std::move(handler)(Result<R>(fail(messages::from_caf(error))));
              else if (content->template match_elements<R>())
                std::move(handler)(Result<R>(std::move(content->template get_mutable_as<R>(0))));
              else
                std::move(handler)(Result<R>(
                    fail(Errc::internal, "an actor gave another answer than it promised")));
            }
            H handler;
          };
          auto operation = std::make_unique<Waiting>(std::move(handler));
          operation->deadline = std::chrono::steady_clock::now() + timeout;
          operation->asked = address;
          auto id = ++last_id_;
          operations_.emplace(id, std::move(operation));
          address->enqueue(
              caf::make_mailbox_element(caf::actor_cast<caf::strong_actor_ptr>(self_),
                                        caf::message_id{id}.with_normal_priority(), {},
                                        std::move(m)),
              nullptr);
        },
        boost::asio::use_awaitable, dest, std::move(message));
  }

  /// What comes without having been asked for: on the io thread.
  std::function<void(caf::type_erased_tuple&)> on_message;
  std::size_t pending() const { return operations_.size(); }
  boost::asio::io_context& io() { return io_; }
  /// On the io thread, or after it has ended: fails what is outstanding and accepts no more.
  void stop();

 private:
  struct Operation {
    virtual ~Operation() = default;
    virtual void complete(caf::error error, caf::type_erased_tuple* content) = 0;
    std::chrono::steady_clock::time_point deadline;
    const caf::abstract_actor* asked = nullptr;
  };
  /// A question that was given up; its answer may still come.
  struct Late {
    const caf::abstract_actor* asked;
    std::chrono::steady_clock::time_point since;
  };
  struct Node {
    caf::mailbox_element_ptr element;
    Node* next;
  };
  void push(caf::mailbox_element_ptr element);
  void drain();
  void arm_sweep();
  void fail_overdue(bool all);
  bool is_silent(const caf::abstract_actor* actor) const;
  void forget(std::unordered_map<std::uint64_t, Late>::iterator late);
  caf::actor_companion* companion();

  boost::asio::io_context& io_;
  boost::asio::steady_timer sweep_;
  caf::actor self_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<Operation>> operations_;
  std::unordered_map<std::uint64_t, Late> late_;
  std::unordered_map<const caf::abstract_actor*, std::size_t> late_of_;
  metric::Gauge late_count_;
  std::atomic<Node*> head_{nullptr};
  bool stopped_ = false;
};

}  // namespace sara::http
