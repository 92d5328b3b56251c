// Subscribers of a live feed: so many WebSockets on one epoll. Every frame is looked at: an event's
// seq follows the one before on its socket, so that nothing is lost and nothing comes twice. Pings
// get their pongs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sara::bench {

class Audience {
 public:
  /// Connects all and waits until each has heard `hello`. Throws if one is refused.
  /// handshake: the request's head, with its empty line.
  Audience(std::uint16_t port, std::size_t count, const std::string& handshake);
  ~Audience();
  Audience(const Audience&) = delete;
  Audience& operator=(const Audience&) = delete;

  /// Asks on every socket for all events from its `hello` on.
  void subscribe();
  /// Waits at most so long for anything to come, and takes it.
  void read(int wait_ms);
  /// Readable when there is something to read.
  int fd() const { return poll_; }

  std::uint64_t events() const { return events_; }
  std::uint64_t pings() const { return pings_; }
  std::uint64_t marks() const { return marks_; }
  /// The last event that the slowest socket has heard (or its hello).
  std::int64_t slowest() const;
  /// Nothing was lost, repeated or unexpected.
  bool sound() const { return wrong_.empty(); }
  const std::string& wrong() const { return wrong_; }
  /// One event's frame as it came, with its header.
  const std::string& sample() const { return sample_; }

  /// Told of each event on each socket.
  std::function<void(std::int64_t seq)> on_event;

 private:
  struct Socket {
    int fd = -1;
    bool open = false;    ///< the handshake is answered
    std::int64_t seq = -1;
    std::string left;     ///< the beginning of a frame
  };
  void take(Socket& s);
  std::size_t take_frame(Socket& s, const char* bytes, std::size_t size);
  void complain(const std::string& what);

  int poll_ = -1;
  std::vector<Socket> sockets_;
  std::vector<char> buffer_;
  std::size_t greeted_ = 0;
  std::uint64_t events_ = 0, pings_ = 0, marks_ = 0;
  std::string wrong_, sample_;
};

}  // namespace sara::bench
