// The live feed's edge of a simulated process, and the clients behind it. The sockets are played:
// http/feed.cpp runs on Beast's. What a session does with the inbox's batches, the ring and the
// journal is the same, step by step: see FeedSession and FeedHub there.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "process.hpp"

namespace sara::simulation {

/// A person's open inbox. It outlives sockets and processes.
struct FeedClient {
  TenantId tenant;
  Sequence seen = -1;  ///< -1: it has never been greeted
  /// The first thing it got that was not the next event; empty: nothing.
  std::string violation;
  void take(const messages::FeedEvent& event, const Database::Rows& rows);
};

class FeedHub {
 public:
  struct Limits {
    std::size_t queue_max = 64;
    std::size_t ring_max = 32;
    int page = 16;
  };
  FeedHub(Process& process, const Database& database, Limits limits);
  ~FeedHub();

  /// Opens a socket for the client, which resumes from what it has seen.
  void connect(FeedClient& client);
  void disconnect(FeedClient& client);
  bool has(const FeedClient& client) const { return sessions_.contains(&client); }
  /// The client's socket takes one frame; false if there was none.
  bool write_one(FeedClient& client);

 private:
  enum class Mode { quiet, replaying, live };
  struct Session {
    FeedClient* client;
    TenantId tenant;
    Mode mode = Mode::quiet;
    bool closed = false;
    bool paused = false;  ///< the replay waits for the socket
    Sequence position = 0;
    std::uint64_t subscription = 0;
    struct Frame {
      std::shared_ptr<const messages::FeedEvent> event;  ///< null: resync
      Sequence after = 0;
    };
    std::deque<Frame> queue;
    Sequence written = 0;
  };
  using SessionPtr = std::shared_ptr<Session>;
  struct Topic {
    std::deque<std::shared_ptr<const messages::FeedEvent>> ring;
    std::vector<SessionPtr> sessions;
  };

  void listen(TenantId tenant, std::function<void(bool)> done);
  void leave(const SessionPtr& session);
  void subscribe(const SessionPtr& session, Sequence after);
  void catch_up(const SessionPtr& session, std::uint64_t subscription);
  void publish(const messages::FeedBatchPtr& batch);
  void deliver(const SessionPtr& session, const std::shared_ptr<const messages::FeedEvent>& event);
  bool attach(const SessionPtr& session);
  void offer(const SessionPtr& session, const std::shared_ptr<const messages::FeedEvent>& event);
  bool full(const Session& session) const { return session.queue.size() >= limits_.queue_max; }

  Process& process_;
  const Database& database_;
  Limits limits_;
  std::map<const FeedClient*, SessionPtr> sessions_;
  std::map<TenantId, Topic> topics_;
};

}  // namespace sara::simulation
