// Shared checks of requests.
#include "http/service.hpp"

#include <algorithm>
#include <charconv>

#include "base/crypto.hpp"

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

bool contains(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
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
  co_return co_await work(idempotency);
}

Result<void> only_query(const Request& request, std::initializer_list<std::string_view> names) {
  std::set<std::string_view> seen;
  for (auto& [name, value] : request.query) {
    if (!contains(names, name))
      return fail(invalid("?" + name, "is not a parameter of this route"));
    if (!seen.insert(name).second) return fail(invalid("?" + name, "stands twice"));
  }
  return {};
}

Result<Paging> paging(const Request& request, std::string_view kind, std::size_t parts,
                      std::initializer_list<std::string_view> known_names) {
  std::set<std::string_view> seen;
  for (auto& [name, value] : request.query) {
    if (name != "limit" && name != "cursor" && !contains(known_names, name))
      return fail(invalid("?" + name, "is not a parameter of this route"));
    if (!seen.insert(name).second) return fail(invalid("?" + name, "stands twice"));
  }
  Paging page;
  if (auto limit = request.query_value("limit")) {
    auto end = limit->data() + limit->size();
    auto [last, error] = std::from_chars(limit->data(), end, page.limit);
    if (error != std::errc{} || last != end || page.limit < 1 || page.limit > 200)
      return fail(invalid("?limit", "must be a whole number from 1 to 200"));
  }
  if (auto cursor = request.query_value("cursor")) {
    auto wrong = [] { return fail(invalid("?cursor", "is not a cursor of this list")); };
    auto text = crypto::from_base64url(*cursor);
    if (!text || text->size() > 500) return wrong();
    std::string_view rest = *text;
    std::vector<std::string> all;
    while (true) {
      auto bar = rest.find('|');
      all.emplace_back(rest.substr(0, bar));
      if (bar == rest.npos) break;
      rest.remove_prefix(bar + 1);
    }
    if (all.size() != parts + 1 || all[0] != kind) return wrong();
    page.cursor.assign(all.begin() + 1, all.end());
  }
  return page;
}

Result<std::int64_t> cursor_number(const Paging& page, std::size_t part) {
  auto& text = page.cursor.at(part);
  std::int64_t value = 0;
  auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc{} || end != text.data() + text.size() || value < 0)
    return fail(invalid("?cursor", "is not a cursor of this list"));
  return value;
}

std::string make_cursor(std::string_view kind, std::initializer_list<std::string> parts) {
  std::string text(kind);
  for (auto& part : parts) text += "|" + part;
  return crypto::to_base64url(text);
}

Result<void> only_members(json::Ref object, std::string_view pointer,
                          std::initializer_list<std::string_view> names) {
  if (!object.is_object()) return fail(invalid(std::string(pointer), "must be an object"));
  Error error;
  for (auto& [name, value] : object.members())
    if (!contains(names, name)) {
      error.code = Errc::invalid_argument;
      error.detail = "the body has a field that this route does not know";
      error.fields.push_back(
          {std::string(pointer) + "/" + std::string(name), "is not a known field"});
    }
  if (error.code != Errc::ok) return fail(error);
  return {};
}

Result<json::Document> object_body(const Request& request,
                                   std::initializer_list<std::string_view> names) {
  auto doc = json::parse(request.body);
  if (!doc) return fail(doc.error());
  if (!doc->root().is_object()) return fail(invalid("", "the body must be a JSON object"));
  if (auto known = only_members(doc->root(), "", names); !known) return fail(known.error());
  return doc;
}

Result<std::string> string_member(json::Ref object, std::string_view name, std::size_t bytes_max,
                                  bool required) {
  auto value = object[name];
  std::string pointer = "/" + std::string(name);
  if (!value.exists() || value.is_null()) {
    if (required) return fail(invalid(pointer, "is required"));
    return std::string{};
  }
  auto text = value.string();
  if (!text) return fail(invalid(pointer, "must be a string"));
  if (required && text->empty()) return fail(invalid(pointer, "must not be empty"));
  if (text->size() > bytes_max)
    return fail(invalid(pointer, "has more than " + std::to_string(bytes_max) + " bytes"));
  return std::string(*text);
}

}  // namespace sara::http
