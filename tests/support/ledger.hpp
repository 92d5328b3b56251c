// A tenant's traffic of every kind, and the account of it: what was acknowledged must be there
// once, whatever happened meanwhile; what was not may be sent again and must then be there once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/inbox.hpp"
#include "tests/support/load.hpp"
#include "tests/support/provider.hpp"

namespace sara::test {

/// What became of the requests so far.
struct Account {
  std::size_t acknowledged = 0;
  std::size_t open = 0;     ///< refused honestly, unanswered, or not sent yet
  std::size_t lost = 0;     ///< acknowledged and not there, in the tables or in the API
  std::size_t doubled = 0;  ///< there more than once
  std::size_t wrong = 0;    ///< answered as a client's fault, or as 503 without Retry-After
  std::string example;      ///< of the first that is not as it should be
  bool clean() const { return lost + doubled + wrong == 0; }
};

class Ledger {
 public:
  /// A tenant with an integration of each provider and two people in the sandbox's chat.
  /// host: whose private Postgres it is, if not the server's own.
  explicit Ledger(Server& server, const Server* host = nullptr);

  /// Writes down that many requests more, mixed: messages of all channels from old and new
  /// contacts, statuses, retractions, unusable events, replies, contacts, an integration.
  void add(std::size_t count);
  /// The requests that nobody has acknowledged, and, in the same order, what they came to.
  std::vector<Ask> open() const;
  void note(const std::vector<int>& statuses);
  /// Sends what is open until all of it is acknowledged. false: not within the time.
  bool settle(std::chrono::milliseconds at_most = std::chrono::seconds(30));
  /// Waits until the sandbox has read every reply. false: not within the time.
  bool all_read(std::chrono::milliseconds at_most = std::chrono::seconds(30)) const;

  /// Compares with the tables, by psql.
  Account account() const;
  /// Compares with what the API shows: every message and reply, every unusable event.
  Account seen();
  /// The tenant's newest event.
  std::int64_t last_seq() const;

  const Tenant& tenant() const { return shop_.tenant; }
  HttpClient& api() { return shop_.api; }
  std::size_t size() const { return lines_.size(); }

 private:
  enum class Kind { message, status, retraction, junk, reply, contact, integration };
  struct Line {
    Kind kind;
    std::string token;  ///< stands in the request and in the row that it makes
    Ask ask;
    int status = not_sent;
    bool acknowledged = false;
    int wrong = 0;  ///< an answer that it should never have had
    bool withdrawn = false;  ///< a message whose retraction is under way or done
  };
  Line make(Kind kind);
  Line message(std::size_t n, const std::string& token) const;
  Ask api_post(const std::string& target, const std::string& json, const std::string& key) const;
  std::map<std::pair<int, std::string>, int> rows() const;

  Server& server_;
  const Server& host_;
  Shop shop_;
  Twilio twilio_;
  Meta meta_;
  SendGrid sendgrid_;
  std::vector<std::string> chats_;  ///< message routes of the sandbox's conversations
  std::vector<Line> lines_;
  std::vector<std::size_t> retractable_;  ///< acknowledged Instagram messages
  std::size_t integrations_ = 0;
};

/// A live feed client as inboxes have them: whenever its socket ends it comes again and resumes
/// after what it has seen. On a thread of its own.
class Follower {
 public:
  Follower(const Server& server, std::string api_key);
  ~Follower();
  /// Waits until it has seen that event.
  bool reaches(std::int64_t seq, std::chrono::milliseconds at_most = std::chrono::seconds(20));
  /// Gaps, repetitions and errors so far, in words; "" if there are none.
  std::string complaints() const;
  std::int64_t seen() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sara::test
