// What tests read back: inbox rows and messages as the API gives them, and the live feed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/http_client.hpp"
#include "tests/support/server.hpp"
#include "tests/support/ws_client.hpp"

namespace sara::test {

struct Row {
  std::string id;
  std::string contact_id;
  std::string contact_name;
  std::string channel;
  std::string address;  ///< of the first identity
  std::string status;
  std::string preview;
  std::int64_t unread = 0;
  std::int64_t seq = 0;
};

struct Message {
  std::string id;
  std::string conversation_id;
  std::string direction;
  std::string channel;
  std::string subject;
  std::string body;
  std::string status;
  std::string provider;
  std::string provider_message_id;
  std::int64_t seq = 0;
};

Row to_row(json::Ref row);
Message to_message(json::Ref message);

/// Every row of the inbox, all pages. `query` such as "channel=sms".
std::vector<Row> inbox(HttpClient& api, const std::string& query = {});
/// Every message of a conversation, all pages, oldest first.
std::vector<Message> messages(HttpClient& api, const std::string& conversation_id);
/// The rows of a list route, all pages, as JSON texts.
std::vector<std::string> list(HttpClient& api, const std::string& target);

/// One event of the live feed.
struct Event {
  std::string type;
  std::int64_t seq = 0;
  std::optional<std::int64_t> prev_seq;
  std::string data;  ///< JSON
};

/// A subscriber to the live feed.
class Feed {
 public:
  /// Connects with the key in the header and reads `hello`.
  Feed(std::uint16_t port, const std::string& api_key);
  /// From hello's seq if `after` is not given.
  void subscribe(std::optional<std::int64_t> after = {}, const std::string& filter = "{}");
  /// The next event; what carries no seq of the journal (mark, pong, presence) is passed over.
  std::optional<Event> next(std::chrono::milliseconds at_most = std::chrono::seconds(20));
  /// The next frame of any kind.
  std::optional<std::string> next_frame(
      std::chrono::milliseconds at_most = std::chrono::seconds(20));
  WsClient& socket() { return socket_; }

  std::int64_t hello_seq = 0;
  std::string tenant_id;

 private:
  WsClient socket_;
};

/// A tenant of its own on the shared server, with a client that speaks for it.
struct Shop {
  explicit Shop(Server& on = shared_server());
  Server& server;
  Tenant tenant;
  HttpClient api;
};

}  // namespace sara::test
