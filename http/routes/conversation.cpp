// Conversations and their messages.
#include "http/routes/routes.hpp"
#include "messages/view.hpp"

namespace sara::http {

using namespace messages;
using namespace domain;

namespace {

Task<Response> list_messages(Service& s, Request& r);
Task<Response> send_message(Service& s, Request& r);
Task<Response> show(Service& s, Request& r);
Task<Response> open(Service& s, Request& r);

}  // namespace

void mount_conversations(Router& router, Service& s) {
  auto with = [&s](auto function) { return [&s, function](Request& r) { return function(s, r); }; };
  router.post("/api/v1/conversations", Scope::write, Body::json, with(open));
  router.get("/api/v1/conversations/{id}", Scope::read, with(show));
  router.get("/api/v1/conversations/{id}/messages", Scope::read, with(list_messages));
  router.post("/api/v1/conversations/{id}/messages", Scope::write, Body::json, with(send_message));
}

namespace {

constexpr std::size_t body_bytes_max = 100'000;
constexpr std::size_t attachments_max = 10;

Error no_conversation() { return {Errc::not_found, "there is no such conversation", {}}; }

Result<std::vector<Attachment>> parse_attachments(json::Ref list, const std::string& pointer) {
  std::vector<Attachment> result;
  if (!list.exists() || list.is_null()) return result;
  if (!list.is_array()) return fail(invalid(pointer, "must be a list"));
  if (list.size() > attachments_max) return fail(invalid(pointer, "has more than 10 attachments"));
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto item = list.at(i);
    auto at = pointer + "/" + std::to_string(i);
    if (auto known = only_members(item, at, {"type", "url", "name", "size"}); !known)
      return fail(known.error());
    Attachment a;
    a.type = item["type"].string_or("");
    a.url = item["url"].string_or("");
    a.name = item["name"].string_or("");
    a.size_bytes = item["size"].integer().value_or(0);
    auto size = item["size"];
    if (size.exists() && !size.is_null() && (!size.integer() || a.size_bytes < 0))
      return fail(invalid(at + "/size", "must be a number of bytes"));
    if (a.type.empty() || a.type.size() > 50) return fail(invalid(at + "/type", "is required"));
    bool web = a.url.rfind("https://", 0) == 0 || a.url.rfind("http://", 0) == 0;
    if (!web || a.url.size() > 2000) return fail(invalid(at + "/url", "must be an http(s) URL"));
    if (a.name.size() > 255) return fail(invalid(at + "/name", "has more than 255 bytes"));
    result.push_back(std::move(a));
  }
  return result;
}

/// {"body","channel"?,"subject"?,"attachments"?}; pointer: where the object stands.
Result<ReplyRequest> parse_reply(json::Ref object, const std::string& pointer) {
  if (auto known = only_members(object, pointer, {"body", "channel", "subject", "attachments"});
      !known)
    return fail(known.error());
  auto at = [&](Error error) {
    for (auto& field : error.fields) field.pointer = pointer + field.pointer;
    return error;
  };
  ReplyRequest reply;
  auto body = string_member(object, "body", body_bytes_max);
  if (!body) return fail(at(body.error()));
  reply.body = *body;
  auto channel = string_member(object, "channel", 50);
  if (!channel) return fail(at(channel.error()));
  if (!channel->empty()) {
    auto parsed = parse_channel(*channel);
    if (!parsed) return fail(invalid(pointer + "/channel", "is not a channel"));
    reply.channel = *parsed;
  }
  auto subject = string_member(object, "subject", 998);
  if (!subject) return fail(at(subject.error()));
  if (subject->find_first_of("\r\n") != std::string::npos)
    return fail(invalid(pointer + "/subject", "must not hold a line break"));
  reply.subject = *subject;
  auto attachments = parse_attachments(object["attachments"], pointer + "/attachments");
  if (!attachments) return fail(attachments.error());
  reply.attachments = std::move(*attachments);
  if (reply.body.empty() && reply.attachments.empty())
    return fail(invalid(pointer + "/body", "a message needs a body or an attachment"));
  return reply;
}

Task<Response> show(Service& s, Request& r) {
  auto id = ConversationId::parse(r.param("id"));
  if (!id) co_return problem(no_conversation(), r);
  if (auto fine = only_query(r, {}); !fine) co_return problem(fine.error(), r);
  GetConversation query{r.principal->tenant_id, *id};
  auto page = co_await s.read(std::move(query));
  if (!page) co_return problem(page.error(), r);
  if ((*page)->rows.empty()) co_return problem(no_conversation(), r);
  auto& row = (*page)->rows.front();
  std::string etag = "\"" + std::to_string(row.conversation.seq) + "\"";
  Response response;
  if (r.header("if-none-match") == etag) {
    response.status = 304;
  } else {
    json::Writer w(response.body);
    write_conversation(w, r.principal->tenant_id, row.conversation, row.contact, true);
  }
  response.headers.emplace_back("ETag", etag);
  co_return response;
}

Task<Response> list_messages(Service& s, Request& r) {
  auto id = ConversationId::parse(r.param("id"));
  if (!id) co_return problem(no_conversation(), r);
  auto page = paging(r, "message", 1, {});
  if (!page) co_return problem(page.error(), r);
  ListMessages query{r.principal->tenant_id, *id, 0, page->limit};
  if (!page->cursor.empty()) {
    auto after = cursor_number(*page, 0);
    if (!after) co_return problem(after.error(), r);
    query.after = *after;
  }
  auto found = co_await s.read(std::move(query));
  if (!found) co_return problem(found.error(), r);
  if (!(*found)->found) co_return problem(no_conversation(), r);
  Response response;
  json::Writer w(response.body);
  w.begin_object().key("data").begin_array();
  for (auto& row : (*found)->rows)
    write_message(w, r.principal->tenant_id, row.entry, &row.delivery);
  w.end_array();
  std::string next;
  if ((*found)->more)
    next = make_cursor("message", {std::to_string((*found)->rows.back().entry.seq)});
  w.member_or_null("next_cursor", next).end_object();
  co_return response;
}

Task<Response> send_once(Service& s, Request& r, const Idempotency& idempotency) {
  auto doc = json::parse(r.body);
  if (!doc) co_return problem(doc.error(), r);
  auto reply = parse_reply(doc->root(), "");
  if (!reply) co_return problem(reply.error(), r);
  auto id = ConversationId::parse(r.param("id"));
  if (!id) co_return problem(no_conversation(), r);
  // The conversation chooses the integration from the published snapshot.
  auto tenant = co_await s.tenant(r.principal->tenant_id);
  if (!tenant) co_return problem(tenant.error(), r);
  SendReply command{r.principal->tenant_id, *id, std::move(*reply), idempotency};
  auto answer = co_await s.bridge.ask(s.directory, s.options.write_deadline, std::move(command));
  if (!answer) {
    auto& error = answer.error();
    co_return problem(error.code == Errc::not_found ? no_conversation() : error, r);
  }
  co_return Response::json(answer->status, std::move(answer->body));
}

Task<Response> send_message(Service& s, Request& r) {
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);
  Service::Work work = [&s, &r](const Idempotency& idempotency) {
    return send_once(s, r, idempotency);
  };
  co_return co_await s.once(r, work);
}

