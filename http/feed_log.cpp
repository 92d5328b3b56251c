#include "http/feed_log.hpp"

#include <algorithm>
#include <charconv>

#include "http/websocket.hpp"

namespace sara::http {

using messages::FeedEvent;

namespace {

/// A chunk that a slow socket holds costs no more than this, or one event.
constexpr std::size_t chunk_bytes = 64 << 10;

}  // namespace

bool wants(const domain::InboxFilter& filter, const FeedEvent& event) {
  if (filter.empty()) return true;
  if (!event.about_conversation) return false;
  if (!domain::passes(filter, event.before) && !domain::passes(filter, event.after)) return false;
  return filter.text.empty() ||
         (event.contact && domain::mentions(filter.text, *event.contact, event.preview));
}

void FeedChunk::append(const FeedEvent& event, Sequence prev_seq) {
  constexpr std::string_view name = ",\"prev_seq\":";
  char digits[20];
  auto* end = std::to_chars(std::begin(digits), std::end(digits), prev_seq).ptr;
  const std::string_view number(digits, static_cast<std::size_t>(end - digits));
  const auto before = bytes_.size();
  append_frame_head(bytes_, Opcode::text,
                    event.head.size() + name.size() + number.size() + event.tail.size());
  bytes_.append(event.head).append(name).append(number).append(event.tail);
  held_ += bytes_.size() - before;
  frames_.push_back({bytes_.size(), event.seq});
}

void FeedChunk::append_rest(const FeedChunk& other) {
  const auto skipped = other.frames_.front().end;
  const auto moved = bytes_.size();
  bytes_.append(other.bytes_, skipped);
  held_ += bytes_.size() - moved;
  for (auto frame = other.frames_.begin() + 1; frame != other.frames_.end(); ++frame)
    frames_.push_back({frame->end - skipped + moved, frame->seq});
}

std::vector<FeedChunk::Frame>::const_iterator FeedChunk::frame_at(std::size_t offset) const {
  return std::lower_bound(frames_.begin(), frames_.end(), offset,
                          [](const Frame& f, std::size_t at) { return f.end < at; });
}

std::size_t FeedChunk::frame_end(std::size_t offset) const {
  return offset == 0 ? 0 : frame_at(offset)->end;
}

Sequence FeedChunk::event_at(std::size_t offset) const { return frame_at(offset)->seq; }

std::size_t FeedChunk::events_from(std::size_t offset) const {
  if (offset == 0) return frames_.size();
  return static_cast<std::size_t>(frames_.end() - frame_at(offset)) - 1;
}

void FeedLog::begin(Sequence position) {
  // Of a log that nobody has read yet: the first frame of most who join it is right then.
  if (previous_ == 0) previous_ = position;
  end();
  fresh_previous_ = previous_;
}

void FeedLog::append(const std::shared_ptr<const FeedEvent>& event) {
  if (open_ == nullptr || open_->bytes().size() >= chunk_bytes) {
    auto chunk = std::make_shared<FeedChunk>(held_);
    chunk->shared = true;
    chunk->bytes_before = bytes_;
    chunk->events_before = events_;
    // Who has not come to its end yet reads on.
    if (auto before = tail_.lock()) before->next = chunk;
    tail_ = chunk;
    open_ = chunk.get();
    if (!fresh_) {
      fresh_ = std::move(chunk);
      fresh_event_ = event;
    }
  }
  const auto before = open_->bytes().size();
  open_->append(*event, previous_);
  bytes_ += open_->bytes().size() - before;
  ++events_;
  previous_ = event->seq;
}

FeedChunkPtr FeedLog::fresh_after(Sequence prev_seq) const {
  auto chunk = std::make_shared<FeedChunk>(held_);
  chunk->append(*fresh_event_, prev_seq);
  chunk->append_rest(*fresh_);
  chunk->next = fresh_->next;
  return chunk;
}

void FeedLog::end() {
  fresh_ = nullptr;
  fresh_event_ = nullptr;
  open_ = nullptr;
}

}  // namespace sara::http
