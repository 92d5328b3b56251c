// SQL of tenants, keys and integrations.
#include "storage/registry.hpp"

#include <algorithm>
#include <map>

#include "base/crypto.hpp"
#include "base/fault.hpp"
#include "base/json.hpp"
#include "base/random.hpp"
#include "storage/array.hpp"

namespace sara::storage {

using namespace domain;

namespace {

const Query insert_tenant{"tenant.insert",
                          "INSERT INTO tenant (id, name, created_at_ms) VALUES ($1, $2, $3)"};
const Query insert_api_key{"api_key.insert", R"sql(
  INSERT INTO api_key (tenant_id, id, name, role, secret_sha256, created_at_ms)
  VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6))sql"};
// The key names the tenant, so no tenant can be asked for here.
const Query get_api_key{"api_key.get", R"sql(
  SELECT tenant_id, role, encode(secret_sha256, 'hex') FROM api_key
  WHERE id = $1 AND revoked_at_ms IS NULL AND coalesce(expires_at_ms, $2) >= $2)sql"};
const Query all_tenants{"tenant.all", "SELECT id FROM tenant ORDER BY id"};
const Query tenant_names{"tenant.names", R"sql(
  SELECT t.id, t.name,
         pg_snapshot_xmax(s)::text::bigint - (SELECT count(*) FROM pg_snapshot_xip(s))
  FROM tenant t, pg_current_snapshot() s WHERE t.id = ANY ($1::uuid[]))sql"};
const Query endpoint_tenant{"webhook_endpoint.tenant",
                            "SELECT tenant_id FROM webhook_endpoint WHERE endpoint = $1"};
const Query put_endpoint{"webhook_endpoint.put", R"sql(
  INSERT INTO webhook_endpoint (tenant_id, integration_id, endpoint) VALUES ($1, $2, $3)
  ON CONFLICT (endpoint) DO NOTHING)sql"};
const Query drop_endpoint{
    "webhook_endpoint.drop",
    "DELETE FROM webhook_endpoint WHERE tenant_id = $1 AND integration_id = $2"};

const Query get_data_keys{"data_key.all", R"sql(
  SELECT tenant_id, id, encode(sealed, 'hex') FROM data_key WHERE tenant_id = ANY ($1::uuid[])
  ORDER BY tenant_id, id)sql"};
const Query put_data_key{"data_key.put", R"sql(
  INSERT INTO data_key (tenant_id, id, master_key_id, sealed, created_at_ms)
  VALUES ($1, $2, $3, decode($4, 'hex'), $5))sql"};

const Query get_integrations{"integration.all", R"sql(
  SELECT id, provider, name, endpoint, data_key_id, encode(credentials, 'hex'), settings, base_url,
         created_at_ms, updated_at_ms, version, tenant_id
  FROM integration WHERE tenant_id = ANY ($1::uuid[]) ORDER BY tenant_id, id)sql"};
const Query put_integration{"integration.put", R"sql(
  INSERT INTO integration (tenant_id, id, provider, name, endpoint, data_key_id, credentials,
                           settings, base_url, created_at_ms, updated_at_ms, version)
  VALUES ($1, $2, $3, $4, $5, $6, decode($7, 'hex'), $8, $9, $10, $11, $12)
  ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name,
    data_key_id = excluded.data_key_id, credentials = excluded.credentials,
    settings = excluded.settings, base_url = excluded.base_url,
    updated_at_ms = excluded.updated_at_ms, version = excluded.version
  WHERE integration.version = excluded.version - 1)sql"};
const Query drop_integration{"integration.drop",
                             "DELETE FROM integration WHERE tenant_id = $1 AND id = $2"};

const Query put_idempotency_row{"idempotency.put", R"sql(
  INSERT INTO idempotency (tenant_id, key, request_hash, status, body, created_at_ms)
  VALUES ($1, $2, decode($3, 'hex'), $4, $5, $6)
  ON CONFLICT (tenant_id, key) DO UPDATE SET request_hash = excluded.request_hash,
    status = excluded.status, body = excluded.body, created_at_ms = excluded.created_at_ms)sql"};

std::string hex(std::string_view bytes) { return crypto::to_hex(bytes); }
std::string unhex(const pqxx::field& field) {
  return crypto::from_hex(to_string_or_empty(field)).value_or("");
}

std::string associated(TenantId tenant, std::string_view table, std::string_view column,
                       std::string_view row, int data_key_id) {
  return to_string(tenant) + "|" + std::string(table) + "|" + std::string(column) + "|" +
         std::string(row) + "|" + std::to_string(data_key_id);
}

std::string write_credentials(const std::map<std::string, std::string>& credentials) {
  std::string out;
  json::Writer w(out);
  w.begin_object();
  for (auto& [name, value] : credentials) w.member(name, value);
  w.end_object();
  return out;
}

std::map<std::string, std::string> read_credentials(std::string_view text) {
  std::map<std::string, std::string> result;
  if (auto doc = json::parse(text))
    for (auto& [name, value] : doc->root().members())
      result[std::string(name)] = value.string_or("");
  return result;
}

struct DataKey {
  int id = 0;
  std::string key;
};

std::string list_of(const std::vector<TenantId>& tenants) {
  Array list;
  for (auto tenant : tenants) list.add(tenant);
  return list.str();
}

/// By tenant, each one's in order.
std::map<TenantId, std::vector<DataKey>> load_data_keys(Connection& db, const Vault& vault,
                                                        const std::vector<TenantId>& tenants) {
  std::map<TenantId, std::vector<DataKey>> keys;
  for (auto row : db.run(get_data_keys, list_of(tenants))) {
    TenantId tenant{to_uuid(row[0])};
    int id = static_cast<int>(to_int(row[1]));
    auto key = vault.unwrap(tenant, id, unhex(row[2]));
    if (!key)
      throw BrokenWork{{Errc::internal,
                        "a data key cannot be opened: is MADANSARA_SECRET_KEY the one it was"
                        " sealed with?", {}}};
    keys[tenant].push_back({id, *key});
  }
  return keys;
}

std::vector<Channel> sandbox_channels(const Integration& integration) {
  std::vector<Channel> channels;
  if (auto doc = json::parse(integration.settings))
    for (std::size_t i = 0; i < doc->root()["channels"].size(); ++i)
      if (auto channel = parse_channel(doc->root()["channels"].at(i).string_or("")))
        channels.push_back(*channel);
  return channels;
}

/// A row of get_integrations, its credentials opened with one of the tenant's keys.
Integration read_integration(const pqxx::row& row, TenantId tenant,
                             const std::vector<DataKey>& keys) {
  Integration i;
  i.tenant_id = tenant;
  i.id = IntegrationId{to_uuid(row[0])};
  i.provider = to_enum<Provider>(row[1]);
  i.name = to_string_or_empty(row[2]);
  i.endpoint = to_string_or_empty(row[3]);
  int data_key_id = static_cast<int>(to_int(row[4]));
  auto key = std::find_if(keys.begin(), keys.end(),
                          [&](const DataKey& k) { return k.id == data_key_id; });
  if (key == keys.end())
    throw BrokenWork{{Errc::internal, "an integration's data key is missing", {}}};
  auto opened =
      crypto::open(key->key, unhex(row[5]),
                   associated(tenant, "integration", "credentials", to_string(i.id), data_key_id));
  if (!opened) throw BrokenWork{{Errc::internal, "credentials cannot be opened", {}}};
  i.credentials = read_credentials(*opened);
  crypto::cleanse(*opened);
  i.settings = to_string_or_empty(row[6]);
  i.base_url = to_string_or_empty(row[7]);
  i.created_at = to_time(row[8]);
  i.updated_at = to_time(row[9]);
  i.version = to_int(row[10]);
  return i;
}

}  // namespace

