// Listen, then ask where the journal stands, replay up to the present, go live.
#include "feed.hpp"

#include "messages/inbox.hpp"

namespace sara::simulation {

using namespace messages;

void FeedClient::take(const FeedEvent& event, const Database::Rows& rows) {
  auto wrong = [&](const std::string& what) {
    if (violation.empty())
      violation = "a feed that has seen " + std::to_string(seen) + " " + what + " " +
                  std::to_string(event.seq);
  };
  if (event.seq > rows.last()) {
    wrong("is told before the commit of");
    return;
  }
  if (event.seq != seen + 1) wrong("is given");
  auto& row = rows.at(event.seq);
  // An unmatched report that has been applied since is kept: its kind alone may change.
  bool waits = row.kind == domain::EventKind::webhook_kept && !row.dedupe_key.empty();
  auto head = "{\"type\":\"" + std::string(to_string(row.kind)) + "\",\"seq\":" +
              std::to_string(row.seq);
  if (event.head != head && !waits) wrong("is told another story of");
  // Content that was withdrawn meanwhile is gone from the row.
  if (row.kind == domain::EventKind::message_created && !row.body.empty() &&
      event.tail.find(row.body) == event.tail.npos)
    wrong("is shown another text of");
  seen = event.seq;
}

FeedHub::FeedHub(Process& process, const Database& database, Limits limits)
    : process_(process), database_(database), limits_(limits) {
  process_.on_batch = [this](const FeedBatchPtr& batch) { publish(batch); };
}

FeedHub::~FeedHub() { process_.on_batch = nullptr; }

void FeedHub::connect(FeedClient& client) {
  auto session = std::make_shared<Session>();
  session->client = &client;
  session->tenant = client.tenant;
  sessions_[&client] = session;
  // Join first: another socket's leaving would stop the listening that this one has asked for.
  topics_[client.tenant].sessions.push_back(session);
  listen(client.tenant, [this, session](bool listening) {
    if (session->closed) return;
    if (!listening) {
      leave(session);
      return;
    }
    process_.ask<ReplayPtr>(
        process_.context.reader(), ReplayJournal{session->tenant, INT64_MAX - 1, 1},
        [this, session](Result<ReplayPtr> where) {
          if (session->closed) return;
          if (!where) {
            leave(session);
            return;
          }
          auto& seen = session->client->seen;
          if (seen < 0) seen = (*where)->last_seq;
          subscribe(session, seen);
        });
  });
}

void FeedHub::disconnect(FeedClient& client) {
  if (auto there = sessions_.find(&client); there != sessions_.end()) leave(there->second);
}

void FeedHub::leave(const SessionPtr& session) {
  session->closed = true;
  sessions_.erase(session->client);
  auto& sessions = topics_[session->tenant].sessions;
  std::erase(sessions, session);
  if (!sessions.empty()) return;
  auto tenant = session->tenant;
  topics_.erase(tenant);
  process_.ask<Listening>(process_.inbox, Listen{tenant, false}, [this, tenant](auto done) {
    if (done && topics_.contains(tenant)) listen(tenant, [](bool) {});
  });
}

void FeedHub::listen(TenantId tenant, std::function<void(bool)> done) {
  process_.ask<Listening>(process_.inbox, Listen{tenant, true},
                          [done](auto answer) { done(answer.has_value()); });
}

void FeedHub::subscribe(const SessionPtr& session, Sequence after) {
  std::erase_if(session->queue, [](auto& frame) { return frame.event != nullptr; });
  session->position = session->written = after;
  session->mode = Mode::replaying;
  catch_up(session, ++session->subscription);
}

void FeedHub::catch_up(const SessionPtr& session, std::uint64_t subscription) {
  session->paused = session->queue.size() >= limits_.queue_max / 4;
  if (session->paused) return;
  process_.ask<ReplayPtr>(
      process_.context.reader(), ReplayJournal{session->tenant, session->position, limits_.page},
      [this, session, subscription](Result<ReplayPtr> page) {
        auto& s = *session;
        if (s.closed || s.subscription != subscription || s.mode != Mode::replaying) return;
        if (!page) {
          leave(session);  // As after twenty failures: the client resumes.
          return;
        }
        bool all = (*page)->events.size() < static_cast<std::size_t>(limits_.page);
        for (auto& event : (*page)->events) {
          if (event->entry.seq <= s.position) continue;
          if (full(s)) {
            all = false;
            break;
          }
          offer(session, render_event(*event));
        }
        if (all && attach(session)) return;
        catch_up(session, subscription);
      });
}

void FeedHub::offer(const SessionPtr& session, const std::shared_ptr<const FeedEvent>& event) {
  session->position = event->seq;
  session->queue.push_back({event, 0});
}

bool FeedHub::attach(const SessionPtr& session) {
  auto& s = *session;
  auto& ring = topics_[s.tenant].ring;
  if (!ring.empty() && ring.back()->seq > s.position) {
    if (ring.front()->seq > s.position + 1) return false;
    for (auto& event : ring) {
      if (event->seq <= s.position) continue;
      if (event->seq != s.position + 1 || full(s)) return false;
      offer(session, event);
    }
  }
  s.mode = Mode::live;
  return true;
}

void FeedHub::publish(const FeedBatchPtr& batch) {
  auto there = topics_.find(batch->tenant_id);
  if (there == topics_.end()) return;
  auto& topic = there->second;
  for (auto& event : batch->events) {
    if (!topic.ring.empty() && topic.ring.back()->seq + 1 != event->seq) topic.ring.clear();
    topic.ring.push_back(event);
    if (topic.ring.size() > limits_.ring_max) topic.ring.pop_front();
    for (auto& session : topic.sessions) deliver(session, event);
  }
}

void FeedHub::deliver(const SessionPtr& session, const std::shared_ptr<const FeedEvent>& event) {
  auto& s = *session;
  if (s.mode != Mode::live || event->seq <= s.position) return;
  if (event->seq != s.position + 1) {
    s.mode = Mode::replaying;
    catch_up(session, s.subscription);
    return;
  }
  if (full(s)) {
    s.queue.clear();
    s.mode = Mode::quiet;
    ++s.subscription;
    s.queue.push_back({nullptr, s.written});
    return;
  }
  offer(session, event);
}

bool FeedHub::write_one(FeedClient& client) {
  auto there = sessions_.find(&client);
  if (there == sessions_.end() || there->second->queue.empty()) return false;
  auto session = there->second;
  auto frame = std::move(session->queue.front());
  session->queue.pop_front();
  if (frame.event) {
    session->written = frame.event->seq;
    client.take(*frame.event, database_.rows(client.tenant));
    if (session->paused && session->mode == Mode::replaying)
      catch_up(session, session->subscription);
  } else {
    subscribe(session, frame.after);  // Told to resync, the client asks again from there.
  }
  return true;
}

}  // namespace sara::simulation
