// The bare loop that webhook_ingest is held against: one thread of epoll that checks the same
// signature, makes the same journal row with the same three indexes, updates the conversation row
// once a batch, and group-commits with binary COPY before it answers. It has no tenants, no
// row-level security, no redelivery, no live feed, no limits and no mercy on bad input: it is the
// floor, not a server.
//
// usage: reference_ingest DATABASE_URL WEBHOOK_URL TWILIO_TOKEN SENDGRID_PUBLIC_KEY
// Prints "listening PORT". Ends with its standard input.
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <rapidjson/document.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

using Uuid = std::array<unsigned char, 16>;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "reference_ingest: %s\n", why.c_str());
  std::_Exit(1);
}

Uuid random_uuid() {
  Uuid id;
  RAND_bytes(id.data(), static_cast<int>(id.size()));
  return id;
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// --- The database ------------------------------------------------------------------------------

constexpr const char* schema = R"sql(
  DROP TABLE IF EXISTS journal, conversation;
  CREATE TABLE journal (
    tenant_id uuid NOT NULL, seq bigint NOT NULL, at_ms bigint NOT NULL, conversation_id uuid,
    integration_id uuid, unread int, kind smallint NOT NULL, direction smallint NOT NULL,
    channel smallint NOT NULL, provider smallint NOT NULL, status smallint NOT NULL,
    dedupe_key text COLLATE "C", body text, raw bytea, PRIMARY KEY (tenant_id, seq));
  CREATE UNIQUE INDEX ON journal (tenant_id, dedupe_key) WHERE dedupe_key IS NOT NULL;
  CREATE INDEX ON journal (tenant_id, conversation_id, seq) WHERE kind = 1;
  CREATE TABLE conversation (
    tenant_id uuid NOT NULL, id uuid NOT NULL, address text NOT NULL, seq bigint NOT NULL,
    unread bigint NOT NULL, inbound_count bigint NOT NULL, updated_at_ms bigint NOT NULL,
    last_at_ms bigint NOT NULL, status smallint NOT NULL, last_preview text NOT NULL,
    PRIMARY KEY (tenant_id, id));
  CREATE INDEX ON conversation (tenant_id, seq);
)sql";

constexpr const char* copy_sql =
    "BEGIN; COPY journal (tenant_id, seq, at_ms, conversation_id, integration_id, unread, kind, "
    "direction, channel, provider, status, dedupe_key, body, raw) FROM STDIN (FORMAT binary)";

constexpr const char* upsert_sql = R"sql(
  INSERT INTO conversation
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                       $7::bigint[], $8::bigint[], $9::smallint[], $10::text[])
  ON CONFLICT (tenant_id, id) DO UPDATE SET seq = excluded.seq, unread = excluded.unread,
    inbound_count = excluded.inbound_count, updated_at_ms = excluded.updated_at_ms,
    last_at_ms = excluded.last_at_ms, status = excluded.status,
    last_preview = excluded.last_preview)sql";

/// COPY's binary format: fields in network order, each behind its length.
class Copy {
 public:
  Copy() : out_(std::string("PGCOPY\n\xff\r\n\0", 11) + std::string(8, '\0')) {}
  void row(std::uint16_t fields) { number(fields, 2); }
  void int2(std::int64_t v) { sized(v, 2); }
  void int4(std::int64_t v) { sized(v, 4); }
  void int8(std::int64_t v) { sized(v, 8); }
  void uuid(const Uuid& id) {
    number(16, 4);
    out_.append(reinterpret_cast<const char*>(id.data()), id.size());
  }
  void bytes(std::string_view text) {
    number(static_cast<std::int64_t>(text.size()), 4);
    out_ += text;
  }
  void null() { number(-1, 4); }
  const std::string& end() {
    number(-1, 2);
    return out_;
  }

