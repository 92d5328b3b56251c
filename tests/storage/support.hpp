// A real Postgres for the suite: started once in a folder of its own, stopped at the end. Each test
// gets a fresh schema in it, migrated as a database of its own would be.
#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "domain/journal.hpp"
#include "runtime/private_postgres.hpp"
#include "storage/conversation.hpp"
#include "storage/journal.hpp"
#include "storage/migration.hpp"
#include "storage/registry.hpp"

namespace sara::storage {

using namespace std::chrono_literals;

inline const TimePoint noon = parse_rfc3339("2026-01-05T12:00:00Z").value();

/// The value itself: a loop over a member of a temporary would outlive it.
template <class T>
T must(Result<T> result) {
  REQUIRE(result);
  return std::move(*result);
}

class Postgres {
 public:
  /// Keywords of an empty schema.
  static std::string empty() {
    static Postgres postgres;
    auto name = "test_" + std::to_string(++postgres.schemas_);
    pqxx::connection connection(postgres.url_);
    pqxx::nontransaction(connection).exec("CREATE SCHEMA " + name);
    return postgres.url_ + " options='-c search_path=" + name + "'";
  }
  static std::string migrated() {
    auto url = empty();
    if (auto done = migrate(url); !done) FAIL(done.error().detail);
    return url;
  }

 private:
  Postgres() {
    std::string made = (std::filesystem::temp_directory_path() / "sara-sql-XXXXXX").string();
    root_ = mkdtemp(made.data());
    chmod(root_.c_str(), 0755);
    auto started = runtime::PrivatePostgres::ensure(root_ / "var");
    if (!started) FAIL(started.error().detail);
    server_.emplace(std::move(*started));
    url_ = server_->connection_string();
  }
  ~Postgres() {
    // Postgres may be removing its own last files at the same time.
    std::error_code gone;
    if (server_) {
      (void)server_->stop();
      auto away = server_->cluster().parent_path();
      if (away != std::filesystem::canonical(root_ / "var"))
        std::filesystem::remove_all(away, gone);
    }
    std::filesystem::remove_all(root_, gone);
  }

  std::filesystem::path root_;
  std::optional<runtime::PrivatePostgres> server_;
  std::string url_;
  int schemas_ = 0;
};

/// A migrated schema with a tenant, and the writer of all its shards.
struct World {
  std::string url = Postgres::migrated();
  Connection db{url};
  TenantId tenant = new_tenant();
  std::int64_t epoch = take_lease(db, "test", noon).value();
  std::unique_ptr<GroupWriter> writer = std::make_unique<GroupWriter>(db, lease());
  IntegrationId account{Uuid{9, 9}};
  TimePoint now = noon;

  Lease lease() const { return {{0, 1, 2, 3}, epoch}; }
  TenantId new_tenant() {
    auto id = TenantId::make(noon);
    REQUIRE(create_tenant(db, id, "a tenant", NewApiKey::make(), noon));
    return id;
  }

  Result<std::vector<Outcome>> commit(std::vector<domain::WriteSet*> sets,
                                      std::vector<domain::JournalEvent>* events = nullptr) {
    return writer->commit(sets, now, events);
  }

  /// Raw SQL as this connection may run it; the first field of the first row, or the complaint.
  std::string sql(const std::string& statement, std::vector<TenantId> tenants) {
    std::string out;
    auto done = db.transact(tenants, false, "", [&](const pqxx::result&) {
      auto rows = db.execute(statement);
      if (!rows.empty()) out = to_string_or_empty(rows[0][0]);
    });
    return done ? out : "refused";
  }
  std::string sql(const std::string& statement) { return sql(statement, {tenant}); }
};

/// One contact of a World: decides with the real thread, stores with the real writer.
struct Person {
  World& world;
  TenantId tenant;
  std::string address;
  domain::Thread thread;
  domain::WriteSet set;

  explicit Person(World& w, std::string at = "+15550100777") : Person(w, w.tenant, std::move(at)) {}
  Person(World& w, TenantId t, std::string at) : world(w), tenant(t), address(std::move(at)) {
    auto contact = std::make_shared<domain::Contact>();
    contact->id = ContactId::make(noon);
    contact->identities.push_back({domain::Channel::sms, address, true});
    contact->created_at = contact->updated_at = noon;
    thread.contact = contact;
    set.tenant_id = tenant;
  }

  struct Route : domain::RouteChooser {
    domain::Route choose(domain::Channel, IntegrationId) const override {
      return {IntegrationId{Uuid{9, 9}}, domain::Provider::sandbox, true};
    }
  };

  domain::Inbound inbound(const std::string& body) const {
    domain::Inbound in;
    in.channel = domain::Channel::sms;
    in.provider = domain::Provider::sandbox;
    in.address = address;
    in.body = body;
    return in;
  }
  Person& says(const std::string& body, const std::string& key) {
    thread.receive(inbound(body), world.account, key, "raw " + body, world.now, {}, set);
    return *this;
  }
  Person& says(const std::string& body) { return says(body, "x/" + address + body); }
  /// We wrote elsewhere; the provider's id is the body.
  Person& echoed(const std::string& body) {
    auto in = inbound(body);
    in.echo = true;
    in.provider_message_id = body;
    thread.receive(in, world.account, "x/" + body, "raw", world.now, {}, set);
    return *this;
  }
  Person& is_answered(const std::string& body) {
    REQUIRE(thread.reply({body, domain::Channel::none, "", {}}, Route{}, world.now, set));
    return *this;
  }
  Person& is_reported(domain::MessageStatus status, const std::string& id) {
    domain::Receipt r;
    r.channel = domain::Channel::sms;
    r.provider = domain::Provider::sandbox;
    r.provider_message_id = id;
    r.status = status;
    r.event = to_string(status);
    thread.report(r, nullptr, world.account, "x/" + id + ":" + r.event, "raw", world.now, set);
    return *this;
  }
  /// Alone in a group.
  Outcome commit(std::vector<domain::JournalEvent>* events = nullptr) {
    auto done = world.commit({&set}, events);
    REQUIRE(done);
    return finish(done->front());
  }
  /// After a group that this set was part of.
  Outcome finish(const Outcome& outcome) {
    if (outcome.first_seq != 0) thread.numbered(set, outcome.first_seq);
    set = {};
    set.tenant_id = tenant;
    return outcome;
  }
};

inline domain::WriteSet unmatched(TenantId tenant, const std::string& id,
                                  domain::MessageStatus status) {
  domain::WriteSet set;
  set.tenant_id = tenant;
  domain::JournalEntry e;
  e.kind = domain::EventKind::webhook_unmatched;
  e.at = noon;
  e.channel = domain::Channel::sms;
  e.provider = domain::Provider::sandbox;
  e.status = status;
  e.subject = id;
  e.body = to_string(status);
  e.dedupe_key = "x/" + id + ":" + e.body;
  set.entries.push_back(e);
  return set;
}

}  // namespace sara::storage