Vault::Vault(std::string master_key) : master_key_(std::move(master_key)) {
  auto sum = crypto::sha256(master_key_);
  id_ = crypto::to_hex({reinterpret_cast<const char*>(sum.data()), 8});
}
Vault::~Vault() { crypto::cleanse(master_key_); }

std::string Vault::wrap(TenantId tenant, int data_key_id, const std::string& data_key) const {
  return crypto::seal(master_key_, data_key,
                      associated(tenant, "data_key", "sealed", std::to_string(data_key_id), 0));
}

Result<std::string> Vault::unwrap(TenantId tenant, int data_key_id,
                                  const std::string& sealed) const {
  return crypto::open(master_key_, sealed,
                      associated(tenant, "data_key", "sealed", std::to_string(data_key_id), 0));
}

NewApiKey NewApiKey::make() { return {random_base62(8), random_base62(32)}; }

Result<NewApiKey> parse_api_key(std::string_view text) {
  bool fits = text.size() == 43 && text.substr(0, 3) == "sk_" &&
              std::all_of(text.begin() + 3, text.end(), [](unsigned char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
              });
  if (!fits) return fail(Errc::unauthenticated, "the API key is not valid");
  return NewApiKey{std::string(text.substr(3, 8)), std::string(text.substr(11))};
}

Result<void> create_tenant(Connection& db, TenantId id, const std::string& name,
                           const NewApiKey& key, TimePoint now) {
  auto sum = crypto::sha256(key.secret);
  return db.transact({id}, false, "", [&](const pqxx::result&) {
    db.run(insert_tenant, to_string(id), name, to_millis(now));
    db.run(insert_api_key, to_string(id), key.id, std::string("first owner key"),
           std::string("owner"),
           hex({reinterpret_cast<const char*>(sum.data()), sum.size()}), to_millis(now));
  });
}

Result<ApiKeyRow> find_api_key(Connection& db, const std::string& id, TimePoint now) {
  Result<ApiKeyRow> result = fail(Errc::not_found, "no such key");
  auto done = db.transact({}, true, "", [&](const pqxx::result&) {
    auto rows = db.run(get_api_key, id, to_millis(now));
    if (!rows.empty())
      result = ApiKeyRow{id, TenantId{to_uuid(rows[0][0])}, to_string_or_empty(rows[0][1]),
                         unhex(rows[0][2])};
  });
  if (!done) return fail(done.error());
  return result;
}

