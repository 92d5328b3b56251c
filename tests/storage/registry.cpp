// Tenants, keys, sealed credentials; and the third wall: row-level security.
#include "storage/registry.hpp"

#include "base/crypto.hpp"
#include "support.hpp"

using namespace sara;
using namespace sara::storage;

namespace {

const std::string secret = "PLAINTEXT-token-0123456789";

struct Registry : World {
  std::shared_ptr<Vault> vault = std::make_shared<Vault>(std::string(32, 'k'));

  domain::Integration integration(TenantId owner, std::uint64_t n) const {
    domain::Integration i;
    i.tenant_id = owner;
    i.id = IntegrationId{Uuid{n, n}};
    i.provider = domain::Provider::twilio;
    i.name = "an account";
    i.endpoint = "endpoint" + std::to_string(n) + to_string(owner);
    i.credentials = {{"account_sid", "AC" + std::to_string(n)}, {"auth_token", secret}};
    i.created_at = i.updated_at = noon;
    return i;
  }
  void save(const domain::Integration& i) {
    REQUIRE(save_integration(db, *vault, i, {}, noon));
  }
  /// Every table of the schema.
  std::vector<std::string> tables(const std::string& condition = "true") {
    std::vector<std::string> out;
    REQUIRE(db.transact({}, true, "", [&](const pqxx::result&) {
      for (auto row : db.execute("SELECT c.relname FROM pg_class c JOIN pg_namespace n"
                                 " ON n.oid = c.relnamespace AND n.nspname = current_schema()"
                                 " WHERE c.relkind = 'r' AND " + condition))
        out.push_back(row[0].c_str());
    }));
    return out;
  }
  /// At least one row in every table, for this tenant.
  void fill(TenantId owner, std::uint64_t n) {
    auto i = integration(owner, n);
    REQUIRE(save_integration(db, *vault, i, {"key", "00", 201, "{}"}, noon));
    Person p(*this, owner, "+15550100777");
    p.says("hi").is_answered("hello").commit();
    p.says("and again").commit();
    writer->tidy(now + std::chrono::minutes{1});
    auto failed = unmatched(owner, "id", domain::MessageStatus::sent);
    failed.entries[0].kind = domain::EventKind::webhook_failed;
    REQUIRE(commit({&failed}));
  }
};

const std::string has_tenant =
    "EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')";

}  // namespace

TEST_CASE_FIXTURE(Registry, "registry: credentials come back opened, to their tenant only") {
  save(integration(tenant, 1));
  auto snapshot = get_tenant(db, *vault, tenant);
  REQUIRE(snapshot);
  REQUIRE(snapshot->offers.size() == 1);
  auto& i = snapshot->offers[0].integration;
  CHECK(i.credentials.at("auth_token") == secret);
  CHECK(snapshot->offers[0].channels.size() == 2);
  CHECK(find_endpoint(db, i.endpoint).value() == tenant);
  CHECK(get_tenant(db, *vault, new_tenant())->offers.empty());
  CHECK(get_tenant(db, *vault, TenantId{Uuid{1, 2}}).error().code == Errc::not_found);
  CHECK(delete_integration(db, new_tenant(), i.id).value() == false);
  CHECK(delete_integration(db, tenant, i.id).value());
  CHECK_FALSE(delete_integration(db, tenant, i.id).value());
  CHECK(find_endpoint(db, i.endpoint).error().code == Errc::not_found);
}

TEST_CASE_FIXTURE(Registry, "registry: many tenants at once, each with what is its own") {
  std::vector<TenantId> wanted{TenantId{Uuid{1, 2}}, tenant};
  save(integration(tenant, 1));
  save(integration(tenant, 2));
  for (std::uint64_t n = 3; n < 8; ++n) {
    wanted.push_back(new_tenant());
    if (n > 3) save(integration(wanted.back(), n));
  }
  auto together = must(get_tenants(db, *vault, wanted));
  CHECK(together.size() == wanted.size() - 1);
  for (auto& snapshot : together) {
    auto alone = must(get_tenant(db, *vault, snapshot.id));
    CHECK(snapshot.name == alone.name);
    REQUIRE(snapshot.offers.size() == alone.offers.size());
    for (std::size_t i = 0; i < alone.offers.size(); ++i) {
      auto& mine = snapshot.offers[i].integration;
      CHECK(mine.tenant_id == snapshot.id);
      CHECK(mine.id == alone.offers[i].integration.id);
      CHECK(mine.credentials == alone.offers[i].integration.credentials);
    }
  }
  CHECK(must(get_tenants(db, *vault, {})).empty());
}

TEST_CASE_FIXTURE(Registry, "registry: no row of any table holds a secret as it is") {
  auto key = NewApiKey::make();
  auto owner = TenantId::make(noon);
  REQUIRE(create_tenant(db, owner, "another", key, noon));
  fill(owner, 1);
  for (auto& table : tables())
    for (auto& hidden : {secret, key.secret}) {
      CAPTURE(table);
      auto count = [&](const std::string& text) {
        return sql("SELECT count(*) FROM " + table + " t WHERE t::text LIKE '%" + text + "%'",
                   {owner});
      };
      CHECK(count(hidden) == "0");
      CHECK(count(crypto::to_hex(hidden)) == "0");
      CHECK(count(crypto::to_base64(hidden).substr(0, 16)) == "0");
    }
}

