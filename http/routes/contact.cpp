// Contacts: made by hand here, or by their first message.
#include "http/routes/routes.hpp"
#include "messages/view.hpp"

namespace sara::http {

using namespace messages;
using namespace domain;

namespace {

Task<Response> list(Service& s, Request& r);
Task<Response> create(Service& s, Request& r);
Task<Response> show(Service& s, Request& r);

}  // namespace

void mount_contacts(Router& router, Service& s) {
  auto with = [&s](auto function) { return [&s, function](Request& r) { return function(s, r); }; };
  router.get("/api/v1/contacts", Scope::read, with(list));
  router.post("/api/v1/contacts", Scope::write, Body::json, with(create));
  router.get("/api/v1/contacts/{id}", Scope::read, with(show));
}

namespace {

Error no_contact() { return {Errc::not_found, "there is no such contact", {}}; }

Result<Contact> parse_contact(const Request& r) {
  auto doc = object_body(r, {"name", "external_id", "identities"});
  if (!doc) return fail(doc.error());
  auto root = doc->root();
  Contact contact;
  auto name = string_member(root, "name", 200);
  if (!name) return fail(name.error());
  contact.name = *name;
  auto external_id = string_member(root, "external_id", 200);
  if (!external_id) return fail(external_id.error());
  contact.external_id = *external_id;
  auto list = root["identities"];
  if (list.exists() && !list.is_array()) return fail(invalid("/identities", "must be a list"));
  if (list.size() > 20) return fail(invalid("/identities", "has more than 20 addresses"));
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto item = list.at(i);
    auto at = "/identities/" + std::to_string(i);
    if (auto known = only_members(item, at, {"channel", "address", "verified"}); !known)
      return fail(known.error());
    auto channel = parse_channel(item["channel"].string_or(""));
    if (!channel) return fail(invalid(at + "/channel", "is not a channel"));
    auto address = normalise_address(*channel, item["address"].string_or(""));
    if (!address) return fail(invalid(at + "/address", address.error().detail));
    if (item["verified"].exists() && !item["verified"].boolean())
      return fail(invalid(at + "/verified", "must be true or false"));
    for (auto& other : contact.identities)
      if (other.channel == *channel && other.address == *address)
        return fail(invalid(at, "stands twice"));
    contact.identities.push_back(
        {*channel, std::move(*address), item["verified"].boolean().value_or(false)});
  }
  if (contact.identities.empty() && contact.external_id.empty() && contact.name.empty())
    return fail(invalid("", "a contact needs a name, an external_id or an identity"));
  return contact;
}

Task<Response> create_once(Service& s, Request& r, const Idempotency& idempotency) {
  auto parsed = parse_contact(r);
  if (!parsed) co_return problem(parsed.error(), r);
  auto change = std::make_shared<RegistryChange>();
  change->kind = RegistryChange::Kind::save_contact;
  change->tenant_id = r.principal->tenant_id;
  change->contact = std::move(*parsed);
  change->contact.id = ContactId::make(s.clock.now());
  change->contact.created_at = change->contact.updated_at = s.clock.now();
  Response response;
  response.status = 201;
  {
    json::Writer w(response.body);
    write_contact(w, change->contact);
  }
  change->idempotency = {idempotency.key, idempotency.request_hash, 201, response.body};
  TenantId tenant = change->tenant_id;
  response.headers.emplace_back("Location",
                                "/api/v1/contacts/" + sara::to_string(change->contact.id));
  RegistryChangePtr command = std::move(change);
  auto saved = co_await s.bridge.ask(s.writer_of(tenant), s.options.write_deadline,
                                     std::move(command));
  if (!saved) co_return problem(saved.error(), r);
  if (saved->conflict_with) {
    Error error{Errc::conflict,
                "an identity or the external_id belongs to contact " +
                    sara::to_string(saved->conflict_with),
                {}};
    co_return problem(error, r);
  }
  co_return response;
}

Task<Response> create(Service& s, Request& r) {
  if (auto fenced = s.fenced()) co_return problem(*fenced, r);
  Service::Work work = [&s, &r](const Idempotency& idempotency) {
    return create_once(s, r, idempotency);
  };
  co_return co_await s.once(r, work);
}

Task<Response> list(Service& s, Request& r) {
  auto page = paging(r, "contact", 1, {"address", "external_id", "q"});
  if (!page) co_return problem(page.error(), r);
  ListContacts query;
  query.tenant_id = r.principal->tenant_id;
  query.text = r.query_value("q").value_or("");
  query.address = r.query_value("address").value_or("");
  query.external_id = r.query_value("external_id").value_or("");
  query.limit = page->limit;
  if (!page->cursor.empty()) {
    auto id = parse_uuid(page->cursor[0]);
    if (!id) co_return problem(invalid("?cursor", "is not a cursor of this list"), r);
    query.before = *id;
  }
  auto found = co_await s.read(std::move(query));
  if (!found) co_return problem(found.error(), r);
  Response response;
  json::Writer w(response.body);
  w.begin_object().key("data").begin_array();
  for (auto& contact : (*found)->rows) write_contact(w, contact);
  w.end_array();
  std::string next;
  if ((*found)->more)
    next = make_cursor("contact", {sara::to_string((*found)->rows.back().id)});
  w.member_or_null("next_cursor", next).end_object();
  co_return response;
}

Task<Response> show(Service& s, Request& r) {
  auto id = ContactId::parse(r.param("id"));
  if (!id) co_return problem(no_contact(), r);
  GetContact query{r.principal->tenant_id, *id};
  auto found = co_await s.read(std::move(query));
  if (!found) co_return problem(found.error(), r);
  if ((*found)->rows.empty()) co_return problem(no_contact(), r);
  Response response;
  json::Writer w(response.body);
  write_contact(w, (*found)->rows.front());
  co_return response;
}

}  // namespace

}  // namespace sara::http
