// The inbox list, the live feed's entrance, and the dead-letter list.
#include "http/routes/routes.hpp"
#include "messages/view.hpp"

namespace sara::http {

using namespace messages;
using namespace domain;

namespace {

Task<Response> list(Service& s, Request& r);
Task<Response> failures(Service& s, Request& r);
Task<Response> ticket(FeedHub& hub, Request& r);

}  // namespace

void mount_inbox(Router& router, Service& s, FeedHub& hub) {
  auto with = [&s](auto function) { return [&s, function](Request& r) { return function(s, r); }; };
  router.get("/api/v1/responses/inbox", Scope::read, with(list));
  router.get("/api/v1/conversations", Scope::read, with(list));
  router.get("/api/v1/webhook-failures", Scope::credential, with(failures));
  router.websocket("/api/v1/inbox/live",
                   [&hub](Handover connection) { return hub.serve(std::move(connection)); },
                   Scope::read);
  router.post("/api/v1/inbox/live/tickets", Scope::read, Body::none,
              [&hub](Request& r) { return ticket(hub, r); });
}

namespace {

Result<InboxSort> parse_sort(std::string_view name) {
  if (name == "newest") return InboxSort::newest;
  if (name == "oldest") return InboxSort::oldest;
  if (name == "sla_due") return InboxSort::sla_due;
  if (name == "urgency") return InboxSort::urgency;
  return fail(invalid("?sort", "must be newest, oldest, sla_due or urgency"));
}

int urgency_rank(std::string_view urgency) {
  return urgency == "critical" ? 4 : urgency == "high" ? 3 : urgency == "medium" ? 2
         : urgency == "low"    ? 1
                               : 0;
}

/// What the order's key is for a row: the same as in storage/.
std::int64_t sort_key(InboxSort sort, const Conversation& c) {
  if (sort == InboxSort::urgency) return urgency_rank(c.marks.urgency);
  if (sort != InboxSort::sla_due) return 0;
  return known(c.marks.sla_due_at) ? to_millis(c.marks.sla_due_at) : 9'000'000'000'000'000;
}

Task<Response> list(Service& s, Request& r) {
  auto page = paging(r, "inbox", 3,
                     {"status", "channel", "intent", "urgency", "assigned_to", "flagged", "sla",
                      "label", "q", "sort"});
  if (!page) co_return problem(page.error(), r);
  ListInbox query;
  query.tenant_id = r.principal->tenant_id;
  query.limit = page->limit;
  for (auto& [name, value] : r.query) {
    if (name == "limit" || name == "cursor") continue;
    if (name == "sort") {
      auto sort = parse_sort(value);
      if (!sort) co_return problem(sort.error(), r);
      query.sort = *sort;
    } else if (auto set = set_filter(query.filter, name, value, r.principal->key_id); !set) {
      co_return problem(set.error(), r);
    }
  }
  std::string order(std::to_string(static_cast<int>(query.sort)));
  if (!page->cursor.empty()) {
    auto key = cursor_number(*page, 1);
    auto seq = cursor_number(*page, 2);
    query.after_key = key.value_or(0);
    query.after_seq = seq.value_or(0);
    if (page->cursor[0] != order || !key || query.after_seq <= 0)
      co_return problem(invalid("?cursor", "is not a cursor of this list and order"), r);
  }
  auto sort = query.sort;
  auto found = co_await s.read(std::move(query));
  if (!found) co_return problem(found.error(), r);
  Response response;
  json::Writer w(response.body);
  w.begin_object().key("data").begin_array();
  for (auto& row : (*found)->rows)
    write_conversation(w, r.principal->tenant_id, row.conversation, row.contact);
  w.end_array();
  std::string next;
  if ((*found)->more) {
    auto& last = (*found)->rows.back().conversation;
    next = make_cursor("inbox", {order, std::to_string(sort_key(sort, last)),
                                 std::to_string(last.seq)});
  }
  w.member_or_null("next_cursor", next).end_object();
  co_return response;
}

Task<Response> failures(Service& s, Request& r) {
  auto page = paging(r, "failure", 1, {});
  if (!page) co_return problem(page.error(), r);
  ListFailures query{r.principal->tenant_id, 0, page->limit + 1};
  if (!page->cursor.empty()) {
    auto before = cursor_number(*page, 0);
    if (!before) co_return problem(before.error(), r);
    query.before = *before;
  }
  auto found = co_await s.read(std::move(query));
  if (!found) co_return problem(found.error(), r);
  auto& entries = **found;
  auto shown = std::min(entries.size(), static_cast<std::size_t>(page->limit));
  Response response;
  json::Writer w(response.body);
  w.begin_object().key("data").begin_array();
  for (std::size_t i = 0; i < shown; ++i) write_failure(w, entries[i]);
  w.end_array();
  std::string next;
  if (entries.size() > shown)
    next = make_cursor("failure", {std::to_string(entries[shown - 1].seq)});
  w.member_or_null("next_cursor", next).end_object();
  co_return response;
}

Task<Response> ticket(FeedHub& hub, Request& r) {
  TimePoint expires_at;
  auto text = hub.make_ticket(*r.principal, expires_at);
  Response response;
  response.status = 201;
  json::Writer w(response.body);
  w.begin_object().member("ticket", text).member("expires_at", to_rfc3339(expires_at)).end_object();
  co_return response;
}

}  // namespace

}  // namespace sara::http
