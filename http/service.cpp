// Who asks, what is in flight, and what was asked before.
#include "http/service.hpp"

#include <algorithm>

#include "base/crypto.hpp"
#include "base/fault.hpp"

namespace sara::http {

using namespace messages;

namespace {

constexpr std::size_t api_keys_remembered_max = 10'000;
constexpr auto api_key_fresh = std::chrono::seconds(10);
constexpr std::size_t look_ups_max = 32;

/// A look-up for somebody who has shown nothing good yet: only so many at once, whatever strangers
/// send.
class LookUp {
 public:
  explicit LookUp(std::size_t& count) : count_(count), mine_(count < look_ups_max) {
    count_ += mine_;
  }
  ~LookUp() { count_ -= mine_; }
  LookUp(const LookUp&) = delete;
  LookUp& operator=(const LookUp&) = delete;
  explicit operator bool() const { return mine_; }

 private:
  std::size_t& count_;
  const bool mine_;
};

Error too_many_look_ups() { return {Errc::overloaded, "too much is being looked up", {}}; }

Result<std::pair<std::string, std::string>> split_api_key(std::string_view text) {
  bool fits = text.size() == 43 && text.substr(0, 3) == "sk_" &&
              std::all_of(text.begin() + 3, text.end(), [](unsigned char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
              });
  if (!fits) return fail(Errc::unauthenticated, "the API key is not valid");
  return std::pair{std::string(text.substr(3, 8)), std::string(text.substr(11))};
}

Role role_of(const std::string& name) {
  if (name == "owner") return Role::owner;
  if (name == "admin") return Role::admin;
  if (name == "marketer") return Role::marketer;
  return name == "agent" ? Role::agent : Role::viewer;
}

}  // namespace

Service::Service(Bridge& b, TenantRegistry& t, const Clock& c, std::shared_ptr<ServiceShared> s,
                 ServiceOptions o)
    : bridge(b), tenants(t), clock(c), shared(std::move(s)), options(std::move(o)) {}

Task<Result<Principal>> Service::authenticate(std::string_view bearer) {
  auto parts = split_api_key(bearer);
  if (!parts) co_return fail(parts.error());
  ApiKeyPtr key;
  bool fresh = false;
  {
    std::lock_guard lock(shared->mutex);
    auto there = shared->api_keys.find(parts->first);
    if (there != shared->api_keys.end()) {
      key = there->second.key;
      fresh = std::chrono::steady_clock::now() - there->second.read_at < api_key_fresh;
    }
  }
  LookUp look_up(look_ups_);
  if (!fresh && !look_up && !key) co_return fail(too_many_look_ups());
  if (!fresh && look_up) {
    // A key made by another process (`tenant create`) is found at its first use; one that was
    // revoked or has expired is gone within seconds. Without the database the last word counts.
    FindApiKey query{parts->first};
    auto found = co_await read(std::move(query));
    if (!found && !key) co_return fail(found.error());
    if (found) {
      key = *found;
      std::lock_guard lock(shared->mutex);
      if (shared->api_keys.size() >= api_keys_remembered_max) shared->api_keys.clear();
      if (key)
        shared->api_keys[key->id] = {key, std::chrono::steady_clock::now()};
      else
        shared->api_keys.erase(parts->first);
    }
  }
  // An unknown id costs the same comparison as a wrong secret.
  static const std::string nothing(32, '\0');
  auto sum = crypto::sha256(parts->second);
  bool right = crypto::equal({reinterpret_cast<const char*>(sum.data()), sum.size()},
                             key ? key->secret_sha256 : nothing);
  if (!key || !right) co_return fail(Errc::unauthenticated, "the API key is not valid");
  co_return Principal{key->tenant_id, key->id, role_of(key->role)};
}

Task<Result<TenantPtr>> Service::tenant(TenantId id) {
  if (auto there = tenants.find(id)) co_return there;
  GetTenant query{id, {}};
  auto found = co_await read(std::move(query));
  if (!found) co_return fail(found.error());
  if (!*found) co_return fail(Errc::not_found, "there is no such tenant");
  tenants.publish(*found);
  co_return *found;
}

Task<Result<TenantPtr>> Service::tenant_of_endpoint(const std::string& endpoint) {
  if (auto there = tenants.find_by_endpoint(endpoint)) co_return there;
  LookUp look_up(look_ups_);
  if (!look_up) co_return fail(too_many_look_ups());
  GetTenant query{{}, endpoint};
  auto found = co_await read(std::move(query));
  if (!found) co_return fail(found.error());
  if (!*found) co_return fail(Errc::not_found, "there is no such endpoint");
  tenants.publish(*found);
  co_return *found;
}

Result<std::shared_ptr<const providers::ChannelCodec>> Service::codec(
    const domain::Integration& i) {
  auto& cached = codecs_[i.id];
  if (cached.codec && cached.version == i.version) return cached.codec;
  providers::Fields settings;
  if (auto doc = json::parse(i.settings))
    for (auto& [name, value] : doc->root().members())
      settings[std::string(name)] = value.string() ? std::string(*value.string()) : value.dump();
  auto made = providers::make_codec(i.provider, i.credentials, settings);
  if (!made) return fail(made.error());
  cached.version = i.version;
  cached.codec = std::move(*made);
  return cached.codec;
}

std::optional<Error> Service::fenced() const {
  if (!shared->fenced) return {};
  return Error{Errc::unavailable, "another server has taken this database over", {}};
}

Task<Response> Service::once(Request& request, const Work& work) {
  std::string key(request.header("idempotency-key"));
  bool given = std::any_of(request.headers.begin(), request.headers.end(),
                           [](auto& h) { return h.first == "idempotency-key"; });
  Idempotency idempotency;
  if (!given) co_return co_await work(idempotency);
  bool visible = !key.empty() && key.size() <= 255 &&
                 std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!visible) {
    Error error{
        Errc::idempotency_bad_key, "an Idempotency-Key is 1 to 255 visible ASCII characters", {}};
    co_return problem(error, request);
  }
  auto sum = crypto::sha256(request.method + "\n" + request.path + "\n" + request.body);
  idempotency.key = key;
  idempotency.request_hash =
      crypto::to_hex({reinterpret_cast<const char*>(sum.data()), sum.size()});
  std::pair<TenantId, std::string> mine{request.principal->tenant_id, key};
  {
    std::lock_guard lock(shared->mutex);
    if (!shared->idempotency_running.insert(mine).second) {
      Error error{
          Errc::idempotency_running, "the first request with this key is still running", {}};
      co_return problem(error, request);
    }
  }
  struct Release {
    ServiceShared& shared;
    const std::pair<TenantId, std::string>& mine;
    ~Release() {
      std::lock_guard lock(shared.mutex);
      shared.idempotency_running.erase(mine);
    }
  } release{*shared, mine};

  FindIdempotency query{mine.first, key};
  auto found = co_await read(std::move(query));
  if (!found) co_return problem(found.error(), request);
  if (*found) {
    auto& record = **found;
    if (record.request_hash != idempotency.request_hash) {
      Error error{Errc::idempotency_reused, "this key was used with another request", {}};
      co_return problem(error, request);
    }
    auto response = Response::json(record.status, record.body);
    response.headers.emplace_back("Idempotent-Replayed", "true");
    co_return response;
  }
  auto response = co_await work(idempotency);
  fault::point("service.done");
  co_return response;
}

}  // namespace sara::http
