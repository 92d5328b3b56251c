// Reads: one handler per query, each a call into storage/.
#include "actors/query.hpp"

#include "messages/error.hpp"
#include "storage/conversation.hpp"
#include "storage/delivery.hpp"
#include "storage/journal.hpp"

namespace sara::actors {

using namespace messages;

namespace {

/// A storage result as the shared pointer that the protocol carries.
template <class Shared, class T>
caf::result<Shared> share(Result<T> result) {
  if (!result) return to_caf(result.error());
  return Shared{std::make_shared<T>(std::move(*result))};
}

/// The same, where "not found" is an answer: a null pointer.
template <class Shared, class T>
caf::result<Shared> share_or_null(Result<T> result) {
  if (!result && result.error().code == Errc::not_found) return Shared{};
  return share<Shared>(std::move(result));
}

/// Cuts a page that was asked for with one row too many.
template <class Row>
bool cut(std::vector<Row>& rows, int limit) {
  bool more = rows.size() > static_cast<std::size_t>(limit);
  if (more) rows.resize(static_cast<std::size_t>(limit));
  return more;
}

MessageRow to_row(storage::Message& m) { return {std::move(m.entry), std::move(m.delivery)}; }

caf::result<MessagePagePtr> page_of(Result<std::vector<storage::Message>> rows, bool found,
                                    int limit) {
  if (!rows) return to_caf(rows.error());
  auto page = std::make_shared<MessagePage>();
  page->found = found;
  page->more = cut(*rows, limit);
  for (auto& row : *rows) page->rows.push_back(to_row(row));
  return MessagePagePtr{std::move(page)};
}

caf::result<InboxPagePtr> page_of(Result<std::vector<domain::InboxRow>> rows, int limit) {
  if (!rows) return to_caf(rows.error());
  auto page = std::make_shared<InboxPage>();
  page->more = cut(*rows, limit);
  page->rows = std::move(*rows);
  return InboxPagePtr{std::move(page)};
}

caf::result<ContactPagePtr> page_of(Result<std::vector<domain::Contact>> rows, int limit) {
  if (!rows) return to_caf(rows.error());
  auto page = std::make_shared<ContactPage>();
  page->more = cut(*rows, limit);
  page->rows = std::move(*rows);
  return ContactPagePtr{std::move(page)};
}

caf::result<ReplayPtr> replay(storage::Connection& db, const ReplayJournal& q) {
  Sequence last = 0;
  auto events = storage::replay_journal(db, q.tenant_id, q.after, q.limit, last);
  if (!events) return to_caf(events.error());
  auto page = std::make_shared<Replay>();
  page->last_seq = last;
  for (auto& event : *events)
    page->events.push_back(std::make_shared<domain::JournalEvent>(std::move(event)));
  return ReplayPtr{std::move(page)};
}

caf::result<TenantPtr> tenant(storage::Connection& db, const storage::Vault& vault,
                              const GetTenant& q) {
  TenantId id = q.tenant_id;
  if (!id) {
    auto found = storage::find_endpoint(db, q.endpoint);
    if (!found && found.error().code == Errc::not_found) return TenantPtr{};
    if (!found) return to_caf(found.error());
    id = *found;
  }
  return share_or_null<TenantPtr>(storage::get_tenant(db, vault, id));
}

caf::result<DuePagePtr> due(storage::Connection& db, const storage::Vault& vault,
                            TenantRegistry& registry, const ListDue& q) {
  auto page = std::make_shared<DuePage>();
  auto due = storage::list_due(db, {q.after, q.after_seq}, q.tenants, q.reported);
  if (!due) return to_caf(due.error());
  page->last_tenant = due->last.first;
  page->last_seq = due->last.second;
  page->more = due->more;
  std::vector<TenantId> tenants;
  for (auto& d : due->items) {
    if (tenants.empty() || tenants.back() != d.tenant_id) tenants.push_back(d.tenant_id);
    page->items.push_back({d.tenant_id, std::move(d.delivery), std::move(d.subject),
                           std::move(d.body)});
  }
  if (!q.reported) return DuePagePtr{std::move(page)};
  auto snapshots = storage::get_tenants(db, vault, tenants);
  if (!snapshots) return to_caf(snapshots.error());
  for (auto& snapshot : *snapshots)
    registry.publish(std::make_shared<domain::TenantSnapshot>(std::move(snapshot)));
  return DuePagePtr{std::move(page)};
}

}  // namespace

query_actor::behavior_type query(query_actor::pointer, std::shared_ptr<storage::Connection> db,
                                 std::shared_ptr<const storage::Vault> vault,
                                 const Context* context) {
  auto* clock = context->clock;
  return {
      [db](const FindThreads& q) {
        std::vector<storage::Address> addresses;
        for (auto& key : q.keys) addresses.push_back({key.tenant_id, key.channel, key.address});
        return share<Threads>(storage::find_threads(*db, addresses));
      },
      [db](const GetThread& q) -> caf::result<ThreadPtr> {
        auto thread = storage::get_thread(*db, q.tenant_id, q.contact_id, q.conversation_id);
        if (!thread) return to_caf(thread.error());
        return *thread;
      },
      [db](const FindDeliveries& q) {
        return share<Deliveries>(storage::find_deliveries(*db, q.tenant_id, q.provider,
                                                          q.provider_message_ids, q.message_seqs));
      },
      [db](const FindUnmatched& q) {
        return share<Entries>(
            storage::find_unmatched(*db, q.tenant_id, q.provider, q.provider_message_id));
      },
      [db](const FindEntry& q) {
        return share<Entries>(storage::find_entry(*db, q.tenant_id, q.dedupe_key));
      },
      [db](const ListInbox& q) {
        storage::InboxQuery wanted{q.filter, q.sort, q.after_key, q.after_seq, q.limit + 1};
        return page_of(storage::list_inbox(*db, q.tenant_id, wanted), q.limit);
      },
      [db](const GetConversation& q) {
        return page_of(storage::get_conversation(*db, q.tenant_id, q.conversation_id), 1);
      },
      [db](const ListMessages& q) {
        bool found = false;
        auto rows = storage::list_messages(*db, q.tenant_id, q.conversation_id, q.after,
                                           q.limit + 1, found);
        return page_of(std::move(rows), found, q.limit);
      },
      [db](const GetMessage& q) {
        return page_of(storage::get_message(*db, q.tenant_id, q.seq), true, 1);
      },
      [db](const ReplayJournal& q) { return replay(*db, q); },
      [db](const ListFailures& q) {
        return share<Entries>(storage::list_failures(*db, q.tenant_id, q.before, q.limit));
      },
      [db, clock](const FindIdempotency& q) {
        return share_or_null<IdempotencyPtr>(
            storage::find_idempotency(*db, q.tenant_id, q.key, clock->now()));
      },
      [db, clock](const FindApiKey& q) -> caf::result<ApiKeyPtr> {
        auto row = storage::find_api_key(*db, q.id, clock->now());
        if (!row && row.error().code == Errc::not_found) return ApiKeyPtr{};
        if (!row) return to_caf(row.error());
        return ApiKeyPtr{std::make_shared<ApiKey>(
            ApiKey{row->id, row->tenant_id, row->role, row->secret_sha256})};
      },
      [db, vault](const GetTenant& q) { return tenant(*db, *vault, q); },
      [db](const ListContacts& q) {
        storage::ContactQuery wanted{q.text, q.address, q.external_id, q.before, q.limit + 1};
        return page_of(storage::list_contacts(*db, q.tenant_id, wanted), q.limit);
      },
      [db](const GetContact& q) {
        return page_of(storage::get_contact(*db, q.tenant_id, q.contact_id), 1);
      },
      [db, vault, context](const ListDue& q) { return due(*db, *vault, *context->tenants, q); },
      [db](const Ping&) {
        auto done = db->transact({}, true, "", [](const pqxx::result&) {});
        return Pong{done.has_value()};
      },
  };
}

}  // namespace sara::actors
