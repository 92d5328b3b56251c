// Key -> actor. Finds or activates the conversation or tenant meant and delegates, so that the
// answer skips this desk; passivates the idle without losing a message (caf.md, section 4): an
// entity is absent, loading, active or draining, and the directory alone changes that; what comes
// while it is loading or draining is parked in order. A conversation that is quiet for a while
// rests first: its actor has drained, and its thread stays here until the idle time is over.
// Unknown addresses are looked up in groups, and each address once, so that parallel first messages
// make one contact.
#include "runtime/directory.hpp"

#include <deque>
#include <unordered_map>

#include "actors/conversation.hpp"
#include "actors/tenant.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"
#include "base/metric.hpp"
#include "messages/error.hpp"

namespace sara::runtime {

using namespace messages;
using namespace domain;
using actors::Context;

namespace {

using Self = directory_actor::pointer;

constexpr Millis sweep_every{1};

struct AddressHash {
  std::size_t operator()(const AddressKey& k) const {
    return UuidHash{}(k.tenant_id) ^
           (std::hash<std::string>{}(k.address) * 31 + static_cast<std::size_t>(k.channel));
  }
};
struct EntityKey {
  TenantId tenant_id;
  Uuid id;
  bool operator==(const EntityKey&) const = default;
};
struct EntityHash {
  std::size_t operator()(const EntityKey& k) const {
    return UuidHash{}(k.tenant_id) * 31 + UuidHash{}(k.id);
  }
};

/// A command that waits until its actor is there: gets the handle, or the reason why not.
template <class Handle>
struct Parked {
  std::function<void(const Handle&)> forward;
  std::function<void(const caf::error&)> refuse;
};

/// One entity's place.
template <class Handle>
struct Slot {
  Handle handle;
  bool draining = false;
  bool loading = false;  ///< no actor yet: its thread is being read
  bool settling = false;  ///< not yet: the writer has still to decide on what a crash left behind
  std::vector<Parked<Handle>> parked;
  bool takes() const { return handle && !draining && !loading; }
};

using Steady = caf::actor_clock::time_point;

struct ConversationSlot : Slot<conversation_actor> {
  /// At rest there is no actor, but the thread it left behind.
  std::shared_ptr<const Thread> thread;
  Steady resting_since{};
  actors::RestingPlacePtr rest;  ///< where the actor leaves its thread
  std::vector<AddressKey> addresses;
  std::vector<ConversationId> conversations;
};
using TenantSlot = Slot<tenant_actor>;

struct Directory : std::enable_shared_from_this<Directory> {
  Directory(Self actor, Context* c) : self(actor), context(c) {}

  Self self;
  Context* context;
  std::unordered_map<EntityKey, ConversationSlot, EntityHash> conversations;
  std::unordered_map<TenantId, TenantSlot> tenants;
  std::unordered_map<AddressKey, ContactId, AddressHash> by_address;
  std::unordered_map<EntityKey, ContactId, EntityHash> by_conversation;
  std::unordered_map<caf::actor_addr, EntityKey> conversation_of;
  std::unordered_map<caf::actor_addr, TenantId> tenant_of;
  /// Addresses that are being looked up or wait for it, and what waits for them.
  struct Lookup {
    std::vector<Parked<conversation_actor>> parked;
    bool create = false;  ///< an inbound message waits: an unknown address becomes a contact
  };
  std::unordered_map<AddressKey, Lookup, AddressHash> lookups;
  std::vector<AddressKey> next_lookup;
  bool looking_up = false;
  /// A thread that was read while an incarnation of its contact was still writing may be old: when
  /// incarnations ended, as long as reads are under way.
  std::unordered_map<EntityKey, std::uint64_t, EntityHash> ended_at;
  std::uint64_t ends = 0;
  std::size_t reads = 0;
  std::size_t parked_count = 0;
  /// In the order of their times. Who was woken since does not count.
  std::deque<std::pair<EntityKey, Steady>> resting;
  bool sweeping = false;
  bool stopping = false;
  Population population;

