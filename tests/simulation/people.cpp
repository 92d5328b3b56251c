// Who is outside: people who write, their providers, people who answer; and what must have become
// of all they did.
#include <algorithm>

#include "messages/view.hpp"
#include "providers/channel.hpp"
#include "world.hpp"

namespace sara::simulation {

using namespace messages;
using namespace domain;

// -- what providers have to deliver ---------------------------------------------------------------

void World::somebody_writes() {
  --messages_left_;
  auto who = dice_.index(people_.size());
  auto roll = dice_.below(100);
  if (roll < 78)
    person_writes(who, dice_.index(people_[who].addresses.size()));
  else if (roll < 84)
    echo(who);
  else if (roll < 89)
    odd_event();
  else if (roll < 93)
    withdraw();
  else
    watermark(who);
}

std::size_t World::add_event(Event event) {
  saw("an event");
  event.what.raw = "raw of " + event.what.dedupe_key;
  events_.push_back(std::move(event));
  open_events_.push_back(events_.size() - 1);
  return events_.size() - 1;
}

void World::person_writes(std::size_t who, std::size_t which) {
  auto& person = people_[who];
  auto& identity = person.addresses[which];
  auto n = std::to_string(++counter_);
  Event event;
  event.tenant = person.tenant;
  bool twilio = plan_.process.tenants[person.tenant]->offers.size() > 1 &&
                identity.channel == Channel::sms && dice_.chance(0.5);
  event.provider = twilio ? Provider::twilio : Provider::sandbox;
  event.address = identity.address;
  Inbound in;
  in.channel = identity.channel;
  in.provider = event.provider;
  in.address = identity.address;
  in.provider_message_id = "m" + n;
  in.body = identity.address + "#" + n;
  if (dice_.chance(0.3)) in.profile_name = "Person " + std::to_string(who);
  if (dice_.chance(0.5))
    in.at = clock_.now() - Millis{static_cast<std::int64_t>(dice_.below(5000))};
  event.poison = !calm_ && dice_.chance(plan_.poison);
  if (event.poison) in.body += std::string("\0", 1);
  event.what.dedupe_key = std::string(dedupe_prefix(event.provider)) + in.provider_message_id;
  event.what.what = std::move(in);
  add_event(std::move(event));
}

/// Somebody of ours wrote in the provider's own inbox; reports on it follow.
void World::echo(std::size_t who) {
  auto& person = people_[who];
  auto& identity = person.addresses[dice_.index(person.addresses.size())];
  auto id = "ech" + std::to_string(++counter_);
  Event event;
  event.tenant = person.tenant;
  event.address = identity.address;
  Inbound in;
  in.echo = true;
  in.channel = identity.channel;
  in.provider = Provider::sandbox;
  in.address = identity.address;
  in.provider_message_id = id;
  in.body = "echo to " + identity.address + " " + id;
  if (dice_.chance(0.5)) in.at = clock_.now();
  event.what.dedupe_key = "x/" + id;
  event.what.what = std::move(in);
  add_event(std::move(event));
  std::vector<MessageStatus> path;
  if (dice_.chance(0.7)) path = {MessageStatus::delivered, MessageStatus::read};
  report_on(person.tenant, id, "", identity.channel, path);
}

/// Signed, and of no use.
void World::odd_event() {
  auto id = "odd" + std::to_string(++counter_);
  Event event;
  event.tenant = dice_.index(plan_.tenants);
  event.what.dedupe_key = "x/#" + id;
  if (dice_.chance(0.5))
    event.what.what = Kept{"reaction"};
  else
    event.what.what = Unusable{"cannot be read"};
  add_event(std::move(event));
}

/// A person takes one of their messages back, perhaps before it has arrived.
void World::withdraw() {
  for (int tries = 0; tries < 10 && !events_.empty(); ++tries) {
    auto& of = events_[dice_.index(events_.size())];
    auto* in = std::get_if<Inbound>(&of.what.what);
    if (in == nullptr || in->echo || of.provider != Provider::sandbox || of.poison) continue;
    Event event;
    event.tenant = of.tenant;
    event.address = of.address;
    event.what.dedupe_key = of.what.dedupe_key + ":gone";
    event.what.what =
        Retraction{in->channel, in->provider, in->address, in->provider_message_id, clock_.now()};
    if (std::any_of(events_.begin(), events_.end(), [&](const Event& e) {
          return e.what.dedupe_key == event.what.dedupe_key;
        }))
      continue;
    add_event(std::move(event));
    return;
  }
}

/// All that was sent to an address until now is delivered, or read.
void World::watermark(std::size_t who) {
  auto& person = people_[who];
  for (auto& identity : person.addresses) {
    if (identity.channel != Channel::messenger) continue;
    Event event;
    event.tenant = person.tenant;
    event.address = identity.address;
    Receipt receipt;
    receipt.channel = identity.channel;
    receipt.provider = Provider::sandbox;
    receipt.address = identity.address;
    receipt.watermark = clock_.now() - Millis{static_cast<std::int64_t>(dice_.below(3000))};
    receipt.status = dice_.pick({MessageStatus::delivered, MessageStatus::read});
    receipt.event = to_string(receipt.status);
    event.what.dedupe_key = "x/mark" + std::to_string(++counter_);
    event.what.what = std::move(receipt);
    add_event(std::move(event));
  }
}

void World::report_on(std::size_t tenant, const std::string& id, const std::string& reference,
                      Channel channel, std::vector<MessageStatus> path) {
  // What a path ends in, whatever the order in which its reports arrive.
  expected_[{id_of(tenant), id}] = path.empty() ? MessageStatus::sent : path.back();
  for (auto status : path) {
    Event event;
    event.tenant = tenant;
    Receipt receipt;
    receipt.channel = channel;
    receipt.provider = Provider::sandbox;
    receipt.provider_message_id = id;
    receipt.status = status;
    receipt.at = clock_.now();
    receipt.event = to_string(status);
    receipt.reference = reference;
    if (status == MessageStatus::failed || status == MessageStatus::bounced)
      receipt.error_code = "30003";
    receipt.key = id + ":" + receipt.event;
    event.what.dedupe_key = "x/" + receipt.key;
    event.what.what = std::move(receipt);
    add_event(std::move(event));
  }
}

// -- delivering at least once ---------------------------------------------------------------------

void World::deliver_some(bool again) {
  std::vector<std::size_t> ids;
  auto fits = [&](const Event& e) {
    return ids.empty() || (e.tenant == events_[ids.front()].tenant &&
                           e.provider == events_[ids.front()].provider);
  };
  auto most = 1 + dice_.index(6);
  for (std::size_t tries = 0; tries < 3 * most && ids.size() < most; ++tries) {
    bool old = again && dice_.chance(0.5);
    if (old ? events_.empty() : open_events_.empty()) continue;
    auto id = old ? dice_.index(events_.size()) : open_events_[dice_.index(open_events_.size())];
    auto& event = events_[id];
    // A provider that is impatient sends what is still under way.
    if (event.in_flight > 0 && !(again && dice_.chance(0.2))) continue;
    if (fits(event) && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  if (!ids.empty()) deliver(events_[ids.front()].tenant, events_[ids.front()].provider, ids);
}

void World::deliver(std::size_t tenant, Provider provider, std::vector<std::size_t> ids) {
  auto& server = some_server();
  if (server.process->fenced) return;  // It answers 503 at once.
  WebhookRequest request;
  request.tenant = id_of(tenant);
  request.provider = provider;
  request.integration = IntegrationId{
      Uuid{provider == Provider::twilio ? std::uint64_t{8} : std::uint64_t{9}, tenant + 1}};
  std::string what;
  for (auto id : ids) {
    ++events_[id].in_flight;
    request.events.push_back(events_[id].what);
    what += " " + events_[id].what.dedupe_key;
  }
  note("webhook to " + std::to_string(server.process->number) + ":" + what);
  auto number = server.process->number;
  auto first = server.commands;
  server.commands += ids.size();
  request.received = [this, number, first, ids](std::size_t i, bool duplicate) {
    if (duplicate) {
      saw("a message that is known already");
      return;
    }
    auto& event = events_[ids[i]];
    auto* entry = database_.rows(id_of(event.tenant)).with_key(event.what.dedupe_key);
    if (entry == nullptr) {
      wrong("answered before it is stored: " + event.what.dedupe_key);
      return;
    }
    // Of one person what is sent in order is stored in order.
    auto& order = order_[{number, std::to_string(event.tenant) + event.address +
                                      std::to_string(static_cast<int>(entry->channel))}];
    auto there = order.emplace(first + i, entry->seq).first;
    if ((there != order.begin() && std::prev(there)->second > entry->seq) ||
        (std::next(there) != order.end() && std::next(there)->second < entry->seq))
      wrong("stored out of order: " + event.what.dedupe_key);
  };
  auto landed = [this, ids] {
    for (auto id : ids) --events_[id].in_flight;
  };
  auto exchange = open_exchange(server, landed);
  apply_webhook(*server.process, std::move(request), [this, exchange, ids, landed](Error error) {
    if (!close_exchange(exchange)) return;
    landed();
    auto name = events_[ids.front()].what.dedupe_key;
    if (error.code != Errc::ok) {
      note("503 for " + name + ": " + std::string(to_string(error.code)));
      saw("a webhook refused as " + std::string(to_string(error.code)));
    } else if (!calm_ && dice_.chance(plan_.answer_lost)) {
      note("a lost 200 for " + name);
      saw("a lost answer");
    } else {
      note("200 for " + name);
      for (auto id : ids) acknowledged(events_[id]);
    }
  });
}

/// The provider will never send it again: it has to be there, as what it is.
void World::acknowledged(const Event& event) {
  auto id = static_cast<std::size_t>(&event - events_.data());
  auto& key = event.what.dedupe_key;
  auto* entry = database_.rows(id_of(event.tenant)).with_key(key);
  if (entry == nullptr) {
    wrong("acknowledged and not stored: " + key);
    return;
  }
  if (!events_[id].acknowledged && open_events_.front() != id) saw("an event that overtakes");
  events_[id].acknowledged = true;
  if (event.poison) saw("a message that cannot be stored");
  std::erase(open_events_, id);
  auto& what = event.what.what;
  auto kind = entry->kind;
  bool kept = kind == EventKind::webhook_kept;
  bool failed = kind == EventKind::webhook_failed;
  bool fits = false;
  if (auto* in = std::get_if<Inbound>(&what))
    fits = event.poison ? failed
                        : kind == EventKind::message_created &&
                              (entry->body == in->body || entry->body.empty());
  else if (std::holds_alternative<Receipt>(what))
    fits = kept || kind == EventKind::message_status || kind == EventKind::webhook_unmatched;
  else if (std::holds_alternative<Retraction>(what))
    fits = kept || kind == EventKind::message_retracted;
  else
    fits = std::holds_alternative<Kept>(what) ? kept : failed;
  if (!fits) wrong("stored as " + std::string(to_string(kind)) + ": " + key);
}

// -- the provider's other side --------------------------------------------------------------------

void World::accept(const SandboxSend& m, Fate::Accepted answer) {
  auto id = MessageId::parse(m.message_id);
  auto& rows = database_.rows(m.tenant_id);
  Sequence seq = id ? sequence_of(*id) : 0;
  auto row = rows.deliveries.find(seq);
  if (row == rows.deliveries.end() ||
      to_string(message_id(m.tenant_id, seq, row->second.created_at)) != m.message_id) {
    wrong("a message is sent that is not stored: " + m.message_id);
    return;
  }
  auto name = "message " + std::to_string(seq);
  if (row->second.status == MessageStatus::queued)
    wrong(name + " is sent before that is committed");
  if (rows.at(seq).body != m.body) wrong(name + " is sent with another text");
  auto& parcel = parcels_[{m.tenant_id, m.message_id}];
  if (++parcel.handed_over > 1) saw("a message handed over again");
  auto [other, fresh] = parcel_of_body_.emplace(m.body, m.message_id);
  if (!fresh && other->second != m.message_id) wrong("sent twice: " + m.body);
  bool trouble = !calm_ && dice_.chance(plan_.provider_fails);
  auto how = trouble ? dice_.below(4) : 9;
  note("the provider is given " + name);
  if (trouble) saw("a provider's trouble " + std::to_string(how));
  if (how == 0) {
    answer(fail(Errc::unavailable, "nobody there"));
    return;
  }
  if (!parcel.accepted && !parcel.refused) {
    parcel.refused = dice_.chance(0.05);
    parcel.accepted = !parcel.refused;
    if (parcel.accepted) {
      using enum MessageStatus;
      parcel.id = "p" + std::to_string(++counter_);
      std::vector<MessageStatus> path;
      auto course = dice_.below(m.channel == Channel::messenger ? 6 : 10);
      if (course < 4) path = {sent, delivered, MessageStatus::read};
      else if (course == 4) path = {sent};
      else if (course == 6) path = {sent, failed};
      else if (course == 7) path = {delivered, bounced};
      else if (course == 8) path = {delivered, complained};
      else if (course == 9) path = {delivered};
      auto report = [this, tenant = m.tenant_id.lo - 1, pid = parcel.id,
                     reference = plan_.references ? m.message_id : "", channel = m.channel, path] {
        report_on(static_cast<std::size_t>(tenant), pid, reference, channel, path);
      };
      if (plan_.statuses_early)
        report();
      else
        late_.push_back(report);
    }
  }
  auto accepted = parcel.refused ? SandboxAccepted{"", "no such number"}
                                 : SandboxAccepted{parcel.id, ""};
  if (how == 1) return;  // The answer never comes.
  if (how == 2)
    late_.push_back([answer, accepted] { answer(accepted); });
  else if (how == 3)
    answer(fail(Errc::unavailable, "the connection was lost"));
  else
    answer(accepted);
}

/// The embedded sandbox calls back, over HTTP: to whichever server listens there.
void World::post(const PostCallback& m, std::function<void(int)> answer) {
  static const auto codec =
      providers::make_codec(Provider::sandbox, {{"secret", "secret"}}, {}).value();
  auto& server = some_server();
  if (server.process->fenced || (!calm_ && dice_.chance(plan_.provider_fails / 2))) {
    answer(503);
    return;
  }
  providers::WebhookRequest posted;
  posted.method = "POST";
  posted.public_url = m.url;
  posted.content_type = "application/json";
  posted.body = m.body;
  posted.header = [&m](std::string_view name) -> std::string_view {
    return name == "X-Sandbox-Signature" ? std::string_view(m.signature) : std::string_view();
  };
  auto events = codec->receive(posted, clock_.now());
  if (!events || events->size() != 1) {
    wrong("a callback of the sandbox is not what its codec reads");
    return;
  }
  auto* receipt = std::get_if<Receipt>(&events->front().what);
  auto id = receipt ? MessageId::parse(receipt->reference) : fail(Errc::malformed, "");
  WebhookRequest request;
  for (auto& [tenant, rows] : database_.tenants) {
    if (!id) break;
    auto row = rows.deliveries.find(sequence_of(*id));
    if (row != rows.deliveries.end() &&
        message_id(tenant, row->first, row->second.created_at) == *id)
      request.tenant = tenant;
  }
  request.provider = Provider::sandbox;
  request.integration = IntegrationId{Uuid{9, request.tenant.lo}};
  request.events = std::move(*events);
  auto key = request.events.front().dedupe_key;
  note("callback " + key);
  auto exchange = open_exchange(server, [answer] { answer(0); });
  apply_webhook(*server.process, std::move(request),
                [this, exchange, answer, key, tenant = request.tenant](Error error) {
                  if (!close_exchange(exchange)) return;
                  bool lost = !calm_ && dice_.chance(plan_.answer_lost);
                  if (error.code == Errc::ok && !database_.rows(tenant).keys.contains(key))
                    wrong("acknowledged and not stored: " + key);
                  answer(lost ? 0 : error.code == Errc::ok ? 200 : 503);
                });
}

// -- people who answer ----------------------------------------------------------------------------

void World::somebody_answers() {
  --replies_left_;
  auto tenant = dice_.index(plan_.tenants);
  auto& rows = database_.rows(id_of(tenant));
  Ask ask;
  ask.tenant = tenant;
  ask.opens = dice_.chance(0.25);
  if (ask.opens) {
    ask.with_message = dice_.chance(0.6);
    if (rows.contacts.empty()) return;
    auto there = rows.contacts.begin();
    std::advance(there, static_cast<std::ptrdiff_t>(dice_.index(rows.contacts.size())));
    ask.contact = there->first;
  } else if (dice_.chance(0.05)) {
    ask.conversation = ConversationId{Uuid{7, ++counter_}};
  } else {
    if (rows.conversations.empty()) return;
    auto there = rows.conversations.begin();
    std::advance(there, static_cast<std::ptrdiff_t>(dice_.index(rows.conversations.size())));
    ask.conversation = there->first;
  }
  auto n = std::to_string(++counter_);
  ask.body = "answer " + n;
  if (dice_.chance(0.8)) ask.key = "key-" + n;
  if (dice_.chance(0.3))
    ask.channel = dice_.pick({Channel::sms, Channel::messenger, Channel::whatsapp, Channel::email});
  asks_.push_back(std::move(ask));
  try_ask(asks_.size() - 1);
}

void World::try_ask(std::size_t index) {
  auto& ask = asks_[index];
  if (ask.closed || ask.in_flight || uptime_ < ask.next_try) return;
  auto& server = some_server();
  ask.next_try = uptime_ + Millis{1 + static_cast<std::int64_t>(dice_.below(500))};
  if (server.process->fenced) return;
  ask.in_flight = true;
  saw("a request");
  note("asks for " + ask.body);
  auto give_up = [this, index] {
    auto& a = asks_[index];
    a.in_flight = false;
    // Without a key nobody can know, so nobody may ask again.
    a.closed = a.key.empty();
  };
  auto exchange = open_exchange(server, give_up);
  auto done = [this, index, exchange, give_up, &server](Result<Answered> answer) {
    if (!close_exchange(exchange)) return;
    if (!calm_ && dice_.chance(plan_.answer_lost)) {
      note("a lost answer to " + asks_[index].body);
      give_up();
      return;
    }
    asks_[index].in_flight = false;
    asked(index, std::move(answer), server);
  };
  ReplyRequest message{ask.body, ask.channel, "", {}};
  Idempotency idempotency{ask.key, ask.key.empty() ? "" : std::string(64, 'a')};
  if (ask.opens)
    send_once(*server.process,
              OpenConversation{id_of(ask.tenant), ask.contact, ask.with_message, message,
                               idempotency},
              done);
  else
    send_once(*server.process,
              SendReply{id_of(ask.tenant), ask.conversation, message, idempotency}, done);
}

void World::asked(std::size_t index, Result<Answered> answer, const Server& server) {
  auto& ask = asks_[index];
  if (!answer) {
    auto code = answer.error().code;
    note("no " + std::string(to_string(code)) + " to " + ask.body);
    bool later = code == Errc::unavailable || code == Errc::overloaded ||
                 code == Errc::idempotency_running;
    ask.closed = !later || ask.key.empty();
    if (later) return;
    saw("a request refused for good");
    if (outbound_.contains(ask.body)) wrong("refused and sent: " + ask.body);
    bool expected = code == Errc::no_channel || code == Errc::outside_messaging_window ||
                    code == Errc::invalid_argument || code == Errc::not_found;
    if (!expected) wrong("refused as " + std::string(to_string(code)) + ": " + ask.body);
    return;
  }
  note(std::to_string(answer->status) + " to " + ask.body);
  ask.closed = ask.accepted = true;
  bool made = outbound_.contains(ask.body);
  if (made != ask.with_message) wrong("answered, and its message is another matter: " + ask.body);
  if (!ask.opens && answer->body.find("\"" + ask.body + "\"") == answer->body.npos)
    wrong("answered with another message: " + ask.body);
  if (auto* record = database_.find_idempotency(id_of(ask.tenant), ask.key, clock_.now()))
    if (record->record.body != answer->body || record->record.status != answer->status)
      wrong("a repeated request would be answered otherwise: " + ask.body);
  if (ask.opens) return;
  // Whoever reads now sees it.
  auto exchange = open_exchange(server, [] {});
  server.process->ask<MessagePagePtr>(
      server.process->context.reader(), ListMessages{id_of(ask.tenant), ask.conversation, 0, 0},
      [this, exchange, body = ask.body](Result<MessagePagePtr> page) {
        if (!close_exchange(exchange) || !page) return;
        bool there = std::any_of((*page)->rows.begin(), (*page)->rows.end(),
                                 [&](const MessageRow& row) { return row.entry.body == body; });
        if (!there) wrong("answered and not to be read: " + body);
      });
}

/// Somebody types a contact in, with all its addresses, while messages may come from them.
void World::make_contact(std::size_t who) {
  auto& person = people_[who];
  auto& server = some_server();
  if (server.process->fenced) return;
  person.made = true;
  auto change = std::make_shared<RegistryChange>();
  change->kind = RegistryChange::Kind::save_contact;
  change->tenant_id = id_of(person.tenant);
  auto& contact = change->contact;
  contact.id = ContactId::make(clock_.now());
  contact.name = "Contact " + std::to_string(who);
  contact.identities = person.addresses;
  std::sort(contact.identities.begin(), contact.identities.end(),
            [](auto& a, auto& b) { return a.channel < b.channel; });
  contact.created_at = contact.updated_at = clock_.now();
  note("makes contact " + std::to_string(who));
  auto again = [this, who] { people_[who].made = false; };
  auto exchange = open_exchange(server, again);
  server.process->ask<RegistryChanged>(
      server.process->context.writer_of(change->tenant_id), RegistryChangePtr{change},
      [this, exchange, again](Result<RegistryChanged> done) {
        if (close_exchange(exchange) && !done) again();
      });
}

// -- what must have become of it ------------------------------------------------------------------

void World::committed(const std::vector<Database::Written>& written) {
  ledger_.committed(written);
  for (auto& w : written) {
    auto& tenant = w.set->tenant_id;
    if (!w.set->applied_unmatched.empty()) saw("a report that was early");
    for (auto& entry : w.set->entries) {
      mix(static_cast<std::uint64_t>(entry.seq) << 8 | static_cast<std::uint64_t>(entry.kind));
      if (entry.kind == EventKind::message_created && entry.status == MessageStatus::queued &&
          ++outbound_[entry.body] > 1)
        wrong("stored twice for one request: " + entry.body);
      // Only what the provider has taken is shown as sent.
      bool taken = entry.status == MessageStatus::sent ||
                   entry.status == MessageStatus::delivered ||
                   entry.status == MessageStatus::read;
      if (entry.kind != EventKind::message_status || !taken || plan_.process.embedded_sandbox)
        continue;
      auto seq = WriteSet::resolve(entry.subject_seq, w.first);
      auto& row = database_.rows(tenant).deliveries.at(seq);
      if (row.provider_message_id.substr(0, 3) == "ech") continue;
      auto parcel = parcels_.find({tenant, to_string(message_id(tenant, seq, row.created_at))});
      if (parcel == parcels_.end() || !parcel->second.accepted)
        wrong("message " + std::to_string(seq) + " is shown as sent and nobody has it");
    }
  }
}

void World::check_people() {
  for (auto& event : events_) {
    auto& rows = database_.rows(id_of(event.tenant));
    auto* entry = rows.with_key(event.what.dedupe_key);
    if (entry == nullptr) {
      wrong("lost: " + event.what.dedupe_key);
      continue;
    }
    if (entry->kind == EventKind::message_created) {
      auto& in = std::get<Inbound>(event.what.what);
      auto& conversation = rows.conversations.at(entry->conversation_id);
      if (database_.holder_of(id_of(event.tenant), in.channel, in.address) !=
          conversation.contact_id)
        wrong("in somebody else's conversation: " + event.what.dedupe_key);
    }
    if (entry->kind == EventKind::message_retracted && !rows.at(entry->subject_seq).body.empty())
      wrong("withdrawn and still there: " + event.what.dedupe_key);
  }
  for (auto& ask : asks_) {
    auto there = outbound_.find(ask.body);
    int count = there == outbound_.end() ? 0 : there->second;
    if (ask.accepted && ask.with_message && count != 1)
      wrong("accepted and stored " + std::to_string(count) + " times: " + ask.body);
  }
}

void World::check_statuses() {
  auto rank = [](MessageStatus s) {
    return s == MessageStatus::sent ? 1 : s == MessageStatus::delivered ? 2 : 3;
  };
  for (auto& [tenant, rows] : database_.tenants) {
    // A report that tells nothing new may go on waiting, if a crash or a failed read came between.
    for (auto& entry : rows.journal) {
      if (entry.kind != EventKind::webhook_unmatched) continue;
      auto known = rows.provider_ids.find({entry.provider, entry.subject});
      if (known != rows.provider_ids.end() &&
          rank(rows.deliveries.at(known->second).status) < rank(entry.status))
        wrong("known, and its report still waits: " + entry.dedupe_key);
    }
    for (auto& [seq, d] : rows.deliveries) {
      auto name = "message " + std::to_string(seq) + " of tenant " + std::to_string(tenant.lo);
      if (d.error_code == "sender_not_available") continue;
      bool ours = d.provider_message_id.substr(0, 3) != "ech";
      if (plan_.process.embedded_sandbox && ours) {
        if (d.status != MessageStatus::read) wrong(name + " never came to be read");
        continue;
      }
      auto expected = MessageStatus::failed;
      if (!d.provider_message_id.empty()) expected = expected_.at({tenant, d.provider_message_id});
      bool marked = d.channel == Channel::messenger && rank(d.status) >= rank(expected);
      if (d.status != expected && !marked)
        wrong(name + " is " + std::string(to_string(d.status)) + ", its provider says " +
              std::string(to_string(expected)));
    }
  }
}

}  // namespace sara::simulation
