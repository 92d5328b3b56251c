// The codecs' common ground.
#include "providers/webhook.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace sara::providers {
namespace {

constexpr std::size_t credential_bytes_max = 4096;
constexpr std::size_t key_bytes_max = 200;

bool has_control(std::string_view s) {
  return std::any_of(s.begin(), s.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

bool contains(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string unquoted(std::string_view value) {
  value = text::trim(value);
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::string(value);
  std::string out;
  for (std::size_t i = 1; i + 1 < value.size(); ++i) {
    if (value[i] == '\\' && i + 2 < value.size()) ++i;
    out += value[i];
  }
  return out;
}

/// Where the parameter that begins the text ends: at a semicolon outside quotes.
std::size_t parameter_end(std::string_view s) {
  bool quoted = false;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (quoted && s[i] == '\\') {
      ++i;
    } else if (s[i] == '"') {
      quoted = !quoted;
    } else if (s[i] == ';' && !quoted) {
      return i;
    }
  }
  return s.size();
}

TimePoint normalised(double value) {
  constexpr double end_of_year_9999 = 253'402'300'799'999.0;
  const double millis = value > 1e12 ? value : value * 1000;
  if (!(millis > 0) || millis > end_of_year_9999) return {};
  return from_millis(static_cast<std::int64_t>(millis));
}

/// A copy of the hash where an id is too long to be part of a key.
std::string bounded(std::string_view id, std::size_t bytes_max) {
  return id.size() <= bytes_max ? std::string(id) : hash_id(id);
}

}  // namespace

Result<void> check_credentials(const Fields& credentials,
                               std::initializer_list<std::string_view> required,
                               std::initializer_list<std::string_view> optional) {
  Error error{Errc::invalid_argument, "a credential is not usable", {}};
  const auto blame = [&](std::string_view name, std::string detail) {
    error.fields.push_back({"/credentials/" + word(name), std::move(detail)});
  };
  for (const auto name : required)
    if (!credentials.contains(std::string(name))) blame(name, "is missing");
  for (const auto& [name, value] : credentials) {
    if (!contains(required, name) && !contains(optional, name)) {
      blame(name, "is not a field of this provider");
    } else if (value.empty() || value.size() > credential_bytes_max) {
      blame(name, "must have 1 to 4096 bytes");
    } else if (has_control(value) || !text::valid_utf8(value)) {
      blame(name, "must not hold control characters");
    }
  }
  if (!error.fields.empty()) return fail(std::move(error));
  return {};
}

std::string_view field(const Fields& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view{} : found->second;
}

MediaType parse_media_type(std::string_view content_type) {
  MediaType out;
  std::size_t end = parameter_end(content_type);
  out.type = text::lower_ascii(text::trim(content_type.substr(0, end)));
  while (end < content_type.size()) {
    content_type.remove_prefix(end + 1);
    end = parameter_end(content_type);
    const auto parameter = content_type.substr(0, end);
    const std::size_t sign = parameter.find('=');
    if (sign == std::string_view::npos) continue;
    const auto name = text::trim(parameter.substr(0, sign));
    if (text::equal_ignoring_case(name, "charset"))
      out.charset = unquoted(parameter.substr(sign + 1));
    if (text::equal_ignoring_case(name, "boundary"))
      out.boundary = unquoted(parameter.substr(sign + 1));
  }
  return out;
}

bool says_utf8(const MediaType& media) {
  return media.charset.empty() || text::equal_ignoring_case(media.charset, "utf-8") ||
         text::equal_ignoring_case(media.charset, "utf8");
}

std::string attachment_kind(std::string_view media_type) {
  const auto family = text::lower_ascii(text::trim(media_type.substr(0, media_type.find('/'))));
  return family == "image" || family == "audio" || family == "video" ? family : "file";
}

bool hub_signature_matches(std::span<const crypto::HmacKey> keys, std::string_view header,
                           std::string_view body) {
  constexpr std::string_view prefix = "sha256=";
  if (header.size() != prefix.size() + 64 || !header.starts_with(prefix)) return false;
  const auto digest = header.substr(prefix.size());
  return std::any_of(keys.begin(), keys.end(), [&](const crypto::HmacKey& key) {
    return crypto::equal(crypto::to_hex(key.sign(body)), digest);
  });
}

Result<json::Document> parse_signed_json(std::string_view body) {
  return json::parse(body, {.depth_max = 32, .members_max = 200'000, .any_string = true});
}

std::string clean(std::string_view text) {
  std::string out(text);
  std::erase(out, '\0');
  return out;
}

std::string scalar(json::Ref value) {
  if (const auto text = value.string()) return clean(*text);
  if (const auto integer = value.integer()) return std::to_string(*integer);
  return {};
}

std::string email_address(std::string_view address) {
  std::string out = clean(text::trim(address));
  const std::size_t at = out.rfind('@');
  if (at == std::string::npos) return out;
  return out.substr(0, at) + text::lower_ascii(std::string_view(out).substr(at));
}

TimePoint event_time(json::Ref value) {
  if (const auto number = value.number()) return normalised(*number);
  const auto text = value.string_or("");
  std::int64_t digits = 0;
  const auto [end, why] = std::from_chars(text.data(), text.data() + text.size(), digits);
  if (why != std::errc{} || end != text.data() + text.size()) return {};
  return normalised(static_cast<double>(digits));
}

std::string word(std::string_view text) {
  constexpr std::size_t bytes_max = 64;
  return text::preview(text::cut(text, bytes_max));
}

std::string redelivery_key(Letter letter, std::string_view id) {
  return std::string{static_cast<char>(letter), '/'} + bounded(id, key_bytes_max - 2);
}

std::string receipt_key(std::string_view provider_message_id, std::string_view suffix) {
  if (provider_message_id.empty()) return bounded(suffix, key_bytes_max - 2);
  std::string key(provider_message_id);
  key += ':';
  key += suffix;
  if (key.size() <= key_bytes_max - 2) return key;
  // The hash covers all of it; an ordinary id still stands in front.
  const std::string hash = hash_id(key);
  if (provider_message_id.size() + 1 + hash.size() > key_bytes_max - 2) return hash;
  return std::string(provider_message_id) + ':' + hash;
}

std::string hash_id(std::string_view bytes) {
  const auto hash = crypto::sha256(bytes);
  return "#" + crypto::to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

void seal_key(Letter letter, domain::WebhookEvent& event) {
  if (!event.dedupe_key.empty()) return;
  if (auto* inbound = std::get_if<domain::Inbound>(&event.what)) {
    if (inbound->provider_message_id.empty()) inbound->provider_message_id = hash_id(event.raw);
    event.dedupe_key = redelivery_key(letter, inbound->provider_message_id);
  } else if (auto* receipt = std::get_if<domain::Receipt>(&event.what)) {
    if (receipt->key.empty())
      receipt->key = receipt_key(receipt->provider_message_id, hash_id(event.raw));
    event.dedupe_key = redelivery_key(letter, receipt->key);
  } else if (auto* gone = std::get_if<domain::Retraction>(&event.what)) {
    // The withdrawn message's own key is taken by the message.
    event.dedupe_key = redelivery_key(letter, receipt_key(gone->provider_message_id, "deleted"));
  } else {
    event.dedupe_key = redelivery_key(letter, hash_id(event.raw));
  }
}

std::vector<domain::WebhookEvent> unusable(Letter letter, std::string reason,
                                           std::string_view body) {
  domain::WebhookEvent event{domain::Unusable{std::move(reason)}, std::string(body), {}};
  seal_key(letter, event);
  std::vector<domain::WebhookEvent> out;
  out.push_back(std::move(event));
  return out;
}

std::vector<domain::WebhookEvent> kept(Letter letter, std::string kind, std::string_view body) {
  domain::WebhookEvent event{domain::Kept{std::move(kind)}, std::string(body), {}};
  seal_key(letter, event);
  std::vector<domain::WebhookEvent> out;
  out.push_back(std::move(event));
  return out;
}

}  // namespace sara::providers