 private:
  void sized(std::int64_t v, int size) {
    number(size, 4);
    number(v, size);
  }
  void number(std::int64_t v, int size) {
    for (int shift = (size - 1) * 8; shift >= 0; shift -= 8)
      out_ += static_cast<char>(static_cast<std::uint64_t>(v) >> shift);
  }
  std::string out_;
};

/// A text array literal.
struct List {
  std::string text = "{";
  void raw(std::string_view value) {
    if (text.size() > 1) text += ',';
    text += value;
  }
  void number(std::int64_t v) { raw(std::to_string(v)); }
  void quoted(std::string_view value) {
    std::string q = "\"";
    for (char c : value) {
      if (c == '"' || c == '\\') q += '\\';
      q += c;
    }
    raw(q + '"');
  }
  void uuid(const Uuid& id) {
    std::string hex;
    for (auto byte : id) {
      hex += "0123456789abcdef"[byte >> 4];
      hex += "0123456789abcdef"[byte & 15];
    }
    raw(hex);
  }
  const char* end() {
    text += '}';
    return text.c_str();
  }
};

struct Conversation {
  Uuid id;
  std::string address;
  std::int64_t seq = 0, count = 0, at = 0;
  std::string preview;
  bool in_batch = false;
};

struct Row {
  Conversation* conversation = nullptr;
  std::int64_t seq = 0, at = 0, unread = 0;
  int kind = 1, channel = 1, provider = 1;
  std::string key, body, raw;
};

class Database {
 public:
  explicit Database(const char* url) : db_(PQconnectdb(url)), tenant_(random_uuid()),
                                       integration_(random_uuid()) {
    if (PQstatus(db_) != CONNECTION_OK) die(PQerrorMessage(db_));
    done(PQexec(db_, "SET client_min_messages = warning; SET synchronous_commit = on"),
         PGRES_COMMAND_OK);
    done(PQexec(db_, schema), PGRES_COMMAND_OK);
    done(PQprepare(db_, "upsert", upsert_sql, 0, nullptr), PGRES_COMMAND_OK);
  }

  void commit(const std::vector<Row>& rows) {
    Copy copy;
    std::vector<Conversation*> changed;
    for (auto& r : rows) {
      copy.row(14);
      copy.uuid(tenant_);
      copy.int8(r.seq);
      copy.int8(r.at);
      r.conversation ? copy.uuid(r.conversation->id) : copy.null();
      copy.uuid(integration_);
      copy.int4(r.unread);
      copy.int2(r.kind);
      copy.int2(1);
      copy.int2(r.channel);
      copy.int2(r.provider);
      copy.int2(1);
      copy.bytes(r.key);
      r.body.empty() ? copy.null() : copy.bytes(r.body);
      copy.bytes(r.raw);
      if (r.conversation && !r.conversation->in_batch) {
        r.conversation->in_batch = true;
        changed.push_back(r.conversation);
      }
    }
    auto* begun = PQexec(db_, copy_sql);
    done(begun, PGRES_COPY_IN);
    auto& bytes = copy.end();
    if (PQputCopyData(db_, bytes.data(), static_cast<int>(bytes.size())) != 1 ||
        PQputCopyEnd(db_, nullptr) != 1)
      die(PQerrorMessage(db_));
    while (auto* result = PQgetResult(db_)) done(result, PGRES_COMMAND_OK);
    if (!changed.empty()) upsert(changed);
    done(PQexec(db_, "COMMIT"), PGRES_COMMAND_OK);
  }

 private:
  void upsert(const std::vector<Conversation*>& changed) {
    List tenant, id, address, seq, unread, count, updated, last, status, preview;
    for (auto* c : changed) {
      tenant.uuid(tenant_);
      id.uuid(c->id);
      address.quoted(c->address);
      seq.number(c->seq);
      unread.number(c->count);
      count.number(c->count);
      updated.number(c->at);
      last.number(c->at);
      status.number(1);
      preview.quoted(c->preview);
      c->in_batch = false;
    }
    const char* values[] = {tenant.end(), id.end(),    address.end(), seq.end(),    unread.end(),
                            count.end(),  updated.end(), last.end(),  status.end(), preview.end()};
    done(PQexecPrepared(db_, "upsert", 10, values, nullptr, nullptr, 0), PGRES_COMMAND_OK);
  }