TEST_CASE_FIXTURE(Registry, "registry: sealed rows that were swapped do not open") {
  auto other = new_tenant();
  save(integration(tenant, 1));
  save(integration(tenant, 2));
  save(integration(other, 3));
  SUBCASE("with another of the same tenant") {
    sql("UPDATE integration a SET credentials = b.credentials FROM integration b"
        " WHERE a.id <> b.id");
  }
  SUBCASE("with another tenant's, data key and all") {
    sql("UPDATE data_key a SET sealed = b.sealed FROM data_key b"
        " WHERE a.tenant_id <> b.tenant_id",
        {tenant, other});
  }
  SUBCASE("with a bit turned") {
    sql("UPDATE integration SET credentials = set_byte(credentials, 20,"
        " get_byte(credentials, 20) # 1)");
  }
  auto refused = get_tenant(db, *vault, tenant);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::internal);
  CHECK(refused.error().detail.find(secret) == std::string::npos);
}

TEST_CASE_FIXTURE(Registry, "registry: another master key opens nothing") {
  save(integration(tenant, 1));
  Vault other(std::string(32, 'x'));
  CHECK(other.master_key_id() != vault->master_key_id());
  CHECK(get_tenant(db, other, tenant).error().code == Errc::internal);
}

TEST_CASE_FIXTURE(Registry, "registry: a key is found by its id, and only its hash is stored") {
  auto key = NewApiKey::make();
  auto owner = TenantId::make(noon);
  REQUIRE(create_tenant(db, owner, "t", key, noon));
  auto parsed = parse_api_key(key.text());
  REQUIRE(parsed);
  auto row = find_api_key(db, parsed->id, noon);
  REQUIRE(row);
  CHECK(row->tenant_id == owner);
  CHECK(row->role == "owner");
  auto sum = crypto::sha256(parsed->secret);
  CHECK(row->secret_sha256 ==
        std::string(reinterpret_cast<const char*>(sum.data()), sum.size()));
  CHECK(find_api_key(db, "AAAAAAAA", noon).error().code == Errc::not_found);
  sql("UPDATE api_key SET expires_at_ms = " + std::to_string(to_millis(noon)));
  CHECK(find_api_key(db, key.id, noon));
  CHECK_FALSE(find_api_key(db, key.id, noon + Millis{1}));
  sql("UPDATE api_key SET expires_at_ms = NULL, revoked_at_ms = 1");
  CHECK_FALSE(find_api_key(db, key.id, noon));
  for (auto text : {std::string{}, "sk_" + std::string(39, 'a'), "sk_" + std::string(41, 'a'),
                    "pk_" + std::string(40, 'a'), "sk_" + std::string(39, 'a') + "-"})
    CHECK(parse_api_key(text).error().code == Errc::unauthenticated);
}

TEST_CASE_FIXTURE(Registry, "security: every table with a tenant has the wall") {
  auto walled = tables(has_tenant + " AND c.relrowsecurity AND c.relforcerowsecurity");
  auto all = tables(has_tenant);
  // What finds the tenant in the first place cannot ask for it.
  CHECK(all.size() == walled.size() + 2);
  for (auto& table : all)
    if (std::find(walled.begin(), walled.end(), table) == walled.end())
      CHECK((table == "api_key" || table == "webhook_endpoint"));
  CHECK(sql("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") == "f");
}

TEST_CASE_FIXTURE(Registry, "security: the wall is a filter and no index searches for its tenants") {
  // As an index condition it would cost each probe of a group a search per tenant of the group.
  std::vector<TenantId> group;
  for (int i = 0; i < 5; ++i) group.push_back(new_tenant());
  std::string plan;
  REQUIRE(db.transact(group, true, "SET LOCAL enable_seqscan = off", [&](const pqxx::result&) {
    auto key = "tenant_id = " + db.quote(to_string(group.back())) + " AND dedupe_key = 'a'";
    for (auto row : db.execute("EXPLAIN SELECT 1 FROM journal WHERE " + key))
      plan += row[0].c_str() + std::string("\n");
  }));
  CAPTURE(plan);
  CHECK(plan.find("Index Cond: ((tenant_id = '") != std::string::npos);
  CHECK(plan.find("ANY") == std::string::npos);
  CHECK(plan.find("Filter: ((tenant_id = $0) OR (hashed SubPlan") != std::string::npos);
}

TEST_CASE_FIXTURE(Registry, "security: raw SQL sees and changes nothing of another tenant") {
  auto other = new_tenant();
  fill(tenant, 1);
  fill(other, 2);
  for (auto& table : tables(has_tenant + " AND c.relrowsecurity")) {
    CAPTURE(table);
    auto count = [&](std::vector<TenantId> tenants) {
      return std::stoi(sql("SELECT count(*) FROM " + table, tenants));
    };
    int mine = count({tenant});
    int theirs = count({other});
    CHECK(mine > 0);
    CHECK(theirs > 0);
    CHECK(count({tenant, other}) == mine + theirs);
    CHECK(count({}) == 0);
    auto foreign = "'" + to_string(other) + "'";
    CHECK(sql("SELECT count(*) FROM " + table + " WHERE tenant_id = " + foreign) == "0");
    CHECK(sql("DELETE FROM " + table + " WHERE tenant_id = " + foreign) == "");
    CHECK(sql("UPDATE " + table + " SET tenant_id = " + foreign) == "refused");
    CHECK(count({other}) == theirs);
    CHECK(count({tenant}) == mine);
  }
  CHECK(sql("INSERT INTO contact (tenant_id, id, created_at_ms, updated_at_ms) VALUES ('" +
            to_string(other) + "', '" + to_string(make_uuid(noon)) + "', 1, 1)") == "refused");
  CHECK(sql("SELECT count(*) FROM contact", {other}) == "1");
}

TEST_CASE_FIXTURE(Registry, "security: the tenants of one transaction are gone with it") {
  fill(tenant, 1);
  CHECK(sql("SELECT count(*) FROM contact") == "1");
  // Without a transaction of ours nothing was set.
  CHECK(std::string(db.execute("SELECT count(*) FROM contact")[0][0].c_str()) == "0");
}
