// What the tests of domain/ share: a thread with its writer played by us, and readable effects.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "base/id.hpp"
#include "domain/conversation.hpp"
#include "domain/delivery.hpp"
#include "domain/integration.hpp"
#include "domain/journal.hpp"

namespace sara::domain {

using namespace std::chrono_literals;

inline const TimePoint noon = parse_rfc3339("2026-01-05T12:00:00Z").value();
inline const IntegrationId account{Uuid{7, 7}};
inline const IntegrationId other_account{Uuid{8, 8}};

/// Every channel goes through one provider.
struct OneRoute : RouteChooser {
  Route route{account, Provider::sandbox, true};
  mutable IntegrationId asked_for;  ///< which integration the thread wished for
  Route choose(Channel, IntegrationId carried_last_inbound) const override {
    asked_for = carried_last_inbound;
    return route;
  }
};

inline Inbound inbound(std::string body, Channel channel = Channel::whatsapp,
                       std::string address = "15550100777") {
  Inbound in;
  in.channel = channel;
  in.provider = Provider::meta;
  in.address = std::move(address);
  in.body = std::move(body);
  return in;
}

inline Inbound echo(std::string body, TimePoint at, Channel channel = Channel::messenger) {
  Inbound in = inbound(std::move(body), channel);
  in.echo = true;
  in.at = at;
  in.provider_message_id = "mid." + in.body;
  return in;
}

inline Receipt receipt(MessageStatus status, std::string provider_message_id) {
  Receipt r;
  r.channel = Channel::messenger;
  r.provider = Provider::meta;
  r.status = status;
  r.provider_message_id = std::move(provider_message_id);
  r.event = to_string(status);
  return r;
}

inline Receipt watermark(MessageStatus status, TimePoint up_to) {
  Receipt r = receipt(status, "");
  r.address = "15550100777";
  r.watermark = up_to;
  return r;
}

/// "message.created inbound open, message.status delivered"
inline std::string kinds(const WriteSet& set) {
  std::string out;
  for (auto& e : set.entries) {
    if (!out.empty()) out += ", ";
    out += to_string(e.kind);
    if (e.kind == EventKind::message_created)
      out += " " + std::string(to_string(e.direction)) + " " +
             std::string(to_string(e.after.status));
    if (e.kind == EventKind::message_status) out += " " + std::string(to_string(e.status));
  }
  return out;
}

/// One contact's thread, and a writer that commits whatever it decides.
struct Desk {
  Thread thread;
  WriteSet set;
  Sequence next = 1;
  TimePoint now = noon;
  ThreadPolicy policy;
  OneRoute routes;

  Desk() {
    auto contact = std::make_shared<Contact>();
    contact->id = ContactId{Uuid{1, 1}};
    contact->identities.push_back({Channel::whatsapp, "15550100777", true});
    thread.contact = contact;
  }

  void receive(const Inbound& in, const std::string& key = "") {
    thread.receive(in, account, key, "raw", now, policy, set);
  }
  Result<void> reply(std::string body, Channel channel = Channel::none) {
    return thread.reply({std::move(body), channel, "", {}}, routes, now, set);
  }
  int report(const Receipt& r, const Delivery* found = nullptr, const std::string& key = "") {
    return thread.report(r, found, account, key, "raw", now, set);
  }
  /// Numbers the set as a writer does, and tells what it was.
  std::string commit() {
    auto text = kinds(set);
    thread.numbered(set, next);
    next += static_cast<Sequence>(set.entries.size());
    set = {};
    return text;
  }
  const Conversation& conversation() const { return thread.conversation; }
};

inline std::string code_of(const Result<void>& result) {
  return result ? "ok" : std::string(to_string(result.error().code));
}

}  // namespace sara::domain
