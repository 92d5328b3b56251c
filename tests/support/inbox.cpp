// Reading back, page by page, and listening.
#include "tests/support/inbox.hpp"

#include <stdexcept>

#include "base/text.hpp"
#include "tests/support/provider.hpp"

namespace sara::test {
namespace {

std::string text_of(json::Ref value) {
  return std::string(value.string_or(""));
}
std::int64_t number_of(json::Ref value) {
  return value.integer().value_or(-1);
}

}  // namespace

Row to_row(json::Ref row) {
  return {.id = text_of(row["id"]),
          .contact_id = text_of(row["contact"]["id"]),
          .contact_name = text_of(row["contact"]["name"]),
          .channel = text_of(row["channel"]),
          .address = text_of(row["contact"]["identities"].at(0)["address"]),
          .status = text_of(row["status"]),
          .preview = text_of(row["last_message"]["preview"]),
          .unread = number_of(row["unread"]),
          .seq = number_of(row["seq"])};
}

Message to_message(json::Ref message) {
  return {.id = text_of(message["id"]),
          .conversation_id = text_of(message["conversation_id"]),
          .direction = text_of(message["direction"]),
          .channel = text_of(message["channel"]),
          .subject = text_of(message["subject"]),
          .body = text_of(message["body"]),
          .status = text_of(message["status"]),
          .provider = text_of(message["provider"]),
          .provider_message_id = text_of(message["provider_message_id"]),
          .seq = number_of(message["seq"])};
}

std::vector<std::string> list(HttpClient& api, const std::string& target) {
  std::vector<std::string> all;
  std::string cursor;
  do {
    auto page = target + (target.find('?') == std::string::npos ? "?" : "&") + "limit=200";
    if (!cursor.empty()) page += "&cursor=" + text::percent_encode(cursor);
    auto answer = api.get(page);
    if (answer.status != 200)
      throw std::runtime_error(page + ": " + std::to_string(answer.status) + " " + answer.body);
    auto document = answer.json();
    auto data = document.root()["data"];
    for (std::size_t i = 0; i < data.size(); ++i) all.push_back(data.at(i).dump());
    cursor = text_of(document.root()["next_cursor"]);
  } while (!cursor.empty());
  return all;
}

std::vector<Row> inbox(HttpClient& api, const std::string& query) {
  std::vector<Row> rows;
  for (auto& text : list(api, "/api/v1/responses/inbox" + (query.empty() ? "" : "?" + query)))
    rows.push_back(to_row(json::parse(text)->root()));
  return rows;
}

std::vector<Message> messages(HttpClient& api, const std::string& conversation_id) {
  std::vector<Message> all;
  for (auto& text : list(api, "/api/v1/conversations/" + conversation_id + "/messages"))
    all.push_back(to_message(json::parse(text)->root()));
  return all;
}

Feed::Feed(std::uint16_t port, const std::string& api_key)
    : socket_(port, "/api/v1/inbox/live", {{"Authorization", "Bearer " + api_key}}) {
  auto frame = socket_.receive();
  if (!frame) throw std::runtime_error("the feed says nothing");
  auto hello = json::parse(*frame);
  if (!hello || hello->root()["type"].string_or("") != "hello")
    throw std::runtime_error("no hello: " + *frame);
  hello_seq = number_of(hello->root()["seq"]);
  tenant_id = text_of(hello->root()["tenant_id"]);
}

void Feed::subscribe(std::optional<std::int64_t> after, const std::string& filter) {
  socket_.send("{\"type\":\"subscribe\",\"filter\":" + filter +
               ",\"after\":" + std::to_string(after.value_or(hello_seq)) + "}");
}

std::optional<std::string> Feed::next_frame(std::chrono::milliseconds at_most) {
  return socket_.receive(at_most);
}

std::optional<Event> Feed::next(std::chrono::milliseconds at_most) {
  auto deadline = within(at_most);
  while (Clock::now() < deadline) {
    auto frame = socket_.receive(
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()));
    if (!frame) return std::nullopt;
    auto document = json::parse(*frame);
    if (!document) throw std::runtime_error("a frame that is no JSON: " + *frame);
    auto root = document->root();
    if (!root["data"].exists() || !root["seq"].exists()) continue;
    return Event{text_of(root["type"]), number_of(root["seq"]), root["prev_seq"].integer(),
                 root["data"].dump()};
  }
  return std::nullopt;
}

Shop::Shop(Server& on)
    : server(on), tenant(on.make_tenant("Boutique " + unique())), api(on.port(), tenant.api_key) {}

}  // namespace sara::test