  void done(PGresult* result, ExecStatusType wanted) {
    if (PQresultStatus(result) != wanted) die(PQerrorMessage(db_));
    PQclear(result);
  }

  PGconn* db_;
  Uuid tenant_, integration_;
};

// --- Signatures --------------------------------------------------------------------------------

std::string base64(const unsigned char* bytes, std::size_t size) {
  std::string out((size + 2) / 3 * 4 + 1, '\0');
  int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes,
                          static_cast<int>(size));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::string unescape(std::string_view text) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  return out;
}

using Form = std::vector<std::pair<std::string, std::string>>;

Form parse_form(std::string_view body) {
  Form form;
  while (!body.empty()) {
    auto pair = body.substr(0, body.find('&'));
    body.remove_prefix(std::min(body.size(), pair.size() + 1));
    auto sign = pair.find('=');
    form.emplace_back(unescape(pair.substr(0, sign)), unescape(pair.substr(sign + 1)));
  }
  std::sort(form.begin(), form.end());
  return form;
}

struct Keys {
  std::string url, token;
  EVP_PKEY* sendgrid = nullptr;

  bool twilio(const Form& form, std::string_view signature) const {
    std::string text = url;
    for (auto& [name, value] : form) text.append(name).append(value);
    unsigned char sum[20];
    unsigned size = 0;
    HMAC(EVP_sha1(), token.data(), static_cast<int>(token.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), sum, &size);
    return signature == base64(sum, size);
  }

  bool events(std::string_view body, std::string_view stamp, std::string_view signature) const {
    std::vector<unsigned char> der(signature.size());
    int n = EVP_DecodeBlock(der.data(), reinterpret_cast<const unsigned char*>(signature.data()),
                            static_cast<int>(signature.size()));
    for (auto at = signature.size(); at > 0 && signature[at - 1] == '='; --at) --n;
    auto* context = EVP_MD_CTX_new();
    bool good = n > 0 && EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, sendgrid) &&
                EVP_DigestVerifyUpdate(context, stamp.data(), stamp.size()) &&
                EVP_DigestVerifyUpdate(context, body.data(), body.size()) &&
                EVP_DigestVerifyFinal(context, der.data(), static_cast<std::size_t>(n)) == 1;
    EVP_MD_CTX_free(context);
    return good;
  }
};

// --- The loop ----------------------------------------------------------------------------------

struct Connection {
  int fd = -1;
  std::string received;
};

std::string_view header(std::string_view head, std::string_view name) {
  auto at = head.find(name);
  if (at == std::string_view::npos) return {};
  at += name.size();
  return head.substr(at, head.find("\r\n", at) - at);
}

struct Loop {
  Database database;
  Keys keys;
  std::unordered_map<std::string, Conversation> conversations;
  std::vector<Row> rows;
  std::vector<std::pair<int, int>> answers;  ///< file descriptor, status
  std::int64_t seq = 0;

  bool twilio(std::string_view head, std::string_view body) {
    auto form = parse_form(body);
    if (!keys.twilio(form, header(head, "X-Twilio-Signature: "))) return false;
    auto field = [&](std::string_view name) -> std::string& {
      static std::string none;
      for (auto& [key, value] : form)
        if (key == name) return value;
      return none;
    };
    auto& conversation = conversations[field("From")];
    if (conversation.count++ == 0) {
      conversation.id = random_uuid();
      conversation.address = field("From");
    }
    Row row;
    row.conversation = &conversation;
    row.seq = conversation.seq = ++seq;
    row.at = conversation.at = now_ms();
    row.unread = conversation.count;
    row.key = "twilio:" + field("MessageSid");
    row.body = field("Body");
    conversation.preview = row.body.substr(0, 80);
    row.raw = body;
    rows.push_back(std::move(row));
    return true;
  }

