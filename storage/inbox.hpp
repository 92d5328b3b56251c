// The inbox's order, written behind: conversations move with every message, and are brought to
// their new place for many messages at once (migrations/0004_conversation.sql).
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/id.hpp"
#include "base/time.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

/// What one writer knows of conversations that stand at an old place. It may forget a tenant at any
/// time: the journal behind the tenant's listed_seq tells the same. For one thread.
class InboxOrder {
 public:
  /// What a transaction has listed; it counts once that is committed.
  struct Step {
    struct Part {
      TenantId tenant_id;
      std::size_t count = 0;   ///< conversations brought to their place
      Sequence listed_up_to = 0;  ///< what was written; 0: it stays
    };
    std::vector<Part> parts;
  };

  bool knows(TenantId tenant) const { return tenants_.contains(tenant); }
  /// Inside a transaction: reads how these tenants stand.
  void load(Connection& db, const std::vector<TenantId>& tenants);
  /// Inside a transaction, behind all other changes: brings some conversations to their place,
  /// at most `max`, of those tenants where many wait or some wait long. newest: the last sequence
  /// of each tenant before this transaction.
  Step advance(Connection& db, const std::vector<std::pair<TenantId, Sequence>>& newest,
               std::size_t max, TimePoint now);
  void committed(const Step& step);
  /// This conversation has moved; committed.
  void moved(TenantId tenant, ConversationId conversation);
  void forget(TenantId tenant) { tenants_.erase(tenant); }
  void forget_all() { tenants_.clear(); }
  /// Tenants of which some conversation stands at an old place.
  std::vector<TenantId> behind(std::size_t max) const;

 private:
  struct Tenant {
    std::unordered_set<ConversationId> moved;
    /// A round lists all that had moved when it began; what moves meanwhile is for the next.
    std::vector<ConversationId> round;
    Sequence round_began_at = 0;
    Sequence listed_up_to = 0;
    TimePoint next_round{};
  };
  std::unordered_map<TenantId, Tenant> tenants_;
};

}  // namespace sara::storage
