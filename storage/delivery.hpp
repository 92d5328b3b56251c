// The outbox table.
#pragma once

#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "domain/delivery.hpp"
#include "storage/array.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

/// Rows of an upsert, filled one by one.
struct DeliveryColumns {
  Array tenant, message_seq, conversation, contact, integration, created_at, sent_at, next_at,
      not_after, attempt, channel, provider, status, address, provider_message_id, error_code,
      error_detail, provider_code;
  void add(TenantId tenant_id, const domain::Delivery& d, Sequence first);
  void save(Connection& db);
};

using MessageKey = std::tuple<TenantId, domain::Provider, std::string>;
/// Inside a transaction: which of these provider messages have a delivery row.
std::set<MessageKey> find_known_messages(Connection& db, const std::vector<MessageKey>& wanted);

/// The provider messages that one writer has recorded in the last minutes. A status that found no
/// message was looked up less long ago, so only these can have come in between.
class RecentMessages {
 public:
  /// Their delivery rows are committed.
  void add(TenantId tenant, const std::vector<domain::Delivery>& deliveries, TimePoint now);
  /// Inside a transaction; asks the database only where more was recorded than is remembered.
  std::set<MessageKey> among(Connection& db, const std::vector<MessageKey>& wanted) const;

 private:
  struct Generation {
    std::set<MessageKey> keys;
    bool complete = true;
  };
  Generation now_, before_;
  TimePoint began_{};
};

Result<std::vector<domain::Delivery>> find_deliveries(Connection& db, TenantId tenant,
                                                      domain::Provider provider,
                                                      const std::vector<std::string>& ids,
                                                      const std::vector<Sequence>& seqs);

/// Unsettled deliveries of a contact, inside a transaction.
std::vector<domain::Delivery> load_outstanding(Connection& db, TenantId tenant, ContactId contact);

/// One message that waits to be sent, with what is to be sent.
struct Due {
  TenantId tenant_id;
  domain::Delivery delivery;
  std::string subject;
  std::string body;
};
/// A place in the order of tenants and their messages; sequence 0: the tenant is done.
using DuePlace = std::pair<TenantId, Sequence>;
struct DueList {
  std::vector<Due> items;
  DuePlace last;
  bool more = false;
};
/// Messages in `queued` or `sending` of up to `tenants` tenants behind `after`, in tenant order;
/// not those that wait for a sender that is not there. reported: also what the sandbox has accepted
/// and whose reports, which only its memory knew of, are still to come.
Result<DueList> list_due(Connection& db, DuePlace after, int tenants, bool reported);

}  // namespace sara::storage
