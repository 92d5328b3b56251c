// Group commit: many write sets in one transaction; and reading the journal back.
#pragma once

#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "domain/journal.hpp"
#include "storage/delivery.hpp"
#include "storage/inbox.hpp"
#include "storage/transaction.hpp"

namespace sara::storage {

/// Shards of the writer lease; fixed, so that two processes always contend for the same rows.
constexpr int lease_shards = 4;
int shard_of(TenantId tenant);

/// The process's right to write some shards (caf.md, section 10): taken at start, checked in each
/// transaction.
struct Lease {
  std::vector<int> shards;
  std::int64_t epoch = 0;
};
/// Takes all shards over for this process: their common epoch rises above every earlier one.
Result<std::int64_t> take_lease(Connection& connection, const std::string& holder, TimePoint now);

/// What became of one set of a group.
struct Outcome {
  Sequence first_seq = 0;               ///< 0: not written
  std::vector<std::string> duplicates;  ///< keys that are committed already
  std::vector<std::string> matched;     ///< keys of unmatched statuses whose message is there now
  bool again = false;  ///< shares a key with an earlier set of this group: put it in the next
  Error error;         ///< this set alone was refused
};

/// Writes groups for one process's share of the shards. For one thread.
class GroupWriter {
 public:
  /// What else is written through this connection is fenced by the same lease.
  GroupWriter(Connection& connection, Lease lease);

  /// One transaction for all sets; outcomes in their order. Entries get their final numbers.
  /// A group that fails on data or a conflict is repeated set by set: one tenant's bad row never
  /// fails another's. With `events`, appends what the live feed shows, in commit order.
  /// errors: unavailable - nothing was written, as far as can be known; stale - fenced
  Result<std::vector<Outcome>> commit(std::span<domain::WriteSet* const> sets, TimePoint now,
                                      std::vector<domain::JournalEvent>* events);

  /// Brings conversations to their place in the inbox's order where no commit has done it by the
  /// way. Returns true if more are waiting.
  bool tidy(TimePoint now);

 private:
  Result<void> attempt(std::span<domain::WriteSet* const> sets, std::vector<Outcome>& outcomes,
                       TimePoint now, std::vector<domain::JournalEvent>* events, bool look_first);
  Result<bool> is_there(const domain::WriteSet& set, Sequence first);
  void forget(TenantId tenant);
  void remember_messages(std::span<domain::WriteSet* const> sets,
                         const std::vector<Outcome>& outcomes, TimePoint now);
  Connection& db_;
  Lease lease_;
  std::string fence_;
  std::unordered_map<TenantId, Sequence> next_;  ///< the tenant's next number; bounded
  InboxOrder order_;
  RecentMessages recent_messages_;
  /// Groups that still look their keys up before they insert: redeliveries come in bursts.
  int look_first_ = 0;
};

/// Entries of a journal page, oldest first, as events of the feed; `last_seq` is the newest there
/// is.
Result<std::vector<domain::JournalEvent>> replay_journal(Connection& db, TenantId tenant,
                                                         Sequence after, int limit,
                                                         Sequence& last_seq);
/// Statuses that wait for a provider message id.
Result<std::vector<domain::JournalEntry>> find_unmatched(Connection& db, TenantId tenant,
                                                         domain::Provider provider,
                                                         const std::string& provider_message_id);
Result<std::vector<domain::JournalEntry>> find_entry(Connection& db, TenantId tenant,
                                                     const std::string& dedupe_key);
/// The dead-letter list, newest first. before 0: from the newest.
Result<std::vector<domain::JournalEntry>> list_failures(Connection& db, TenantId tenant,
                                                        Sequence before, int limit);
/// errors: not_found - never used, or more than 24 hours ago
Result<domain::IdempotencyRecord> find_idempotency(Connection& db, TenantId tenant,
                                                   const std::string& key, TimePoint now);

}  // namespace sara::storage
