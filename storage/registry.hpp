// Who there is: tenants, API keys, integrations with their sealed credentials.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "domain/integration.hpp"
#include "domain/journal.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

/// Seals credentials: a data key per tenant, sealed with the master key (reliability.md, section
/// 8).
class Vault {
 public:
  /// master_key: 32 bytes.
  explicit Vault(std::string master_key);
  ~Vault();
  Vault(const Vault&) = delete;
  Vault& operator=(const Vault&) = delete;

  /// Which master key this is: the first 8 bytes of its hash, in hex.
  const std::string& master_key_id() const { return id_; }
  std::string wrap(TenantId tenant, int data_key_id, const std::string& data_key) const;
  Result<std::string> unwrap(TenantId tenant, int data_key_id, const std::string& sealed) const;

 private:
  std::string master_key_;
  std::string id_;
};

struct ApiKeyRow {
  std::string id;
  TenantId tenant_id;
  std::string role;
  std::string secret_sha256;  ///< 32 bytes
};

/// A key as it is shown once: "sk_" + 8 characters of id + 32 of secret.
struct NewApiKey {
  std::string id;
  std::string secret;
  std::string text() const { return "sk_" + id + secret; }
  static NewApiKey make();
};
/// Splits what a client presents. errors: unauthenticated - not of that form
Result<NewApiKey> parse_api_key(std::string_view text);

/// Makes a tenant with its first owner key.
Result<void> create_tenant(Connection& db, TenantId id, const std::string& name,
                           const NewApiKey& key, TimePoint now);
/// errors: not_found - no such key, or revoked, or expired
Result<ApiKeyRow> find_api_key(Connection& db, const std::string& id, TimePoint now);
Result<std::vector<TenantId>> list_tenants(Connection& db);

/// The tenant of a webhook endpoint. errors: not_found
Result<TenantId> find_endpoint(Connection& db, const std::string& endpoint);
/// The tenant with its integrations, opened. errors: not_found
Result<domain::TenantSnapshot> get_tenant(Connection& db, const Vault& vault, TenantId tenant);
/// Many at once, in any order; those that are not there are left out.
/// errors: internal - a credential of one of them cannot be opened
Result<std::vector<domain::TenantSnapshot>> get_tenants(Connection& db, const Vault& vault,
                                                        const std::vector<TenantId>& tenants);
/// Inserts, or replaces the version before, with the idempotency record in the same transaction.
/// errors: conflict - another version came between
Result<void> save_integration(Connection& db, const Vault& vault,
                              const domain::Integration& integration,
                              const domain::IdempotencyRecord& idempotency, TimePoint now);
/// False: there was none.
Result<bool> delete_integration(Connection& db, TenantId tenant, IntegrationId id);

/// Inside a transaction; nothing if the record has no key.
void put_idempotency(Connection& db, TenantId tenant, const domain::IdempotencyRecord& record,
                     TimePoint now);

}  // namespace sara::storage
