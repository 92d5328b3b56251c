// The chunked transfer coding, read strictly. Pure. Trailers are checked and forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/head.hpp"

namespace sara::http {

class ChunkReader {
 public:
  explicit ChunkReader(std::uint64_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

  /// Appends to `body` what `bytes` hold of it. Returns how many bytes were used up; those that
  /// were not belong to an unfinished line (give them again, with more) or to the next request.
  std::size_t read(std::string_view bytes, std::string& body);

  bool done() const { return state_ == State::done; }
  /// errors: bad-framing, content-too-large, headers-too-large (trailers)
  const std::optional<Refusal>& refusal() const { return refusal_; }

 private:
  enum class State { size, data, data_end, trailer, done };
  std::size_t refuse(Problem problem, std::string_view detail);
  bool read_size(std::string_view line);

  State state_ = State::size;
  std::uint64_t body_bytes_max_;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t chunk_left_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::optional<Refusal> refusal_;
};

}  // namespace sara::http
