// WebSocket framing (RFC 6455) as pure functions of bytes: what the live feed writes, which is
// never masked and never fragmented, and what a client may send. No socket, no time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sara::http {

enum class Opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

/// Codes of RFC 6455, 7.4.1.
enum class CloseCode : std::uint16_t {
  none = 0,  ///< not a code: all is well
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unknown_data = 1003,
  bad_payload = 1007,
  policy_error = 1008,
  too_big = 1009,
  try_again_later = 1013,
};

/// The head of a whole frame from the server; its payload follows.
void append_frame_head(std::string& out, Opcode kind, std::size_t payload_bytes);
void append_frame(std::string& out, Opcode kind, std::string_view payload);
void append_close(std::string& out, CloseCode code, std::string_view reason);

struct FrameLimits {
  std::size_t message_bytes_max = 64 << 10;  ///< of a frame, and of a message in fragments
  std::size_t fragments_max = 64;
};

/// Reads a client's frames as they arrive in pieces. It keeps memory only while a frame or a
/// message is not whole.
class FrameReader {
 public:
  /// A whole text or binary message, or a control frame; a close frame's payload is its code in
  /// two bytes, then the reason. False: read no further.
  using Handler = std::function<bool(Opcode, std::string_view payload)>;

  /// Takes `size` bytes, which are unmasked where they lie. Returns the code to close with: a
  /// protocol error, a text that is not UTF-8, or a limit; or none.
  CloseCode take(char* bytes, std::size_t size, const FrameLimits& limits, const Handler& handle);

 private:
  struct Unfinished {
    std::string bytes;    ///< the beginning of a frame
    std::string message;  ///< fragments so far
    std::size_t fragments = 0;
    Opcode kind = Opcode::text;  ///< of the message in fragments
  };
  struct Frame;
  CloseCode take_frame(const Frame& frame, std::string_view payload, const FrameLimits& limits,
                       const Handler& handle, bool& go_on);
  Unfinished& unfinished();
  std::unique_ptr<Unfinished> unfinished_;
};

/// The code of a close frame's payload. errors: protocol_error - malformed or not for the wire
CloseCode judge_close(std::string_view payload);

}  // namespace sara::http
