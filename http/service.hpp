// What every route needs: the actors behind the bridge, the published tenants, admission, and the
// checks of a request that ask somebody (credential, idempotency key). One per io thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "http/bridge.hpp"
#include "http/check.hpp"
#include "http/exchange.hpp"
#include "http/router.hpp"
#include "messages/conversation.hpp"
#include "messages/inbox.hpp"
#include "messages/persistence.hpp"
#include "messages/query.hpp"
#include "messages/tenant.hpp"
#include "providers/channel.hpp"

namespace sara::http {

template <class T>
using Task = boost::asio::awaitable<T>;

struct ServiceOptions {
  std::string public_base_url;  ///< as providers see us: http://127.0.0.1:8002
  bool production = false;
  std::chrono::milliseconds write_deadline{10'000};
  std::chrono::milliseconds read_deadline{10'000};
};

/// State that all io threads share.
struct ServiceShared {
  std::mutex mutex;
  std::set<std::pair<TenantId, std::string>> idempotency_running;
  /// Keys as they were read; read again when they are older than `api_key_fresh`.
  struct CachedKey {
    messages::ApiKeyPtr key;
    std::chrono::steady_clock::time_point read_at;
  };
  std::unordered_map<std::string, CachedKey> api_keys;
  /// One-time tickets of the live feed: each stands for a credential for 30 seconds.
  struct Ticket {
    Principal principal;
    std::chrono::steady_clock::time_point expires;
  };
  std::unordered_map<std::string, Ticket> tickets;
  std::atomic<bool> ready{false};
  std::atomic<bool> fenced{false};
};

class Service {
 public:
  Service(Bridge& bridge, messages::TenantRegistry& tenants, const Clock& clock,
          std::shared_ptr<ServiceShared> shared, ServiceOptions options);

  messages::directory_actor directory;
  messages::inbox_actor inbox;
  std::vector<messages::query_actor> readers;
  std::vector<messages::persistence_actor> writers;

  Bridge& bridge;
  messages::TenantRegistry& tenants;
  const Clock& clock;
  std::shared_ptr<ServiceShared> shared;
  ServiceOptions options;

  const messages::query_actor& reader() { return readers[next_reader_++ % readers.size()]; }
  const messages::persistence_actor& writer_of(TenantId tenant) const {
    return writers[UuidHash{}(tenant) % 4 % writers.size()];
  }

  template <class Query>
  auto read(Query query) {
    return bridge.ask(reader(), options.read_deadline, std::move(query));
  }

  /// "Bearer" token -> who. errors: unauthenticated, unavailable
  /// bearer: lives until the answer.
  Task<Result<Principal>> authenticate(std::string_view bearer);
  /// The published snapshot, loaded if need be. errors: not_found, unavailable
  Task<Result<messages::TenantPtr>> tenant(TenantId id);
  Task<Result<messages::TenantPtr>> tenant_of_endpoint(const std::string& endpoint);
  /// The integration's decoder; built once for each of its versions.
  Result<std::shared_ptr<const providers::ChannelCodec>> codec(const domain::Integration& i);

  /// Another server has the database: nothing may be written.
  std::optional<Error> fenced() const;

  /// Runs a creating POST under its Idempotency-Key: replays, refuses, or runs `work` with the key.
  /// Arguments are references to what outlives the call: g++ 12 destroys by-value arguments of a
  /// coroutine twice if they stand in a co_await expression (Asio issues 858 and 1007).
  using Work = std::function<Task<Response>(const messages::Idempotency&)>;
  Task<Response> once(Request& request, const Work& work);

 private:
  std::size_t next_reader_ = 0;
  std::size_t look_ups_ = 0;  ///< under way for strangers
  struct CachedCodec {
    std::int64_t version = 0;
    std::shared_ptr<const providers::ChannelCodec> codec;
  };
  std::unordered_map<IntegrationId, CachedCodec> codecs_;
};

}  // namespace sara::http