  // -- conversations ----------------------------------------------------------------------------

  template <class Answer, class Command>
  Parked<conversation_actor> park(Command& m, caf::typed_response_promise<Answer> promise) {
    ++parked_count;
    auto command = std::make_shared<Command>(std::move(m));
    return {[promise, command](const conversation_actor& h) mutable {
              promise.delegate(h, std::move(*command));
            },
            [promise](const caf::error& e) mutable { promise.deliver(e); }};
  }

  template <class Answer, class Command>
  caf::result<Answer> to_address(Command& m, AddressKey key, bool create) {
    if (stopping) return to_caf(Errc::unavailable, "the server is stopping");
    auto known_contact = by_address.find(key);
    if (known_contact != by_address.end())
      return to_slot<Answer>(m, {key.tenant_id, known_contact->second});
    if (parked_count >= context->settings.parked_max)
      return to_caf(Errc::overloaded, "too many addresses are being looked up");
    auto promise = self->make_response_promise<Answer>();
    auto [lookup, fresh] = lookups.try_emplace(key);
    lookup->second.create |= create;
    lookup->second.parked.push_back(park<Answer>(m, promise));
    if (fresh) next_lookup.push_back(std::move(key));
    look_up();
    return promise;
  }

  template <class Answer, class Command>
  caf::result<Answer> to_slot(Command& m, const EntityKey& key) {
    auto there = conversations.find(key);
    if (there == conversations.end())
      return to_contact<Answer>(m, key.tenant_id, ContactId{key.id}, {});
    auto& slot = there->second;
    if (slot.thread) wake(key, slot);
    if (slot.takes()) return self->delegate(slot.handle, std::move(m));
    if (slot.parked.size() >= context->settings.conversation_queue_max)
      return to_caf(Errc::overloaded, "this conversation has too much waiting");
    auto promise = self->make_response_promise<Answer>();
    slot.parked.push_back(park<Answer>(m, promise));
    return promise;
  }

  /// By contact, or by conversation where the contact is not known.
  template <class Answer, class Command>
  caf::result<Answer> to_contact(Command& m, TenantId tenant, ContactId contact,
                                 ConversationId conversation) {
    if (stopping) return to_caf(Errc::unavailable, "the server is stopping");
    if (!contact)
      if (auto there = by_conversation.find({tenant, conversation}); there != by_conversation.end())
        contact = there->second;
    if (contact) {
      EntityKey key{tenant, contact};
      if (conversations.try_emplace(key).second) reload(key);
      return to_slot<Answer>(m, key);
    }
    auto promise = self->make_response_promise<Answer>();
    load(tenant, conversation, {park<Answer>(m, promise)});
    return promise;
  }

  /// Reads the thread of a contact and activates its conversation. Until then its place parks what
  /// comes, so that nothing overtakes.
  void reload(const EntityKey& key) {
    conversations[key].loading = true;
    fault::point("directory.reload");
    auto desk = shared_from_this();
    begin_read();
    self->request(context->reader(), std::chrono::seconds(10),
                  GetThread{key.tenant_id, ContactId{key.id}, {}})
        .then(
            [desk, key](const ThreadPtr& thread) {
              desk->reloaded(key, thread);
              desk->end_read();
            },
            [desk, key](const caf::error& e) {
              desk->give_up(key, e);
              desk->end_read();
            });
  }

  void reloaded(const EntityKey& key, ThreadPtr thread) {
    auto there = conversations.find(key);
    // Somebody who asked by address may have been faster.
    if (there == conversations.end() || !there->second.loading) return;
    auto& addresses = there->second.addresses;
    if (stopping) {
      give_up(key, to_caf(Errc::unavailable, "the server is stopping"));
    } else if (!thread && addresses.empty()) {
      give_up(key, to_caf(Errc::not_found, "there is no such object"));
    } else {
      // Nothing of it was ever committed: it is still a new contact.
      if (!thread) thread = new_contact(addresses.front(), ContactId{key.id});
      activate(key, std::move(thread));
    }
  }

