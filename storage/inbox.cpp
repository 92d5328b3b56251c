// Rounds of small steps: a step rides in a transaction that is committed anyway.
#include "storage/inbox.hpp"

#include <algorithm>

#include "storage/array.hpp"

namespace sara::storage {

namespace {

const Query moved_since{"inbox.moved_since", R"sql(
  SELECT t, coalesce(o.listed_seq, 0), j.conversation_id
  FROM unnest($1::uuid[]) t
  LEFT JOIN conversation_order o ON o.tenant_id = t
  LEFT JOIN LATERAL (SELECT DISTINCT conversation_id FROM journal
                     WHERE tenant_id = t AND seq > coalesce(o.listed_seq, 0)
                       AND conversation_id IS NOT NULL) j ON true)sql"};

const Query list_conversations{"inbox.list", R"sql(
  UPDATE conversation c SET listed_seq = c.seq
  FROM unnest($1::uuid[], $2::uuid[]) AS x(t, i)
  WHERE c.tenant_id = x.t AND c.id = x.i AND c.listed_seq <> c.seq)sql"};

const Query save_order{"inbox.save_order", R"sql(
  INSERT INTO conversation_order (tenant_id, listed_seq)
  SELECT * FROM unnest($1::uuid[], $2::bigint[])
  ON CONFLICT (tenant_id) DO UPDATE SET listed_seq = excluded.listed_seq)sql"};

// A reader of the inbox looks through the events behind listed_up_to: that many take it some
// milliseconds.
constexpr Sequence events_behind_max = 16'384;
constexpr auto round_every = std::chrono::seconds{2};

}  // namespace

void InboxOrder::load(Connection& db, const std::vector<TenantId>& tenants) {
  Array list;
  for (auto tenant : tenants) list.add(tenant);
  if (list.empty()) return;
  for (auto row : db.run(moved_since, list.str())) {
    auto& tenant = tenants_[TenantId{to_uuid(row[0])}];
    tenant.listed_up_to = to_int(row[1]);
    if (!row[2].is_null()) tenant.moved.insert(ConversationId{to_uuid(row[2])});
  }
}

InboxOrder::Step InboxOrder::advance(Connection& db,
                                     const std::vector<std::pair<TenantId, Sequence>>& newest,
                                     std::size_t max, TimePoint now) {
  Step step;
  Array list_tenant, list_id, order_tenant, order_seq;
  for (auto& [tenant_id, last] : newest) {
    auto there = tenants_.find(tenant_id);
    if (there == tenants_.end()) continue;
    auto& tenant = there->second;
    if (tenant.round.empty()) {
      const bool far = last - tenant.listed_up_to > events_behind_max;
      const bool due = !tenant.moved.empty() && now >= tenant.next_round;
      if (!far && !due) continue;
      // This transaction's own changes are seen by the next round: it may list them too early, but
      // never count on them.
      tenant.round.assign(tenant.moved.begin(), tenant.moved.end());
      tenant.moved.clear();
      tenant.round_began_at = last;
      tenant.next_round = now + round_every;
    }
    Step::Part part{tenant_id, std::min(max, tenant.round.size()), 0};
    for (std::size_t i = tenant.round.size() - part.count; i < tenant.round.size(); ++i) {
      list_tenant.add(tenant_id);
      list_id.add(tenant.round[i]);
    }
    max -= part.count;
    if (part.count == tenant.round.size()) {
      part.listed_up_to = tenant.round_began_at;
      order_tenant.add(tenant_id);
      order_seq.add(part.listed_up_to);
    }
    step.parts.push_back(part);
    if (max == 0) break;
  }
  if (!list_id.empty()) db.run(list_conversations, list_tenant.str(), list_id.str());
  if (!order_seq.empty()) db.run(save_order, order_tenant.str(), order_seq.str());
  return step;
}

void InboxOrder::committed(const Step& step) {
  for (auto& part : step.parts) {
    auto there = tenants_.find(part.tenant_id);
    if (there == tenants_.end()) continue;
    auto& tenant = there->second;
    tenant.round.resize(tenant.round.size() - part.count);
    if (part.listed_up_to != 0) tenant.listed_up_to = part.listed_up_to;
  }
}

void InboxOrder::moved(TenantId tenant, ConversationId conversation) {
  auto there = tenants_.find(tenant);
  if (there != tenants_.end()) there->second.moved.insert(conversation);
}

std::vector<TenantId> InboxOrder::behind(std::size_t max) const {
  std::vector<TenantId> result;
  for (auto& [id, tenant] : tenants_) {
    if (tenant.moved.empty() && tenant.round.empty()) continue;
    result.push_back(id);
    if (result.size() == max) break;
  }
  return result;
}

}  // namespace sara::storage
