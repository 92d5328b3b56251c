// The providers' side of the wire: their accounts, and webhook requests signed as they sign them.
// Signatures are made here from OpenSSL alone, not by the server's own code.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/http_client.hpp"

namespace sara::test {

using Fields = std::vector<std::pair<std::string, std::string>>;

/// An integration as the API made it.
struct Integration {
  std::string id;
  std::string path;  ///< of its webhook: "/webhooks/twilio/..."
  std::string url;   ///< the same, absolute, as the provider is told
};

/// POST /api/v1/integrations; throws unless 201.
Integration make_integration(HttpClient& api, std::string_view json);

std::string quoted(std::string_view text);
std::string form(const Fields& fields);
/// Milliseconds of the wall clock, as providers stamp events.
std::int64_t now_ms();
/// A suffix that no other run has used.
std::string unique();

/// A copy with one header replaced (an empty value removes it).
Ask with_header(Ask ask, std::string_view name, const std::string& value);

struct Twilio {
  explicit Twilio(HttpClient& api);
  Ask message(const std::string& sid, const std::string& from, const std::string& body,
              const Fields& more = {}) const;
  Ask status(const std::string& sid, const std::string& status, const Fields& more = {}) const;
  /// Any form, rightly signed.
  Ask signed_form(const Fields& fields) const;
  /// A JSON body under bodySHA256.
  Ask signed_json(const std::string& body) const;
  /// X-Twilio-Signature of a URL and form.
  std::string signature(std::string url, Fields fields) const;

  std::string account_sid = "AC00000000000000000000000000000000";
  std::string auth_token = "test_auth_token_0123456789abcdef";
  std::string number = "+15550100001";
  Integration integration;
};

struct Meta {
  explicit Meta(HttpClient& api, std::string app_secret = "test_app_secret_0123456789abcdef");
  Ask signed_body(std::string body) const;
  Ask messenger(const std::string& sender, const std::string& mid, const std::string& text) const;
  Ask instagram(const std::string& sender, const std::string& mid, const std::string& text) const;
  Ask whatsapp(const std::string& from, const std::string& wamid, const std::string& text) const;
  Ask whatsapp_status(const std::string& to, const std::string& wamid,
                      const std::string& status) const;
  /// One element of entry[].messaging[] of the page.
  Ask page_event(const std::string& messaging_json) const;
  std::string signature(std::string_view body) const;
  std::int64_t now() const { return clock_ms == 0 ? now_ms() : clock_ms; }

  std::string app_secret;
  std::string verify_token = "test_verify_token_0123456789";
  std::string page_id = "100000000000001";
  std::string instagram_id = "17840000000000001";
  std::string phone_number_id = "300000000000001";
  std::int64_t clock_ms = 0;  ///< what it stamps events with; 0: the wall clock
  Integration integration;
};

/// One part of a multipart body.
struct Part {
  std::string name;
  std::string value;
};

struct SendGrid {
  explicit SendGrid(HttpClient& api, std::string inbound_token = {});
  ~SendGrid();
  /// A batch of events, signed with the present time or `age_s` before it.
  Ask events(const std::string& body, std::int64_t age_s = 0) const;
  /// One mail by inbound parse, unsigned, with the token if the integration has one.
  Ask mail(const std::vector<Part>& parts) const;
  /// The parts of an ordinary mail.
  static std::vector<Part> mail_parts(const std::string& from, const std::string& subject,
                                      const std::string& text, const std::string& message_id);

  /// What the integration verifies events with: DER in base64.
  std::string public_key() const;

  std::string inbound_token;
  Integration integration;

 private:
  struct Key;
  std::unique_ptr<Key> key_;
};

/// Our own provider: no account, no secret that anybody knows.
Integration make_sandbox(HttpClient& api, const std::string& settings = "{}");

/// multipart/form-data with a fixed boundary.
std::string multipart(const std::vector<Part>& parts);
constexpr std::string_view multipart_type = "multipart/form-data; boundary=xYzZY";

}  // namespace sara::test
