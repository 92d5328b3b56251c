// What every actor is given: clock, published tenants, the handles it may ask, and its settings.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "messages/conversation.hpp"
#include "messages/delivery.hpp"
#include "messages/inbox.hpp"
#include "messages/persistence.hpp"
#include "messages/query.hpp"
#include "messages/tenant.hpp"

namespace sara::actors {

struct Settings {
  Millis conversation_idle{60'000};
  Millis conversation_rest{5'000};  ///< of quiet, then only its thread stays in memory
  Millis tenant_idle{300'000};
  std::size_t conversation_queue_max = 256;  ///< commands waiting in one conversation
  std::size_t parked_max = 10'000;           ///< commands waiting for an address to be looked up
  domain::ThreadPolicy thread;
};

/// Shared by all actors of a process. Handles are filled once at start, before anything is served,
/// and dropped at the end: none of these actors may keep another alive.
struct Context {
  const Clock* clock = &system_clock();
  messages::TenantRegistry* tenants = nullptr;
  Settings settings;
  std::vector<messages::persistence_actor> writers;  ///< by shard of the tenant
  std::vector<messages::query_actor> readers;
  messages::directory_actor directory;
  messages::delivery_actor delivery;
  std::string local_url;  ///< how this server reaches itself: http://127.0.0.1:8002

  const messages::persistence_actor& writer_of(TenantId tenant) const {
    return writers[UuidHash{}(tenant) % 4 % writers.size()];
  }
  const messages::query_actor& reader() const {
    return readers[next_reader_.fetch_add(1, std::memory_order_relaxed) % readers.size()];
  }

 private:
  mutable std::atomic<std::size_t> next_reader_{0};
};

}  // namespace sara::actors
