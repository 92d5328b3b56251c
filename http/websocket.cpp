#include "http/websocket.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sara::http {

namespace {

constexpr std::size_t control_bytes_max = 125;
constexpr std::size_t mask_bytes = 4;

void append_number(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift);
}

bool is_control(Opcode kind) { return static_cast<unsigned>(kind) >= 8; }

bool is_known(unsigned kind) { return kind <= 2 || (kind >= 8 && kind <= 10); }

}  // namespace

void append_frame_head(std::string& out, Opcode kind, std::size_t payload_bytes) {
  out += static_cast<char>(0x80 | static_cast<unsigned>(kind));
  if (payload_bytes <= 125) {
    append_number(out, payload_bytes, 1);
  } else if (payload_bytes <= 0xFFFF) {
    out += static_cast<char>(126);
    append_number(out, payload_bytes, 2);
  } else {
    out += static_cast<char>(127);
    append_number(out, payload_bytes, 8);
  }
}

void append_frame(std::string& out, Opcode kind, std::string_view payload) {
  append_frame_head(out, kind, payload.size());
  out += payload;
}

void append_close(std::string& out, CloseCode code, std::string_view reason) {
  reason = reason.substr(0, control_bytes_max - 2);
  append_frame_head(out, Opcode::close, code == CloseCode::none ? 0 : reason.size() + 2);
  if (code == CloseCode::none) return;
  append_number(out, static_cast<std::uint16_t>(code), 2);
  out += reason;
}

CloseCode judge_close(std::string_view payload) {
  if (payload.empty()) return CloseCode::normal;
  if (payload.size() == 1) return CloseCode::protocol_error;
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(payload[i]); };
  const unsigned code = static_cast<unsigned>(byte(0) << 8 | byte(1));
  const bool registered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
  const bool free = code >= 3000 && code <= 4999;
  if ((!registered && !free) || !text::valid_utf8(payload.substr(2)))
    return CloseCode::protocol_error;
  return static_cast<CloseCode>(code);
}

/// A frame's head.
struct FrameReader::Frame {
  enum class State : std::uint8_t { more, whole, refused };
  State state = State::more;
  CloseCode refusal = CloseCode::none;
  bool final = false;
  Opcode kind = Opcode::text;
  std::size_t head = 0;  ///< bytes before the payload
  std::size_t size = 0;  ///< of the payload

  static Frame refused(CloseCode code) { return {State::refused, code, false, Opcode::text, 0, 0}; }
  static Frame of(std::string_view bytes, const FrameLimits& limits);
};

FrameReader::Frame FrameReader::Frame::of(std::string_view bytes, const FrameLimits& limits) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  Frame frame;
  if (bytes.size() < 2) return frame;
  frame.final = (byte(0) & 0x80) != 0;
  const unsigned code = byte(0) & 0x0F;
  // No extension was agreed on, so the reserved bits stay zero; a client always masks.
  if ((byte(0) & 0x70) != 0 || (byte(1) & 0x80) == 0 || !is_known(code))
    return refused(CloseCode::protocol_error);
  frame.kind = static_cast<Opcode>(code);
  std::uint64_t length = byte(1) & 0x7F;
  const std::size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (is_control(frame.kind) && (extra > 0 || !frame.final))
    return refused(CloseCode::protocol_error);
  if (bytes.size() < 2 + extra) return frame;
  if (extra > 0) {
    length = 0;
    for (std::size_t i = 0; i < extra; ++i) length = length << 8 | byte(2 + i);
    if (length <= (extra == 2 ? 125u : 0xFFFFu)) return refused(CloseCode::protocol_error);
  }
  if (length > limits.message_bytes_max) return refused(CloseCode::too_big);
  frame.size = static_cast<std::size_t>(length);
  frame.head = 2 + extra + mask_bytes;
  if (bytes.size() >= frame.head + frame.size) frame.state = State::whole;
  return frame;
}

FrameReader::Unfinished& FrameReader::unfinished() {
  if (!unfinished_) unfinished_ = std::make_unique<Unfinished>();
  return *unfinished_;
}

CloseCode FrameReader::take(char* bytes, std::size_t size, const FrameLimits& limits,
                            const Handler& handle) {
  // What is left of the last time comes first.
  std::string joined;
  if (unfinished_ && !unfinished_->bytes.empty()) {
    joined = std::move(unfinished_->bytes);
    unfinished_->bytes.clear();
    joined.append(bytes, size);
    bytes = joined.data();
    size = joined.size();
  }
  for (bool go_on = true; go_on;) {
    const auto frame = Frame::of({bytes, size}, limits);
    if (frame.state == Frame::State::refused) return frame.refusal;
    if (frame.state == Frame::State::more) {
      if (size > 0) unfinished().bytes.assign(bytes, size);
      break;
    }
    char* payload = bytes + frame.head;
    const char* mask = payload - mask_bytes;
    for (std::size_t i = 0; i < frame.size; ++i)
      payload[i] = static_cast<char>(payload[i] ^ mask[i % mask_bytes]);
    const auto code = take_frame(frame, {payload, frame.size}, limits, handle, go_on);
    if (code != CloseCode::none) return code;
    bytes += frame.head + frame.size;
    size -= frame.head + frame.size;
  }
  if (unfinished_ && unfinished_->bytes.empty() && unfinished_->fragments == 0)
    unfinished_.reset();
  return CloseCode::none;
}

/// One whole frame: handed on, or put to the fragments before it.
CloseCode FrameReader::take_frame(const Frame& frame, std::string_view payload,
                                  const FrameLimits& limits, const Handler& handle, bool& go_on) {
  if (is_control(frame.kind)) {
    go_on = handle(frame.kind, payload);
    return CloseCode::none;
  }
  const bool goes_on = unfinished_ && unfinished_->fragments > 0;
  if (goes_on != (frame.kind == Opcode::continuation)) return CloseCode::protocol_error;
  auto kind = frame.kind;
  if (goes_on || !frame.final) {
    auto& parts = unfinished();
    if (!goes_on) parts.kind = frame.kind;
    if (++parts.fragments > limits.fragments_max) return CloseCode::policy_error;
    if (parts.message.size() + payload.size() > limits.message_bytes_max)
      return CloseCode::too_big;
    parts.message += payload;
    if (!frame.final) return CloseCode::none;
    kind = parts.kind;
    payload = parts.message;
  }
  if (kind == Opcode::text && !text::valid_utf8(payload)) return CloseCode::bad_payload;
  go_on = handle(kind, payload);
  if (goes_on) {
    unfinished_->message.clear();
    unfinished_->fragments = 0;
  }
  return CloseCode::none;
}

}  // namespace sara::http