  /// A place whose thread could not be had.
  void give_up(const EntityKey& key, const caf::error& error) {
    auto there = conversations.find(key);
    if (there == conversations.end() || !there->second.loading) return;
    auto parked = std::move(there->second.parked);
    forget(there);
    refuse_all(parked, error);
    maybe_quit();
  }

  using Place = std::unordered_map<EntityKey, ConversationSlot, EntityHash>::iterator;
  void forget(Place there) {
    if (there->second.thread) --population.resting;
    for (auto& address : there->second.addresses) by_address.erase(address);
    for (auto id : there->second.conversations) by_conversation.erase({there->first.tenant_id, id});
    conversations.erase(there);
  }

  /// The same by a conversation's id, where the contact is not known yet.
  void load(TenantId tenant, ConversationId conversation,
            std::vector<Parked<conversation_actor>> parked) {
    auto desk = shared_from_this();
    auto waiting = std::make_shared<std::vector<Parked<conversation_actor>>>(std::move(parked));
    begin_read();
    self->request(context->reader(), std::chrono::seconds(10),
                  GetThread{tenant, {}, conversation})
        .then(
            [desk, tenant, conversation, waiting, since = ends](const ThreadPtr& thread) {
              bool old = thread && desk->is_old({tenant, thread->contact->id}, since);
              if (desk->stopping) {
                desk->refuse_all(*waiting, to_caf(Errc::unavailable, "the server is stopping"));
              } else if (!thread) {
                desk->refuse_all(*waiting, to_caf(Errc::not_found, "there is no such object"));
              } else if (old) {
                desk->load(tenant, conversation, std::move(*waiting));
              } else {
                auto& slot = desk->activate({tenant, thread->contact->id}, thread);
                desk->remember(tenant, slot, conversation, thread->contact->id);
                for (auto& p : *waiting) desk->hand_over(slot, p);
              }
              desk->end_read();
            },
            [desk, waiting](const caf::error& e) {
              desk->refuse_all(*waiting, e);
              desk->end_read();
            });
  }

  void begin_read() { ++reads; }
  void end_read() {
    if (--reads > 0) return;
    ended_at.clear();
    maybe_quit();
  }
  bool is_old(const EntityKey& key, std::uint64_t since) const {
    auto there = conversations.find(key);
    if (there != conversations.end() && there->second.settling) return true;
    auto ended = ended_at.find(key);
    if (ended == ended_at.end() || ended->second <= since) return false;
    return there == conversations.end() || there->second.loading;
  }

  void refuse_all(std::vector<Parked<conversation_actor>>& parked, const caf::error& error) {
    parked_count -= parked.size();
    for (auto& p : parked) p.refuse(error);
  }

  void hand_over(ConversationSlot& slot, const Parked<conversation_actor>& parked) {
    if (!slot.takes()) {
      slot.parked.push_back(parked);
    } else {
      --parked_count;
      parked.forward(slot.handle);
    }
  }

  void remember(TenantId tenant, ConversationSlot& slot, ConversationId conversation,
                ContactId contact) {
    if (by_conversation.emplace(EntityKey{tenant, conversation}, contact).second)
      slot.conversations.push_back(conversation);
  }

  void look_up() {
    if (looking_up || next_lookup.empty()) return;
    looking_up = true;
    auto keys = std::make_shared<std::vector<AddressKey>>(std::move(next_lookup));
    next_lookup.clear();
    auto desk = shared_from_this();
    begin_read();
    self->request(context->reader(), std::chrono::seconds(10), FindThreads{*keys})
        .then(
            [desk, keys, since = ends](const Threads& threads) {
              desk->looking_up = false;
              for (std::size_t i = 0; i < keys->size(); ++i)
                desk->found((*keys)[i], (*threads)[i], since);
              desk->look_up();
              desk->end_read();
            },
            [desk, keys](const caf::error& e) {
              desk->looking_up = false;
              for (auto& key : *keys) {
                auto waiting = desk->take(key);
                desk->refuse_all(waiting.parked, e);
              }
              desk->look_up();
              desk->end_read();
            });
  }

