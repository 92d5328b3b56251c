// Builds webhook requests for the codecs' tests and says in words what came out of them.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "base/time.hpp"
#include "providers/channel.hpp"

namespace sara::providers {

/// A request that owns its bytes.
struct Sent {
  std::string method = "POST";
  std::string url = "https://hooks.example.com/webhooks/p/e";
  std::string content_type = "application/json";
  std::string body;
  std::map<std::string, std::string> headers;

  WebhookRequest view() const {
    const std::size_t mark = url.find('?');
    const auto query =
        mark == std::string::npos ? std::string_view{} : std::string_view(url).substr(mark + 1);
    return {method, url, query, content_type, body, [this](std::string_view name) {
              for (const auto& [key, value] : headers)
                if (text::equal_ignoring_case(key, name)) return std::string_view(value);
              return std::string_view{};
            }};
  }
};

using Received = Result<std::vector<domain::WebhookEvent>>;

inline const TimePoint now = from_millis(1'700'000'300'000);

inline std::unique_ptr<ChannelCodec> codec_of(domain::Provider provider, const Fields& credentials,
                                              const Fields& settings = {}) {
  auto made = make_codec(provider, credentials, settings);
  REQUIRE(made);
  return std::move(*made);
}

inline Received receive(const ChannelCodec& codec, const Sent& sent, TimePoint at = now) {
  return codec.receive(sent.view(), at);
}

inline std::string word_of(const domain::MessageStatus status) {
  using domain::MessageStatus;
  switch (status) {
    case MessageStatus::received:
      return "received";
    case MessageStatus::queued:
      return "queued";
    case MessageStatus::sending:
      return "sending";
    case MessageStatus::sent:
      return "sent";
    case MessageStatus::delivered:
      return "delivered";
    case MessageStatus::read:
      return "read";
    case MessageStatus::failed:
      return "failed";
    case MessageStatus::bounced:
      return "bounced";
    case MessageStatus::complained:
      return "complained";
    case MessageStatus::cancelled:
      return "cancelled";
    case MessageStatus::expired:
      return "expired";
    case MessageStatus::unknown:
      return "unknown";
  }
  return "?";
}

/// One line an event: what it is and its important values, empty ones left out.
inline std::string line(const domain::WebhookEvent& event) {
  std::string out;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) out.append(" ").append(name).append("=").append(value);
  };
  const auto time = [](TimePoint at) { return known(at) ? std::to_string(to_millis(at)) : ""; };
  if (const auto* in = std::get_if<domain::Inbound>(&event.what)) {
    out = in->echo ? "echo" : "inbound";
    out.append(" ").append(to_string(in->channel));
    add("id", in->provider_message_id);
    add("from", in->address);
    add("to", in->account);
    add("name", in->profile_name);
    add("subject", in->subject);
    add("body", in->body);
    for (const auto& a : in->attachments)
      add("file", a.type + "|" + a.url + "|" + a.name + "|" + std::to_string(a.size_bytes));
    add("at", time(in->at));
    add("ref", in->reference);
  } else if (const auto* r = std::get_if<domain::Receipt>(&event.what)) {
    out = "receipt " + std::string(to_string(r->channel)) + " " + word_of(r->status);
    add("id", r->provider_message_id);
    add("to", r->address);
    add("watermark", time(r->watermark));
    add("at", time(r->at));
    add("event", r->event);
    add("code", r->error_code);
    add("detail", r->error_detail);
    add("ref", r->reference);
  } else if (const auto* gone = std::get_if<domain::Retraction>(&event.what)) {
    out = "retraction " + std::string(to_string(gone->channel));
    add("id", gone->provider_message_id);
    add("from", gone->address);
  } else if (const auto* kept = std::get_if<domain::Kept>(&event.what)) {
    out = "kept " + kept->kind;
  } else {
    out = "unusable " + std::get<domain::Unusable>(event.what).reason;
  }
  return out;
}

/// "bad_signature", or the lines of all events.
inline std::string story(const Received& received) {
  if (!received) return std::string(to_string(received.error().code));
  std::string out;
  for (const auto& event : *received) {
    if (!out.empty()) out += '\n';
    out += line(event);
  }
  return out;
}

inline std::string keys(const Received& received) {
  std::string out;
  if (!received) return "error";
  for (const auto& event : *received) {
    if (!out.empty()) out += ' ';
    out += event.dedupe_key;
  }
  return out;
}

/// The pointers of an invalid_argument error.
inline std::string pointers(const Result<std::unique_ptr<ChannelCodec>>& made) {
  std::string out;
  if (made) return "ok";
  for (const auto& f : made.error().fields) out += (out.empty() ? "" : " ") + f.pointer;
  return out;
}

}  // namespace sara::providers
