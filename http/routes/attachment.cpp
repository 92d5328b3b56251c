// GET /messages/{id}/attachments/{index}: a file that came inside an inbound mail, taken from the
// kept bytes. Always a download: nothing of it may run in our origin.
#include <charconv>

#include "base/text.hpp"
#include "http/routes/routes.hpp"
#include "providers/channels/sendgrid.hpp"

namespace sara::http {

using namespace messages;

namespace {

Error no_attachment() { return {Errc::not_found, "there is no such attachment", {}}; }

Task<Response> show(Service& s, Request& r) {
  auto id = MessageId::parse(r.param("id"));
  auto number = r.param("index");
  std::size_t index = 0;
  auto [end, wrong] = std::from_chars(number.data(), number.data() + number.size(), index);
  if (!id || wrong != std::errc{} || end != number.data() + number.size())
    co_return problem(no_attachment(), r);
  auto tenant = r.principal->tenant_id;
  GetMessage query{tenant, sequence_of(*id)};
  auto found = co_await s.read(std::move(query));
  if (!found) co_return problem(found.error(), r);
  if ((*found)->rows.empty()) co_return problem(no_attachment(), r);
  auto& entry = (*found)->rows.front().entry;
  if (message_id(tenant, entry.seq, entry.at) != *id || index >= entry.attachments.size() ||
      entry.provider != domain::Provider::sendgrid)
    co_return problem(no_attachment(), r);
  auto content = providers::inbound_attachment(entry.raw, index);
  if (!content) co_return problem(no_attachment(), r);
  Response response;
  response.content_type = "application/octet-stream";
  response.body = std::move(*content);
  auto& name = entry.attachments[index].name;
  response.headers.emplace_back("Content-Disposition",
                                "attachment; filename*=UTF-8''" +
                                    sara::text::percent_encode(name.empty() ? "attachment" : name));
  response.headers.emplace_back("Content-Security-Policy", "default-src 'none'; sandbox");
  co_return response;
}

}  // namespace

void mount_attachments(Router& router, Service& s) {
  router.get("/api/v1/messages/{id}/attachments/{index}", Scope::read,
             [&s](Request& r) { return show(s, r); });
}

}  // namespace sara::http