  Lookup take(const AddressKey& key) {
    auto there = lookups.find(key);
    Lookup lookup = std::move(there->second);
    lookups.erase(there);
    return lookup;
  }

  void found(const AddressKey& key, std::shared_ptr<const Thread> thread, std::uint64_t since) {
    if (thread && is_old({key.tenant_id, thread->contact->id}, since)) {
      next_lookup.push_back(key);
      return;
    }
    auto waiting = take(key);
    if (stopping || (!thread && !waiting.create)) {
      refuse_all(waiting.parked,
                 stopping ? to_caf(Errc::unavailable, "the server is stopping")
                          : to_caf(Errc::not_found, "nobody with this address is known"));
      return;
    }
    if (!thread) thread = new_contact(key, ContactId::make(context->clock->now()));
    auto& slot = activate({key.tenant_id, thread->contact->id}, thread);
    if (by_address.emplace(key, thread->contact->id).second) slot.addresses.push_back(key);
    for (auto& parked : waiting.parked) hand_over(slot, parked);
  }

  std::shared_ptr<const Thread> new_contact(const AddressKey& key, ContactId id) const {
    auto now = context->clock->now();
    auto contact = std::make_shared<Contact>();
    contact->id = id;
    contact->identities.push_back({key.channel, key.address, true});
    contact->created_at = contact->updated_at = now;
    auto thread = std::make_shared<Thread>();
    thread->contact = contact;
    return thread;
  }

  ConversationSlot& activate(const EntityKey& key, std::shared_ptr<const Thread> thread) {
    auto [there, fresh] = conversations.try_emplace(key);
    auto& slot = there->second;
    // Whoever is here knows better than the database.
    if (!fresh && slot.thread) wake(key, slot);
    if (!fresh && !slot.loading) return slot;
    slot.loading = false;
    ++population.activations;
    start(key, slot, std::move(thread), false);
    return slot;
  }

  /// The thread that it left behind is what the database has: nobody else writes it.
  void wake(const EntityKey& key, ConversationSlot& slot) {
    --population.resting;
    start(key, slot, std::move(slot.thread), true);
  }

  void start(const EntityKey& key, ConversationSlot& slot, std::shared_ptr<const Thread> thread,
             bool woken) {
    slot.thread = nullptr;
    if (context->settings.conversation_rest < context->settings.conversation_idle) {
      slot.rest = std::make_shared<actors::RestingPlace>();
      slot.rest->woken = woken;
    }
    slot.handle = self->spawn<caf::monitored + caf::lazy_init>(
        actors::conversation, context, key.tenant_id, std::move(thread), slot.rest);
    conversation_of[slot.handle.address()] = key;
    auto parked = std::move(slot.parked);
    slot.parked.clear();
    for (auto& p : parked) hand_over(slot, p);
  }

  /// A conversation has ended: quiet, or after a failure. What is parked starts it afresh.
  void conversation_down(const caf::down_msg& down, const EntityKey& key) {
    auto there = conversations.find(key);
    auto& slot = there->second;
    ++ends;
    if (reads > 0) ended_at[key] = ends;
    auto thread = slot.rest ? std::move(slot.rest->thread) : nullptr;
    slot.rest = nullptr;
    if (!slot.draining)
      ++population.restarts;
    else if (!thread)
      ++population.passivations;
    slot.handle = nullptr;
    slot.draining = false;
    if (down.reason != caf::exit_reason::normal &&
        down.reason != caf::exit_reason::user_shutdown) {
      log::error("conversation.crashed", {{"reason", caf::to_string(down.reason)}});
      slot.loading = slot.settling = true;
      await_writer(key, 2);
      return;
    }
    if (thread && !stopping)
      lie_down(there, std::move(thread));
    else
      come_again(there);
  }

