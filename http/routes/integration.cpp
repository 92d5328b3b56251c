// Integrations: a tenant's provider accounts. Credentials come in and never go out.
#include <algorithm>

#include "base/crypto.hpp"
#include "base/random.hpp"
#include "http/routes/routes.hpp"

namespace sara::http {

using namespace messages;
using namespace domain;

namespace {

Task<Response> create(Service& s, Request& r);
Task<Response> list(Service& s, Request& r);
Task<Response> show(Service& s, Request& r);
Task<Response> change(Service& s, Request& r);
Task<Response> remove(Service& s, Request& r);
Task<Response> test(Service& s, Request& r);
Task<Response> list_of_tenant(Service& s, Request& r);

}  // namespace

void mount_integrations(Router& router, Service& s) {
  auto with = [&s](auto function) { return [&s, function](Request& r) { return function(s, r); }; };
  router.post("/api/v1/integrations", Scope::credential, Body::json, with(create));
  router.get("/api/v1/integrations", Scope::credential, with(list));
  router.get("/api/v1/integrations/{id}", Scope::credential, with(show));
  router.patch("/api/v1/integrations/{id}", Scope::credential, Body::json, with(change));
  router.remove("/api/v1/integrations/{id}", Scope::credential, with(remove));
  router.post("/api/v1/integrations/{id}/test", Scope::credential, Body::none, with(test));
  // Seed 000's path and its alias.
  router.get("/api/v1/tenants/{uuid}/integrations", Scope::credential, with(list_of_tenant));
  router.get("/api/v1/integrations/tenants/{uuid}/integrations", Scope::credential,
             with(list_of_tenant));
}

namespace {

constexpr std::size_t endpoint_characters = 32;  // base62: 190 random bits
constexpr std::size_t integrations_max = 200;

std::string last4(const std::string& secret) {
  return secret.size() < 8 ? "" : secret.substr(secret.size() - 4);
}

void write(json::Writer& w, const Service& s, const Integration& i) {
  w.begin_object().member("id", sara::to_string(i.id)).member("provider", to_string(i.provider));
  w.member("name", i.name).key("settings").raw(i.settings);
  w.member_or_null("base_url", i.base_url).member("endpoint", i.endpoint);
  w.member("webhook_url", s.options.public_base_url + "/webhooks/" +
                              std::string(to_string(i.provider)) + "/" + i.endpoint);
  w.key("credentials").begin_object();
  for (auto& [name, value] : i.credentials) {
    if (i.provider == Provider::sandbox) continue;  // made by us, known to nobody else
    w.key(name).begin_object().member_or_null("last4", last4(value)).end_object();
  }
  w.end_object();
  w.member("created_at", to_rfc3339(i.created_at)).member("updated_at", to_rfc3339(i.updated_at));
  w.end_object();
}

std::string etag_of(const Integration& i) { return "\"" + std::to_string(i.version) + "\""; }

std::string render(const Service& s, const Integration& i) {
  std::string out;
  json::Writer w(out);
  write(w, s, i);
  return out;
}

Response shown(const Service& s, const Integration& i, int status) {
  auto response = Response::json(status, render(s, i));
  response.headers.emplace_back("ETag", etag_of(i));
  return response;
}

Result<void> check_sandbox_settings(json::Ref settings) {
  auto known =
      only_members(settings, "/settings", {"channels", "latency_ms", "failure_rate", "cost"});
  if (!known) return known;
  auto channels = settings["channels"];
  if (channels.exists() && !channels.is_array())
    return fail(invalid("/settings/channels", "must be a list of channels"));
  for (std::size_t i = 0; i < channels.size(); ++i)
    if (!parse_channel(channels.at(i).string_or("")))
      return fail(invalid("/settings/channels/" + std::to_string(i), "is not a channel"));
  if (auto latency = settings["latency_ms"]; latency.exists())
    if (!latency.integer() || *latency.integer() < 0 || *latency.integer() > 60'000)
      return fail(invalid("/settings/latency_ms", "must be a whole number from 0 to 60000"));
  if (auto rate = settings["failure_rate"]; rate.exists())
    if (!rate.number() || *rate.number() < 0 || *rate.number() > 1)
      return fail(invalid("/settings/failure_rate", "must be a number from 0 to 1"));
  if (settings["cost"].exists() && !settings["cost"].is_object())
    return fail(invalid("/settings/cost", "must map channels to money"));
  return {};
}

Result<void> set_settings(Integration& i, json::Ref settings) {
  if (!settings.exists()) return {};
  if (!settings.is_object()) return fail(invalid("/settings", "must be an object"));
  if (i.provider == Provider::sandbox)
    if (auto fine = check_sandbox_settings(settings); !fine) return fine;
  auto text = settings.dump();
  if (text.size() > 10'000) return fail(invalid("/settings", "has more than 10000 bytes"));
  i.settings = std::move(text);
  return {};
}

Result<void> set_credentials(Integration& i, json::Ref credentials) {
  if (!credentials.is_object()) return fail(invalid("/credentials", "must be an object"));
  for (auto& [name, value] : credentials.members()) {
    if (!value.string())
      return fail(invalid("/credentials/" + std::string(name), "must be a string"));
    i.credentials[std::string(name)] = *value.string();
  }
  return {};
}

/// http or https, a host, nothing before it. In production: https alone (reliability.md, section
/// 9).
Result<void> set_base_url(const Service& s, Integration& i, json::Ref value) {
  if (!value.exists() || value.is_null()) return {};
  auto url = value.string_or("");
  bool plain = url.rfind("http://", 0) == 0;
  bool secure = url.rfind("https://", 0) == 0;
  auto host = url.substr(plain ? 7 : secure ? 8 : 0);
  bool clean = !host.empty() && host.size() < 300 && host.front() != '/' &&
               host.find_first_of("@ \\#?") == host.npos &&
               std::none_of(host.begin(), host.end(),
                            [](unsigned char c) { return c <= 0x20 || c >= 0x7f; });
  if (!clean || (!plain && !secure))
    return fail(invalid("/base_url", "must be an http or https URL without userinfo or query"));
  if (s.options.production && !secure)
    return fail(invalid("/base_url", "must be https in production"));
  i.base_url = url;
  return {};
}

/// Credentials that no decoder can be made from are refused before they are stored.
Result<void> check_usable(const Integration& i) {
  if (i.provider == Provider::engarde) {
    bool key = i.credentials.size() == 1 && i.credentials.contains("api_key") &&
               !i.credentials.at("api_key").empty();
    if (!key) return fail(invalid("/credentials/api_key", "is required, and nothing else"));
    return {};
  }
  providers::Fields settings;
  if (auto doc = json::parse(i.settings))
    for (auto& [name, value] : doc->root().members())
      settings[std::string(name)] = value.string() ? std::string(*value.string()) : value.dump();
  auto made = providers::make_codec(i.provider, i.credentials, settings);
  if (!made) return fail(made.error());
  return {};
}

/// Writes an integration and publishes the tenant anew, so that its webhook works at once.
Task<Result<void>> save(Service& s, const Integration& i, const IdempotencyRecord& record) {
  auto change = std::make_shared<RegistryChange>();
  change->kind = RegistryChange::Kind::save_integration;
  change->tenant_id = i.tenant_id;
  change->integration = i;
  change->idempotency = record;
  TenantId tenant = change->tenant_id;
  RegistryChangePtr command = std::move(change);
  auto saved = co_await s.bridge.ask(s.writer_of(tenant), s.options.write_deadline,
                                     std::move(command));
  if (!saved) co_return fail(saved.error());
  GetTenant query{tenant, {}};
  auto fresh = co_await s.read(std::move(query));
  if (!fresh) co_return fail(fresh.error());
  s.tenants.publish(*fresh);
  co_return Result<void>{};
}

Result<Integration> parse_new(Service& s, const Request& r) {
  auto doc = object_body(r, {"provider", "name", "credentials", "settings", "base_url"});
  if (!doc) return fail(doc.error());
  auto root = doc->root();
  auto provider_name = string_member(root, "provider", 50, true);
  if (!provider_name) return fail(provider_name.error());
  Integration i;
  auto provider = parse_provider(*provider_name);
  if (!provider)
    return fail(invalid("/provider", "must be twilio, sendgrid, meta, sandbox or engarde"));
  i.provider = *provider;
  auto name = string_member(root, "name", 200);
  if (!name) return fail(name.error());
  i.name = name->empty() ? *provider_name : *name;
  if (root["credentials"].exists() || i.provider != Provider::sandbox)
    if (auto set = set_credentials(i, root["credentials"]); !set) return fail(set.error());
  if (i.provider == Provider::sandbox) {
    if (!i.credentials.empty())
      return fail(invalid("/credentials/" + i.credentials.begin()->first,
                          "the sandbox takes no credentials"));
    i.credentials["secret"] = random_base62(43);
  }
  if (auto set = set_settings(i, root["settings"]); !set) return fail(set.error());
  if (auto set = set_base_url(s, i, root["base_url"]); !set) return fail(set.error());
  if (auto usable = check_usable(i); !usable) return fail(usable.error());
  return i;
}

Task<Response> create_once(Service& s, Request& r, const Idempotency& idempotency) {
  auto parsed = parse_new(s, r);
  if (!parsed) co_return problem(parsed.error(), r);
  Integration i = std::move(*parsed);
  auto tenant = co_await s.tenant(r.principal->tenant_id);
  if (!tenant) co_return problem(tenant.error(), r);
  if ((*tenant)->offers.size() >= integrations_max) {
    Error error{Errc::conflict, "a tenant has at most 200 integrations", {}};
    co_return problem(error, r);
  }
  auto now = s.clock.now();
  i.tenant_id = r.principal->tenant_id;
  i.id = IntegrationId::make(now);
  i.endpoint = random_base62(endpoint_characters);
  i.created_at = i.updated_at = now;
  IdempotencyRecord record{idempotency.key, idempotency.request_hash, 201, render(s, i)};
  auto response = shown(s, i, 201);
  response.headers.emplace_back("Location", "/api/v1/integrations/" + sara::to_string(i.id));
  auto saved = co_await save(s, i, record);
  if (!saved) co_return problem(saved.error(), r);
  co_return response;
}

Task<Response> create(Service& s, Request& r) {
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);
  Service::Work work = [&s, &r](const Idempotency& idempotency) {
    return create_once(s, r, idempotency);
  };
  co_return co_await s.once(r, work);
}

Task<Response> list(Service& s, Request& r) {
  auto page = paging(r, "integration", 1, {});
  if (!page) co_return problem(page.error(), r);
  auto tenant = co_await s.tenant(r.principal->tenant_id);
  if (!tenant) co_return problem(tenant.error(), r);
  // Newest first; ids are ordered by time.
  Uuid before;
  if (!page->cursor.empty()) {
    auto id = parse_uuid(page->cursor[0]);
    if (!id) co_return problem(invalid("?cursor", "is not a cursor of this list"), r);
    before = *id;
  }
  std::string out;
  json::Writer w(out);
  w.begin_object().key("data").begin_array();
  int shown_rows = 0;
  std::string next;
  auto& offers = (*tenant)->offers;
  for (auto offer = offers.rbegin(); offer != offers.rend(); ++offer) {
    auto& i = offer->integration;
    if (before && !(static_cast<const Uuid&>(i.id) < before)) continue;
    if (shown_rows == page->limit) {
      break;
    }
    write(w, s, i);
    ++shown_rows;
    bool last = offer + 1 == offers.rend();
    next = last ? "" : make_cursor("integration", {sara::to_string(i.id)});
  }
  w.end_array().member_or_null("next_cursor", shown_rows == page->limit ? next : "").end_object();
  co_return Response::json(200, std::move(out));
}

Task<Response> list_of_tenant(Service& s, Request& r) {
  auto id = TenantId::parse(r.param("uuid"));
  if (!id || *id != r.principal->tenant_id) {
    Error error{Errc::not_found, "there is no such tenant", {}};
    co_return problem(error, r);
  }
  co_return co_await list(s, r);
}

/// The integration of the path. errors: not_found
Task<Result<Integration>> find(Service& s, Request& r) {
  auto tenant = co_await s.tenant(r.principal->tenant_id);
  if (!tenant) co_return fail(tenant.error());
  auto id = IntegrationId::parse(r.param("id"));
  const Integration* i = id ? (*tenant)->find(*id) : nullptr;
  if (i == nullptr) co_return fail(Errc::not_found, "there is no such integration");
  co_return *i;
}

Task<Response> show(Service& s, Request& r) {
  auto i = co_await find(s, r);
  if (!i) co_return problem(i.error(), r);
  if (auto fine = only_query(r, {}); !fine) co_return problem(fine.error(), r);
  if (r.header("if-none-match") == etag_of(*i)) {
    auto response = shown(s, *i, 304);
    response.body.clear();
    co_return response;
  }
  co_return shown(s, *i, 200);
}

Task<Response> change(Service& s, Request& r) {
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);
  auto doc = object_body(r, {"name", "credentials", "settings", "base_url"});
  if (!doc) co_return problem(doc.error(), r);
  auto root = doc->root();
  auto found = co_await find(s, r);
  if (!found) co_return problem(found.error(), r);
  Integration i = std::move(*found);
  auto if_match = r.header("if-match");
  if (!if_match.empty() && if_match != "*" && if_match != etag_of(i)) {
    Error error{Errc::stale, "the integration has been changed since you read it", {}};
    co_return problem(error, r);
  }
  if (root["name"].exists()) {
    auto name = string_member(root, "name", 200, true);
    if (!name) co_return problem(name.error(), r);
    i.name = *name;
  }
  Result<void> fine;
  if (root["credentials"].exists()) {
    if (i.provider == Provider::sandbox)
      fine = fail(invalid("/credentials", "the sandbox takes no credentials"));
    else
      fine = set_credentials(i, root["credentials"]);
  }
  if (fine) fine = set_settings(i, root["settings"]);
  if (fine && root["base_url"].is_null()) i.base_url.clear();
  if (fine) fine = set_base_url(s, i, root["base_url"]);
  if (fine) fine = check_usable(i);
  if (!fine) co_return problem(fine.error(), r);
  i.updated_at = s.clock.now();
  ++i.version;
  auto response = shown(s, i, 200);
  IdempotencyRecord none;
  auto saved = co_await save(s, i, none);
  if (!saved) co_return problem(saved.error(), r);
  co_return response;
}

Task<Response> remove(Service& s, Request& r) {
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);
  auto found = co_await find(s, r);
  if (!found) co_return problem(found.error(), r);
  auto gone = std::make_shared<RegistryChange>();
  gone->kind = RegistryChange::Kind::delete_integration;
  gone->tenant_id = r.principal->tenant_id;
  gone->integration.id = found->id;
  TenantId tenant = gone->tenant_id;
  RegistryChangePtr command = std::move(gone);
  auto done = co_await s.bridge.ask(s.writer_of(tenant), s.options.write_deadline,
                                    std::move(command));
  if (!done) co_return problem(done.error(), r);
  GetTenant query{tenant, {}};
  auto fresh = co_await s.read(std::move(query));
  if (!fresh) co_return problem(fresh.error(), r);
  s.tenants.publish(*fresh);
  Response response;
  response.status = 204;
  co_return response;
}

Task<Response> test(Service& s, Request& r) {
  auto i = co_await find(s, r);
  if (!i) co_return problem(i.error(), r);
  auto usable = check_usable(*i);
  std::string out;
  json::Writer w(out);
  w.begin_object().member("ok", usable.has_value());
  bool sandbox = i->provider == Provider::sandbox;
  w.member("detail", !usable    ? usable.error().detail.c_str()
                     : sandbox  ? "the sandbox is ready"
                                : "the credentials are well formed; the provider was not called");
  w.end_object();
  co_return Response::json(200, std::move(out));
}

}  // namespace

}  // namespace sara::http