  bool sendgrid(std::string_view head, std::string_view body) {
    if (!keys.events(body, header(head, "X-Twilio-Email-Event-Webhook-Timestamp: "),
                     header(head, "X-Twilio-Email-Event-Webhook-Signature: ")))
      return false;
    rapidjson::Document document;
    document.Parse(body.data(), body.size());
    if (!document.IsArray()) return false;
    auto at = now_ms();
    const char* start = body.data();
    for (auto& event : document.GetArray()) {
      // Where an object ends is known by scanning for the next one: the bench sends flat objects.
      const char* open = std::strchr(start, '{');
      const char* close = std::strchr(open, '}');
      Row row;
      row.seq = ++seq;
      row.at = at;
      row.kind = 6;
      row.channel = 2;
      row.provider = 2;
      row.key = std::string("sendgrid:") + event["sg_event_id"].GetString();
      row.body = event["event"].GetString();
      row.raw.assign(open, close + 1);
      start = close + 1;
      rows.push_back(std::move(row));
    }
    return true;
  }

  void take(Connection& c) {
    std::string_view all = c.received;
    auto end = all.find("\r\n\r\n");
    if (end == std::string_view::npos) return;
    auto head = all.substr(0, end + 2);
    std::size_t length = 0;
    auto text = header(head, "Content-Length: ");
    std::from_chars(text.data(), text.data() + text.size(), length);
    if (all.size() < end + 4 + length) return;
    auto body = all.substr(end + 4, length);
    bool good = head.find("/sendgrid/") < head.find('\r') ? sendgrid(head, body)
                                                            : twilio(head, body);
    answers.emplace_back(c.fd, good ? 200 : 401);
    c.received.clear();
  }

  void finish_round() {
    if (!rows.empty()) database.commit(rows);
    rows.clear();
    static const std::string yes =
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 11\r\n\r\n<Response/>";
    static const std::string no = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    for (auto [fd, status] : answers) {
      auto& text = status == 200 ? yes : no;
      if (send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) continue;
    }
    answers.clear();
  }
};

int listen_somewhere() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0 || listen(fd, 4096) != 0)
    die("cannot listen");
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  std::printf("listening %d\n", ntohs(at.sin_port));
  std::fflush(stdout);
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) die("usage: DATABASE_URL WEBHOOK_URL TWILIO_TOKEN SENDGRID_PUBLIC_KEY");
  Loop loop{Database(argv[1]), {argv[2], argv[3], nullptr}, {}, {}, {}, 0};
  std::string key = argv[4];
  std::vector<unsigned char> der(key.size());
  int size = EVP_DecodeBlock(der.data(), reinterpret_cast<const unsigned char*>(key.data()),
                             static_cast<int>(key.size()));
  const unsigned char* at = der.data();
  loop.keys.sendgrid = d2i_PUBKEY(nullptr, &at, size);

  int poll = epoll_create1(EPOLL_CLOEXEC), door = listen_somewhere();
  auto watch = [&](int fd, Connection* c) {
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.ptr = c;
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &interest);
  };
  Connection at_door, at_parent;
  watch(door, &at_door);
  watch(STDIN_FILENO, &at_parent);
  std::vector<epoll_event> events(512);
  char bytes[65536];
  for (;;) {
    int n = epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      auto* c = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (c == &at_parent) return 0;
      if (c == &at_door) {
        int fd = accept4(door, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) continue;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd, new Connection{fd, {}});
        continue;
      }
      auto got = recv(c->fd, bytes, sizeof bytes, 0);
      if (got <= 0) {
        close(c->fd);
        delete c;
        continue;
      }
      c->received.append(bytes, static_cast<std::size_t>(got));
      loop.take(*c);
    }
    loop.finish_round();
  }
}
