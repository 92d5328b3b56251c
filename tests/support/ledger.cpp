// Making, noting and counting of traffic.
#include "tests/support/ledger.hpp"

#include <condition_variable>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/cluster.hpp"

namespace sara::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t old_contacts = 24;
constexpr std::size_t integrations_max = 150;

// Kinds of the journal's rows, and two of ours for what stands in other tables.
constexpr int message_row = 1;
constexpr int retraction_row = 4;
constexpr int unmatched_row = 6;
constexpr int failed_row = 7;
constexpr int contact_row = 100;
constexpr int integration_row = 101;

std::string token_of(std::size_t n) { return "tok" + std::to_string(n) + "x"; }

std::string chat_with(HttpClient& api, const std::string& name) {
  auto contact = api.post("/api/v1/contacts",
                          "{\"name\":" + quoted(name) +
                              ",\"identities\":[{\"channel\":\"chat\",\"address\":" +
                              quoted(name) + "}]}");
  auto id = contact.json().root()["id"].dump();
  auto opened = api.post("/api/v1/conversations", "{\"contact_id\":" + id + "}");
  auto conversation = std::string(opened.json().root()["id"].string_or(""));
  if (conversation.empty()) throw std::runtime_error("no chat: " + opened.body);
  return "/api/v1/conversations/" + conversation + "/messages";
}

}  // namespace

Ledger::Ledger(Server& server, const Server* host)
    : server_(server),
      host_(host == nullptr ? server : *host),
      shop_(server),
      twilio_(shop_.api),
      meta_(shop_.api),
      sendgrid_(shop_.api) {
  make_sandbox(shop_.api, R"({"latency_ms":60})");
  for (auto* name : {"ana", "ben"}) chats_.push_back(chat_with(shop_.api, name));
}

Ask Ledger::api_post(const std::string& target, const std::string& json,
                     const std::string& key) const {
  return {"POST",
          target,
          json,
          {{"Content-Type", "application/json"},
           {"Authorization", "Bearer " + shop_.tenant.api_key},
           {"Idempotency-Key", key}}};
}

/// One on each channel in turn; every seventh from somebody new.
Ledger::Line Ledger::message(std::size_t n, const std::string& token) const {
  auto who = std::to_string(n % 7 == 0 ? 1'000'000 + n : 1000 + n % old_contacts);
  Ask ask;
  switch (n % 6) {
    case 0: ask = meta_.whatsapp("1555" + who, "wamid." + token, token); break;
    case 1: ask = meta_.messenger("4000" + who, "m_" + token, token); break;
    case 2: ask = meta_.instagram("5000" + who, "ig_" + token, token); break;
    case 3:
      ask = sendgrid_.mail(SendGrid::mail_parts("ana" + who + "@example.com", "About " + token,
                                                token, token + "@mail"));
      break;
    default: ask = twilio_.message("SM" + token, "+1555" + who, token);
  }
  return {.kind = Kind::message, .token = token, .ask = ask};
}

Ledger::Line Ledger::make(Kind kind) {
  auto n = lines_.size();
  auto token = token_of(n);
  Line line{.kind = kind, .token = token, .ask = {}};
  switch (kind) {
    case Kind::message: return message(n, token);
    case Kind::status:
      line.ask = n % 3 == 0   ? twilio_.status("SM" + token, "delivered")
                 : n % 3 == 1 ? meta_.whatsapp_status("15550100777", "wamid." + token, "read")
                              : sendgrid_.events("[{\"email\":\"ana@example.com\",\"timestamp\":" +
                                                 std::to_string(now_ms() / 1000) +
                                                 ",\"event\":\"delivered\",\"sg_message_id\":\"" +
                                                 token + "\",\"sg_event_id\":\"" + token + "\"}]");
      break;
    case Kind::junk: line.ask = meta_.signed_body("{\"object\":\"page\",\"" + token); break;
    case Kind::retraction: {
      auto& old = lines_[retractable_.back()];
      retractable_.pop_back();
      old.withdrawn = true;
      line.token = old.token;
      auto who = std::to_string(1000 + (&old - lines_.data()) % static_cast<long>(old_contacts));
      line.ask = meta_.signed_body(
          R"({"object":"instagram","entry":[{"id":)" + quoted(meta_.instagram_id) +
          ",\"time\":" + std::to_string(now_ms()) + R"(,"messaging":[{"sender":{"id":"5000)" +
          who + R"("},"recipient":{"id":)" + quoted(meta_.instagram_id) + "},\"timestamp\":" +
          std::to_string(now_ms()) + R"(,"message":{"mid":"ig_)" + line.token +
          R"(","is_deleted":true}}]}]})");
      break;
    }
    case Kind::reply:
      line.ask = api_post(chats_[n % chats_.size()], "{\"body\":\"" + token + "\"}", token);
      break;
    case Kind::contact:
      line.ask = api_post("/api/v1/contacts",
                          "{\"name\":\"" + token +
                              R"(","identities":[{"channel":"sms","address":"+1556)" +
                              std::to_string(1'000'000 + n) + "\"}]}",
                          token);
      break;
    case Kind::integration:
      line.ask = api_post("/api/v1/integrations",
                          "{\"provider\":\"twilio\",\"name\":\"" + token +
                              R"(","credentials":{"account_sid":)" + quoted(twilio_.account_sid) +
                              ",\"auth_token\":" + quoted(twilio_.auth_token) +
                              R"(},"settings":{"from":"+15550100009"}})",
                          token);
      break;
  }
  return line;
}