  /// The place of a conversation that has left its thread: it is woken at once if it is wanted.
  void lie_down(Place there, std::shared_ptr<const Thread> thread) {
    auto& [key, slot] = *there;
    if (!slot.parked.empty()) return start(key, slot, std::move(thread), true);
    slot.thread = std::move(thread);
    ++population.resting;
    slot.resting_since = self->clock().now();
    resting.emplace_back(key, slot.resting_since);
    sweep_later();
  }

  /// The place of a conversation that has ended: it comes back if it is wanted.
  void come_again(Place there) {
    if (!there->second.parked.empty() && !stopping) {
      reload(there->first);
      return;
    }
    there->second.loading = true;
    give_up(there->first, to_caf(Errc::unavailable, "the server is stopping"));
  }

  /// A conversation that crashed may have left a set with the writer. Its thread is read only when
  /// that is decided, or the next incarnation would build on what is no longer so. The writer takes
  /// sets in order; one that shares a key with another goes again once, so we ask twice.
  void await_writer(const EntityKey& key, int rounds) {
    auto nothing = std::make_shared<WriteSet>();
    nothing->tenant_id = key.tenant_id;
    auto desk = shared_from_this();
    auto then = [desk, key, rounds] {
      if (rounds > 1)
        desk->await_writer(key, rounds - 1);
      else
        desk->settled(key);
      desk->end_read();
    };
    begin_read();
    self->request(context->writer_of(key.tenant_id), caf::infinite, WriteSetPtr{nothing})
        .then([then](const Committed&) { then(); }, [then](const caf::error&) { then(); });
  }

  void settled(const EntityKey& key) {
    auto there = conversations.find(key);
    if (there == conversations.end()) return;
    there->second.settling = false;
    ended_at[key] = ++ends;  // What was read until now is old.
    come_again(there);
  }

  Millis rest_time() const {
    return context->settings.conversation_idle - context->settings.conversation_rest;
  }

  /// Forgets who has rested for the rest of the idle time.
  void sweep() {
    sweeping = false;
    auto now = self->clock().now();
    for (; !resting.empty() && resting.front().second + rest_time() <= now; resting.pop_front()) {
      auto there = conversations.find(resting.front().first);
      if (there == conversations.end() || !there->second.thread ||
          there->second.resting_since != resting.front().second)
        continue;
      ++population.passivations;
      forget(there);
    }
    sweep_later();
  }

  /// A wish to unload nobody is the directory's own reminder.
  void sweep_later() {
    if (sweeping || resting.empty() || stopping) return;
    sweeping = true;
    self->delayed_send(self, std::max(sweep_every, rest_time() / 8), WantUnload{});
  }

  // -- tenants ----------------------------------------------------------------------------------

  template <class Answer, class Command>
  caf::result<Answer> to_tenant(Command& m) {
    if (stopping) return to_caf(Errc::unavailable, "the server is stopping");
    auto& slot = tenant_slot(m.tenant_id);
    if (slot.takes()) return self->delegate(slot.handle, std::move(m));
    auto promise = self->make_response_promise<Answer>();
    auto command = std::make_shared<Command>(std::move(m));
    slot.parked.push_back({[promise, command](const tenant_actor& h) mutable {
                             promise.delegate(h, std::move(*command));
                           },
                           [promise](const caf::error& e) mutable { promise.deliver(e); }});
    return promise;
  }

  TenantSlot& tenant_slot(TenantId id) {
    auto [there, fresh] = tenants.try_emplace(id);
    if (fresh) {
      there->second.handle =
          self->spawn<caf::monitored + caf::lazy_init>(actors::tenant, context, id);
      tenant_of[there->second.handle.address()] = id;
    }
    return there->second;
  }

