// The live feed's events as they go over the wire: each is made into a frame once for all sockets
// with the same filter, and lies in a chunk that they share. A chain of chunks is a log: a socket
// is a place in it, and a chunk lives as long as a socket still needs it. No socket, no time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "domain/inbox.hpp"
#include "messages/inbox.hpp"

namespace sara::http {

/// Which events a socket wants.
bool wants(const domain::InboxFilter& filter, const messages::FeedEvent& event);

/// Frames of events, back to back.
class FeedChunk {
 public:
  /// held: where the bytes of all chunks that live are counted; outlives them.
  explicit FeedChunk(std::size_t& held) : held_(held) {}
  ~FeedChunk() { held_ -= bytes_.size(); }
  FeedChunk(const FeedChunk&) = delete;
  FeedChunk& operator=(const FeedChunk&) = delete;

  void append(const messages::FeedEvent& event, Sequence prev_seq);
  /// The frames of another but for its first one.
  void append_rest(const FeedChunk& other);

  const std::string& bytes() const { return bytes_; }
  std::size_t events() const { return frames_.size(); }
  Sequence last() const { return frames_.back().seq; }
  /// The end of the frame that the byte before `offset` is of; 0 for 0.
  std::size_t frame_end(std::size_t offset) const;
  /// The event of that frame. offset: not 0
  Sequence event_at(std::size_t offset) const;
  /// Events whose frames begin at `offset` or after it.
  std::size_t events_from(std::size_t offset) const;

  std::shared_ptr<FeedChunk> next;  ///< where the log goes on; none: nowhere yet
  /// Bytes and events that the log had before this chunk.
  std::uint64_t bytes_before = 0, events_before = 0;
  bool shared = false;  ///< of a log; else made for one socket

 private:
  struct Frame {
    std::size_t end;
    Sequence seq;
  };
  std::vector<Frame>::const_iterator frame_at(std::size_t offset) const;

  std::size_t& held_;
  std::string bytes_;
  std::vector<Frame> frames_;
};
using FeedChunkPtr = std::shared_ptr<FeedChunk>;

/// The events that pass one filter, on their way to all who have it. It holds only the chunks of
/// the present turn, between begin() and end(); who has not taken them by then holds them.
class FeedLog {
 public:
  FeedLog(domain::InboxFilter wanted, std::size_t& held) : filter(std::move(wanted)), held_(held) {}

  const domain::InboxFilter filter;
  std::size_t readers = 0;

  /// A turn begins. Every event up to `position` has been considered.
  void begin(Sequence position);
  void append(const std::shared_ptr<const messages::FeedEvent>& event);
  void end();
  /// The event after `position` does not follow the last one: nobody reads over the hole.
  void interrupt(Sequence position) {
    tail_.reset();
    previous_ = fresh_previous_ = position;
  }

  /// The first chunk of this turn; none: nothing passed the filter.
  const FeedChunkPtr& fresh() const { return fresh_; }
  /// That chunk for a socket whose last event was another one: its first frame says so.
  FeedChunkPtr fresh_after(Sequence prev_seq) const;
  /// The last event before this turn's, and the last of all.
  Sequence fresh_previous() const { return fresh_previous_; }
  Sequence previous() const { return previous_; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t events() const { return events_; }

 private:
  std::size_t& held_;
  FeedChunkPtr fresh_;
  std::shared_ptr<const messages::FeedEvent> fresh_event_;  ///< its first
  FeedChunk* open_ = nullptr;      ///< the last of this turn
  std::weak_ptr<FeedChunk> tail_;  ///< the last of the turn before, if anybody still needs it
  Sequence previous_ = 0, fresh_previous_ = 0;
  std::uint64_t bytes_ = 0, events_ = 0;
};

}  // namespace sara::http