void Ledger::add(std::size_t count) {
  if (integrations_ < integrations_max) {
    ++integrations_;
    lines_.push_back(make(Kind::integration));
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto kind = i % 20 == 3                              ? Kind::junk
                : i % 20 == 7                            ? Kind::contact
                : i % 10 == 5 && !retractable_.empty()   ? Kind::retraction
                : i % 5 == 1                             ? Kind::reply
                : i % 5 == 2                             ? Kind::status
                                                         : Kind::message;
    auto line = make(kind);
    lines_.push_back(std::move(line));
  }
}

std::vector<Ask> Ledger::open() const {
  std::vector<Ask> asks;
  for (auto& line : lines_)
    if (!line.acknowledged) asks.push_back(line.ask);
  return asks;
}

void Ledger::note(const std::vector<int>& statuses) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    auto& line = lines_[i];
    if (line.acknowledged) continue;
    if (next == statuses.size()) throw std::logic_error("more is open than was sent");
    line.status = statuses[next++];
    line.acknowledged = line.status / 100 == 2;
    bool api = line.kind >= Kind::reply;
    bool honest = line.acknowledged || line.status == 503 || line.status == no_answer ||
                  line.status == not_sent || (api && line.status == 409);
    if (!honest) line.wrong = line.status;
    bool instagram = line.ask.body.find("\"ig_tok") != std::string::npos;
    if (line.acknowledged && line.kind == Kind::message && instagram && i % 7 != 0)
      retractable_.push_back(i);
  }
}

bool Ledger::settle(std::chrono::milliseconds at_most) {
  return eventually(at_most, [this] {
    auto asks = open();
    note(send_all({.port = server_.port(), .connections = 8, .at_most = 30s}, asks));
    return open().empty();
  });
}

bool Ledger::all_read(std::chrono::milliseconds at_most) const {
  return eventually(at_most, [this] {
    return Cluster(host_.data_dir())
               .sql("SELECT count(*) FROM delivery WHERE status <> 5 AND tenant_id = '" +
                    shop_.tenant.id + "'") == "0\n";
  });
}

std::map<std::pair<int, std::string>, int> Ledger::rows() const {
  auto mine = " WHERE tenant_id = '" + shop_.tenant.id + "'";
  auto text = Cluster(host_.data_dir()).sql(
      "SELECT kind, token, count(DISTINCT seq) FROM journal, LATERAL (SELECT (regexp_matches("
      "concat_ws(' ', dedupe_key, subject, body, encode(raw, 'escape')), 'tok[0-9]+x', 'g'))[1]"
      " AS token) t" + mine + " GROUP BY 1, 2 UNION ALL "
      "SELECT " + std::to_string(contact_row) + ", name, count(*) FROM contact" + mine +
      " AND name ~ '^tok' GROUP BY 2 UNION ALL "
      "SELECT " + std::to_string(integration_row) + ", name, count(*) FROM integration" + mine +
      " AND name ~ '^tok' GROUP BY 2");
  std::map<std::pair<int, std::string>, int> found;
  std::istringstream lines(text);
  int kind = 0, count = 0;
  for (std::string token; lines >> kind >> token >> count;) found[{kind, token}] = count;
  return found;
}