  void tenant_down(TenantId id) {
    auto parked = std::move(tenants[id].parked);
    tenants.erase(id);
    if (stopping) {
      for (auto& p : parked) p.refuse(to_caf(Errc::unavailable, "the server is stopping"));
    } else if (!parked.empty()) {
      auto& slot = tenant_slot(id);
      for (auto& p : parked) p.forward(slot.handle);
    }
    maybe_quit();
  }

  // -- passivation ------------------------------------------------------------------------------

  void unload(const WantUnload& m, const caf::actor_addr& sender) {
    if (!m.tenant_id) return sweep();
    if (m.contact_id) {
      auto there = conversations.find({m.tenant_id, m.contact_id});
      if (there == conversations.end() || !there->second.takes() ||
          there->second.handle.address() != sender)
        return;
      drain(there->second);
      return;
    }
    auto there = tenants.find(m.tenant_id);
    if (there != tenants.end() && there->second.handle.address() == sender) drain(there->second);
  }

  template <class Slot>
  void drain(Slot& slot) {
    if (!slot.takes()) return;
    slot.draining = true;
    self->send(slot.handle, Drain{stopping});
  }

  void down(const caf::down_msg& m) {
    if (auto there = conversation_of.find(m.source); there != conversation_of.end()) {
      auto key = there->second;
      conversation_of.erase(there);
      conversation_down(m, key);
    } else if (auto tenant = tenant_of.find(m.source); tenant != tenant_of.end()) {
      auto id = tenant->second;
      tenant_of.erase(tenant);
      tenant_down(id);
    }
  }

  /// The server stops: everyone answers what it has and quits, then the directory does.
  void stop() {
    stopping = true;
    for (auto i = conversations.begin(); i != conversations.end();) {
      auto there = i++;
      if (there->second.thread)
        forget(there);
      else
        drain(there->second);
    }
    for (auto& [id, slot] : tenants) drain(slot);
    maybe_quit();
  }

  void maybe_quit() {
    if (stopping && conversations.empty() && tenants.empty() && reads == 0)
      self->quit(caf::exit_reason::user_shutdown);
  }
};

}  // namespace

directory_actor::behavior_type directory(directory_actor::pointer self, Context* context) {
  auto desk = std::make_shared<Directory>(self, context);
  self->set_down_handler([desk](const caf::down_msg& m) { desk->down(m); });
  return {
      [desk](ReceiveInbound& m) {
        AddressKey key{m.tenant_id, m.inbound.channel, m.inbound.address};
        return desk->to_address<InboundReceived>(m, std::move(key), true);
      },
      [desk](ApplyReport& m) {
        if (m.contact_id) return desk->to_contact<Applied>(m, m.tenant_id, m.contact_id, {});
        AddressKey key{m.tenant_id, m.report.receipt.channel, m.report.receipt.address};
        return desk->to_address<Applied>(m, std::move(key), false);
      },
      [desk](RetractMessage& m) {
        AddressKey key{m.tenant_id, m.retraction.channel, m.retraction.address};
        return desk->to_address<Applied>(m, std::move(key), false);
      },
      [desk](SendReply& m) {
        return desk->to_contact<Answered>(m, m.tenant_id, {}, m.conversation_id);
      },
      [desk](OpenConversation& m) {
        return desk->to_contact<Answered>(m, m.tenant_id, m.contact_id, {});
      },
      [desk](SettleDelivery& m) {
        return desk->to_contact<Applied>(m, m.tenant_id, m.outcome.contact_id, {});
      },
      [desk](ReportStatuses& m) { return desk->to_tenant<Applied>(m); },
      [desk](KeepEvents& m) { return desk->to_tenant<Applied>(m); },
      [desk](const WantUnload& m) {
        desk->unload(m, caf::actor_cast<caf::actor_addr>(desk->self->current_sender()));
      },
      [desk](const GetPopulation&) {
        auto p = desk->population;
        p.conversations = desk->conversations.size();
        p.tenants = desk->tenants.size();
        p.parked = desk->parked_count;
        return p;
      },
      [desk](const Drain&) { desk->stop(); },
  };
}

}  // namespace sara::runtime
