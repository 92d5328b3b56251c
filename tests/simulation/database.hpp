// A database in memory that does what storage/ does with Postgres, as far as an actor can tell:
// groups that commit or fail whole, numbers without gaps, redelivery keys, the fence, idempotency
// keys, commits in doubt. differential.cpp holds it against the real one.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "domain/journal.hpp"

namespace sara::simulation {

/// What happens to one transaction.
enum class Fault {
  none,
  lost,             ///< the connection goes before COMMIT is heard: nothing is written
  doubt_confirmed,  ///< written, the answer is lost, and the look-up finds it
  doubt_open,       ///< written, the answer is lost, and nobody can be asked
  conflict,         ///< a serialization failure: a group is repeated set by set
  full,             ///< no room on the disk
};
std::string_view to_string(Fault fault);

/// What became of one set of a group: storage::Outcome.
struct Outcome {
  Sequence first_seq = 0;
  std::vector<std::string> duplicates;
  std::vector<std::string> matched;
  bool again = false;
  Error error;
};

class Database {
 public:
  struct Answered {
    domain::IdempotencyRecord record;
    TimePoint at{};
  };
  /// One tenant's rows.
  struct Rows {
    std::vector<domain::JournalEntry> journal;  ///< the entry of seq n stands at n - 1
    std::map<std::string, Sequence> keys;
    std::map<ContactId, domain::Contact> contacts;
    std::map<std::pair<domain::Channel, std::string>, ContactId> addresses;
    std::map<ConversationId, domain::Conversation> conversations;
    std::map<Sequence, domain::Delivery> deliveries;
    std::map<std::pair<domain::Provider, std::string>, Sequence> provider_ids;
    std::map<std::string, Answered> answered;
    std::set<Sequence> failures;

    Sequence last() const { return static_cast<Sequence>(journal.size()); }
    const domain::JournalEntry& at(Sequence seq) const {
      return journal.at(static_cast<std::size_t>(seq - 1));
    }
    const domain::JournalEntry* with_key(const std::string& key) const {
      auto there = keys.find(key);
      return there == keys.end() ? nullptr : &at(there->second);
    }
  };
  /// A set that has just been committed, and the number of its first entry.
  struct Written {
    const domain::WriteSet* set;
    Sequence first = 0;
  };

  std::map<TenantId, Rows> tenants;
  bool up = true;
  std::int64_t epoch = 0;
  std::uint64_t conflicts = 0;  ///< transactions that met what another had written
  /// Called after each transaction that wrote something.
  std::function<void(const std::vector<Written>&)> committed;

  const Rows& rows(TenantId tenant) const { return tenants.at(tenant); }
  /// Every earlier holder is refused from now on.
  std::int64_t take_lease() { return ++epoch; }

  /// storage::GroupWriter::commit; the fault strikes its first transaction.
  Result<std::vector<Outcome>> commit(std::int64_t holder,
                                      std::span<domain::WriteSet* const> sets, TimePoint now,
                                      std::vector<domain::JournalEvent>* events,
                                      Fault fault = Fault::none);
  /// storage::create_contact
  Result<ContactId> create_contact(std::int64_t holder, TenantId tenant,
                                   const domain::Contact& contact);

  // The reads of storage/, each of one moment.
  std::shared_ptr<const domain::Contact> contact(TenantId tenant, ContactId id) const;
  /// Conversation and outstanding messages of a contact that was read before: Postgres shows each
  /// statement the newest commits.
  std::shared_ptr<const domain::Thread> thread(
      TenantId tenant, const std::shared_ptr<const domain::Contact>& contact) const;
  ContactId holder_of(TenantId tenant, domain::Channel channel, const std::string& address) const;
  std::vector<domain::Delivery> find_deliveries(TenantId tenant, domain::Provider provider,
                                                const std::vector<std::string>& ids,
                                                const std::vector<Sequence>& seqs) const;
  std::vector<domain::JournalEntry> find_unmatched(TenantId tenant, domain::Provider provider,
                                                   const std::string& id) const;
  std::vector<domain::JournalEvent> replay(TenantId tenant, Sequence after, int limit) const;
  const Answered* find_idempotency(TenantId tenant, const std::string& key, TimePoint now) const;

 private:
  enum class Failure { none, data, conflict };
  Failure judge(std::span<domain::WriteSet* const> sets,
                const std::vector<Outcome>& outcomes) const;
  void decide(std::span<domain::WriteSet* const> sets, TimePoint now,
              std::vector<Outcome>& outcomes);
  void apply(std::span<domain::WriteSet* const> sets, const std::vector<Outcome>& outcomes,
             TimePoint now, std::vector<domain::JournalEvent>* events);
  void attach(domain::JournalEvent& event) const;
};

}  // namespace sara::simulation