Result<std::vector<TenantId>> list_tenants(Connection& db) {
  std::vector<TenantId> result;
  auto done = db.transact({}, true, "", [&](const pqxx::result&) {
    for (auto row : db.run(all_tenants)) result.push_back(TenantId{to_uuid(row[0])});
  });
  if (!done) return fail(done.error());
  return result;
}

Result<TenantId> find_endpoint(Connection& db, const std::string& endpoint) {
  Result<TenantId> result = fail(Errc::not_found, "no such endpoint");
  auto done = db.transact({}, true, "", [&](const pqxx::result&) {
    auto rows = db.run(endpoint_tenant, endpoint);
    if (!rows.empty()) result = TenantId{to_uuid(rows[0][0])};
  });
  if (!done) return fail(done.error());
  return result;
}

Result<TenantSnapshot> get_tenant(Connection& db, const Vault& vault, TenantId tenant) {
  auto found = get_tenants(db, vault, {tenant});
  if (!found) return fail(found.error());
  if (found->empty()) return fail(Errc::not_found, "no such tenant");
  return std::move(found->front());
}

Result<std::vector<TenantSnapshot>> get_tenants(Connection& db, const Vault& vault,
                                                const std::vector<TenantId>& tenants) {
  std::vector<TenantSnapshot> snapshots;
  if (tenants.empty()) return snapshots;
  auto done = db.transact(tenants, true, "", [&](const pqxx::result&) {
    std::map<TenantId, std::size_t> place;
    for (auto row : db.run(tenant_names, list_of(tenants))) {
      auto& snapshot = snapshots.emplace_back();
      snapshot.id = TenantId{to_uuid(row[0])};
      snapshot.name = to_string_or_empty(row[1]);
      snapshot.as_of = to_int(row[2]);
      place[snapshot.id] = snapshots.size() - 1;
    }
    if (snapshots.empty()) return;
    auto keys = load_data_keys(db, vault, tenants);
    for (auto row : db.run(get_integrations, list_of(tenants))) {
      auto there = place.find(TenantId{to_uuid(row[11])});
      if (there == place.end()) continue;
      auto integration = read_integration(row, there->first, keys[there->first]);
      auto channels = channels_of(integration, sandbox_channels(integration));
      snapshots[there->second].offers.push_back({std::move(integration), std::move(channels)});
    }
  });
  if (!done) return fail(done.error());
  return snapshots;
}

Result<void> save_integration(Connection& db, const Vault& vault, const Integration& integration,
                              const IdempotencyRecord& idempotency, TimePoint now) {
  auto tenant = integration.tenant_id;
  return db.transact({tenant}, false, "", [&](const pqxx::result&) {
    auto keys = load_data_keys(db, vault, {tenant})[tenant];
    if (keys.empty()) {
      std::string fresh(32, '\0');
      random_bytes({reinterpret_cast<unsigned char*>(fresh.data()), fresh.size()});
      db.run(put_data_key, to_string(tenant), 1, vault.master_key_id(),
             hex(vault.wrap(tenant, 1, fresh)), to_millis(now));
      keys.push_back({1, std::move(fresh)});
    }
    auto& key = keys.back();
    auto plain = write_credentials(integration.credentials);
    auto sealed =
        crypto::seal(key.key, plain,
                     associated(tenant, "integration", "credentials", to_string(integration.id),
                                key.id));
    crypto::cleanse(plain);
    auto put = db.run(put_integration, to_string(tenant), to_string(integration.id),
           static_cast<int>(integration.provider), integration.name, integration.endpoint, key.id,
           hex(sealed), integration.settings, integration.base_url,
           to_millis(integration.created_at), to_millis(integration.updated_at),
           integration.version);
    if (put.affected_rows() == 0)
      throw BrokenWork{{Errc::conflict, "somebody else changed it at the same time; read it again",
                        {}}};
    fault::point("registry.integration");
    db.run(put_endpoint, to_string(tenant), to_string(integration.id), integration.endpoint);
    put_idempotency(db, tenant, idempotency, now);
  });
}

Result<bool> delete_integration(Connection& db, TenantId tenant, IntegrationId id) {
  bool there = false;
  auto done = db.transact({tenant}, false, "", [&](const pqxx::result&) {
    db.run(drop_endpoint, to_string(tenant), to_string(id));
    there = db.run(drop_integration, to_string(tenant), to_string(id)).affected_rows() > 0;
  });
  if (!done) return fail(done.error());
  return there;
}

void put_idempotency(Connection& db, TenantId tenant, const IdempotencyRecord& record,
                     TimePoint now) {
  if (record.key.empty()) return;
  db.run(put_idempotency_row, to_string(tenant), record.key, record.request_hash, record.status,
         record.body, to_millis(now));
}

}  // namespace sara::storage
