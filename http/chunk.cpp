#include "http/chunk.hpp"

#include <algorithm>

namespace sara::http {

namespace {

constexpr std::size_t size_line_bytes_max = 256;
constexpr std::size_t trailer_bytes_max = 1024;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::size_t ChunkReader::refuse(Problem problem, std::string_view detail) {
  refusal_ = Refusal{problem, detail, true};
  return 0;
}

/// "1a" or "1a;name=value". Extensions are read over: nobody uses them but smugglers.
bool ChunkReader::read_size(std::string_view line) {
  std::uint64_t size = 0;
  std::size_t digits = 0;
  while (digits < line.size() && hex_value(line[digits]) >= 0) {
    size = size * 16 + static_cast<std::uint64_t>(hex_value(line[digits]));
    if (++digits > 15) return false;
  }
  const auto extension = line.substr(digits);
  const auto visible = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (digits == 0 || (!extension.empty() && extension[0] != ';') ||
      !std::all_of(extension.begin(), extension.end(), visible)) {
    return false;
  }
  chunk_left_ = size;
  return true;
}

std::size_t ChunkReader::read(std::string_view bytes, std::string& body) {
  const auto before = bytes.size();
  const auto used = [&] { return before - bytes.size(); };
  while (!done() && !bytes.empty()) {
    if (state_ == State::data) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left_, bytes.size()));
      body.append(bytes.data(), n);
      bytes.remove_prefix(n);
      chunk_left_ -= n;
      if (chunk_left_ == 0) state_ = State::data_end;
      continue;
    }
    if (state_ == State::data_end) {
      const auto end = bytes.substr(0, 2);
      if (!std::string_view{"\r\n"}.starts_with(end)) {
        return refuse(Problem::bad_framing, "A chunk is longer than its size says.");
      }
      if (end.size() < 2) return used();
      bytes.remove_prefix(2);
      state_ = State::size;
      continue;
    }
    const bool trailer = state_ == State::trailer;
    const auto line_end = bytes.find('\n');
    const auto line_bytes = line_end == bytes.npos ? bytes.size() : line_end + 1;
    if (trailer && trailer_bytes_ + line_bytes > trailer_bytes_max + 2) {
      return refuse(Problem::headers_too_large, "");
    }
    if (!trailer && (line_bytes > size_line_bytes_max || hex_value(bytes[0]) < 0)) {
      return refuse(Problem::bad_framing, "A chunk begins with its size in hexadecimal.");
    }
    if (line_end == bytes.npos) return used();
    if (line_end == 0 || bytes[line_end - 1] != '\r') {
      return refuse(Problem::bad_framing, "A line ends with CR and LF.");
    }
    const auto line = bytes.substr(0, line_end - 1);
    bytes.remove_prefix(line_bytes);
    if (trailer) {
      Field field;
      if (line.empty()) {
        state_ = State::done;
      } else if (judge_field(line, field)) {
        return refuse(Problem::bad_framing, "A trailer is not a header field.");
      }
      trailer_bytes_ += line_bytes;
      continue;
    }
    if (!read_size(line)) {
      return refuse(Problem::bad_framing, "A chunk begins with its size in hexadecimal.");
    }
    if (chunk_left_ > body_bytes_max_ - body_bytes_) {
      return refuse(Problem::content_too_large, "");
    }
    body_bytes_ += chunk_left_;
    state_ = chunk_left_ == 0 ? State::trailer : State::data;
  }
  return used();
}

}  // namespace sara::http
