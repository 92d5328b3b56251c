// The INBOX protocol: committed events on their way to every live feed, in commit order. Local to
// one process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "domain/journal.hpp"
#include "messages/ids.hpp"

namespace sara::messages {

/// Event from persistence: one group commit, events in commit order, tenants mixed.
using CommittedEvents =
    std::shared_ptr<const std::vector<std::shared_ptr<const domain::JournalEvent>>>;

/// An event as the sockets get it: rendered once, shared by all.
struct FeedEvent {
  Sequence seq = 0;
  std::string head;  ///< {"type":"message.created","seq":1301
  std::string tail;  ///< ,"at":...,"data":{...}}
  domain::Marks before;
  domain::Marks after;
  bool about_conversation = false;
  std::shared_ptr<const domain::Contact> contact;
  std::string preview;
};
/// What one tenant's feeds get of one group commit.
struct FeedBatch {
  TenantId tenant_id;
  std::vector<std::shared_ptr<const FeedEvent>> events;
};
using FeedBatchPtr = std::shared_ptr<const FeedBatch>;

/// Command from an edge: send me this tenant's events from now on (or no more).
struct Listen {
  TenantId tenant_id;
  bool on = true;
};
/// Answer: everything committed after this answer was made will be sent.
struct Listening {
  bool on = true;
};

/// The INBOX actor: renders each committed event once for the edges that listen to its tenant.
using inbox_actor = caf::typed_actor<caf::reacts_to<CommittedEvents>,
                                     caf::replies_to<Listen>::with<Listening>>;

/// The feed's form of an event.
std::shared_ptr<const FeedEvent> render_event(const domain::JournalEvent& event);

}  // namespace sara::messages

CAF_BEGIN_TYPE_ID_BLOCK(sara_inbox, sara::messages::inbox_ids)
  CAF_ADD_TYPE_ID(sara_inbox, (sara::messages::CommittedEvents))
  CAF_ADD_TYPE_ID(sara_inbox, (sara::messages::FeedBatchPtr))
  CAF_ADD_TYPE_ID(sara_inbox, (sara::messages::Listen))
  CAF_ADD_TYPE_ID(sara_inbox, (sara::messages::Listening))
CAF_END_TYPE_ID_BLOCK(sara_inbox)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::CommittedEvents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::FeedBatchPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::Listen)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sara::messages::Listening)