Task<Response> open_once(Service& s, Request& r, const Idempotency& idempotency) {
  auto doc = object_body(r, {"contact_id", "message"});
  if (!doc) co_return problem(doc.error(), r);
  auto text = string_member(doc->root(), "contact_id", 100, true);
  if (!text) co_return problem(text.error(), r);
  auto contact = ContactId::parse(*text);
  if (!contact) co_return problem(invalid("/contact_id", "is not an id"), r);
  OpenConversation command;
  command.tenant_id = r.principal->tenant_id;
  command.contact_id = *contact;
  command.idempotency = idempotency;
  auto message = doc->root()["message"];
  if (message.exists() && !message.is_null()) {
    auto reply = parse_reply(message, "/message");
    if (!reply) co_return problem(reply.error(), r);
    command.with_message = true;
    command.message = std::move(*reply);
  }
  auto tenant = co_await s.tenant(r.principal->tenant_id);
  if (!tenant) co_return problem(tenant.error(), r);
  auto answer = co_await s.bridge.ask(s.directory, s.options.write_deadline, std::move(command));
  if (!answer) {
    Error error = answer.error();
    if (error.code == Errc::not_found) error.detail = "there is no such contact";
    co_return problem(error, r);
  }
  co_return Response::json(answer->status, std::move(answer->body));
}

Task<Response> open(Service& s, Request& r) {
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);
  Service::Work work = [&s, &r](const Idempotency& idempotency) {
    return open_once(s, r, idempotency);
  };
  co_return co_await s.once(r, work);
}

}  // namespace

}  // namespace sara::http