Account Ledger::account() const {
  auto found = rows();
  auto row_of = [](Kind kind) {
    switch (kind) {
      case Kind::message:
      case Kind::reply: return message_row;
      case Kind::status: return unmatched_row;
      case Kind::retraction: return retraction_row;
      case Kind::junk: return failed_row;
      case Kind::contact: return contact_row;
      default: return integration_row;
    }
  };
  Account sum;
  for (auto& line : lines_) {
    auto there = found.find({row_of(line.kind), line.token});
    int times = there == found.end() ? 0 : there->second;
    sum.acknowledged += line.acknowledged;
    sum.open += !line.acknowledged;
    sum.lost += line.acknowledged && times == 0;
    sum.doubled += times > 1;
    sum.wrong += line.wrong != 0 || (line.status == not_sent && times > 0);
    bool bad = (line.acknowledged && times == 0) || times > 1 || line.wrong != 0;
    if (bad && sum.example.empty())
      sum.example = line.token + " of kind " + std::to_string(row_of(line.kind)) + ", answered " +
                    std::to_string(line.status) + ", wrongly " + std::to_string(line.wrong) +
                    ", stands " + std::to_string(times) + " times";
  }
  return sum;
}

Account Ledger::seen() {
  std::map<std::string, int> bodies;
  for (auto& row : inbox(shop_.api))
    for (auto& message : messages(shop_.api, row.id)) ++bodies[message.body];
  auto failures = list(shop_.api, "/api/v1/webhook-failures").size();
  Account sum;
  std::size_t junk = 0;
  for (auto& line : lines_) {
    if (!line.acknowledged) continue;
    junk += line.kind == Kind::junk;
    if ((line.kind != Kind::message && line.kind != Kind::reply) || line.withdrawn) continue;
    auto there = bodies.find(line.token);
    int times = there == bodies.end() ? 0 : there->second;
    ++sum.acknowledged;
    sum.lost += times == 0;
    sum.doubled += times > 1;
    if (times != 1 && sum.example.empty())
      sum.example = line.token + " is shown " + std::to_string(times) + " times";
  }
  if (failures < junk) sum.lost += junk - failures;
  return sum;
}

std::int64_t Ledger::last_seq() const {
  return std::stoll(Cluster(host_.data_dir())
                        .sql("SELECT coalesce(max(seq), 0) FROM journal WHERE tenant_id = '" +
                             shop_.tenant.id + "'"));
}

struct Follower::Impl {
  Impl(std::uint16_t p, std::string k) : port(p), key(std::move(k)) {}

  std::uint16_t port;  ///< the server keeps it over its restarts
  std::string key;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::int64_t last = 0;
  std::string complaints;
  std::set<std::string> statuses;  ///< "<message> <status>" that were told
  bool stopping = false;
  std::thread thread;

  void complain(const std::string& text) {
    std::lock_guard lock(mutex);
    if (complaints.size() < 2000) complaints += text + "\n";
  }

  bool stops(std::chrono::milliseconds pause) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, pause, [this] { return stopping; });
    return stopping;
  }

  void take(const json::Ref& frame, std::int64_t seq) {
    if (seq != last + 1)
      complain("event " + std::to_string(seq) + " after " + std::to_string(last));
    if (frame["type"].string_or("") == "message.status") {
      auto data = frame["data"];
      auto told = std::string(data["id"].string_or("")) + " " +
                  std::string(data["status"].string_or(""));
      if (!statuses.insert(told).second) complain("told twice: " + told);
    }
    std::lock_guard lock(mutex);
    last = seq;
    changed.notify_all();
  }

  /// Until the socket ends.
  void listen() {
    Feed feed(port, key);
    feed.subscribe(last);
    while (!stops(0ms)) {
      auto text = feed.next_frame(50ms);
      if (!text) {
        if (feed.socket().close_code(0ms) != 0) return;
        continue;
      }
      auto frame = json::parse(*text);
      if (!frame) return complain("no JSON: " + *text);
      auto type = frame->root()["type"].string_or("");
      auto seq = frame->root()["seq"].integer();
      if (type == "resync") feed.subscribe(last);
      else if (type == "error") complain(*text);
      else if (seq && frame->root()["data"].exists()) take(frame->root(), *seq);
    }
  }

  void run() {
    do {
      try {
        listen();
      } catch (const std::exception&) {
        // The server is away: it comes again.
      }
    } while (!stops(20ms));
  }
};

Follower::Follower(const Server& server, std::string api_key)
    : impl_(std::make_unique<Impl>(server.port(), std::move(api_key))) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

Follower::~Follower() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();
}

bool Follower::reaches(std::int64_t seq, std::chrono::milliseconds at_most) {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, at_most, [&] { return impl_->last >= seq; });
}

std::string Follower::complaints() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->complaints;
}

std::int64_t Follower::seen() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->last;
}

}  // namespace sara::test
