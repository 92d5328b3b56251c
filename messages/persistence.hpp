// The PERSISTENCE protocol: what is written, and the answer after its commit. Local to one process:
// its payloads are shared pointers and are never published to another node.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "domain/integration.hpp"
#include "domain/journal.hpp"
#include "messages/ids.hpp"

namespace sara::messages {

/// Answer to a write set.
struct Committed {
  Sequence first_seq = 0;  ///< of the set's first entry; 0: nothing was written
  /// Keys of the set that are committed already. If any, the set was not written.
  std::vector<std::string> duplicates;
  /// Unmatched statuses of the set whose message is known by now. If any, the set was not written.
  std::vector<std::string> matched;
};

/// A registry change: everything but the journal.
struct RegistryChange {
  enum class Kind : std::uint8_t {
    save_integration,
    delete_integration,
    save_contact,
  };
  Kind kind = Kind::save_integration;
  TenantId tenant_id;
  domain::Integration integration;
  domain::Contact contact;
  domain::IdempotencyRecord idempotency;
};
using RegistryChangePtr = std::shared_ptr<const RegistryChange>;

/// Answer to a registry change.
struct RegistryChanged {
  bool done = false;        ///< false: nothing there to delete
  /// save_contact: who has one of the identities already; nothing was saved then.
  ContactId conflict_with;
};

/// Command from the inbox: from now on, tell me of every commit (or no more). Answered in order
/// with the commits: everything committed after the answer is told.
struct WatchCommits {
  bool on = true;
};
struct Watching {
  bool on = true;
};

/// The PERSISTENCE actor: group commit. Everything that waits goes into one transaction; each
/// waiter is answered after the commit. Detached: libpqxx blocks.
using persistence_actor =
    caf::typed_actor<caf::replies_to<domain::WriteSetPtr>::with<Committed>,
                     caf::replies_to<RegistryChangePtr>::with<RegistryChanged>,
                     caf::replies_to<WatchCommits>::with<Watching>,
                     caf::reacts_to<caf::flush_atom>,
                     caf::reacts_to<caf::tick_atom>>;

}  // namespace sara::messages

CAF_BEGIN_TYPE_ID_BLOCK(sara_persistence, sara::messages::persistence_ids)
  CAF_ADD_TYPE_ID(sara_persistence, (sara::domain::WriteSetPtr))
  CAF_ADD_TYPE_ID(sara_persistence, (sara::messages::Committed))
  CAF_ADD_TYPE_ID(sara_persistence, (sara::messages::RegistryChangePtr))
  CAF_ADD_TYPE_ID(sara_persistence, (sara::messages::RegistryChanged))
  CAF_ADD_TYPE_ID(sara_persistence, (sara::messages::WatchCommits))
  CAF_ADD_TYPE_ID(sara_persistence, (sara::messages::Watching))
CAF_END_TYPE_ID_BLOCK(sara_persistence)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::domain::WriteSetPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::Committed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::RegistryChangePtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::RegistryChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::WatchCommits)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::Watching)
