// E-mail as bytes: multipart forms, MIME mails, encoded headers, HTML to plain text.
// GMime lives in mime.cpp alone. Nothing here trusts its input.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "domain/webhook.hpp"

namespace sara::providers::mime {

/// One part of a multipart/form-data body. `content` are bytes of the body, not a copy.
struct FormPart {
  std::string name;
  std::optional<std::string> filename;
  std::string content_type;
  std::string_view content;
};
/// errors: malformed - no part, a part without a name, or no closing boundary
/// source: RFC 7578, RFC 2046 section 5.1
Result<std::vector<FormPart>> parse_form_data(std::string_view body, std::string_view boundary);

/// The readable content of a MIME mail, all of it UTF-8.
struct Mail {
  std::string headers;  ///< the header block as it stands in the mail
  std::string text;
  std::string html;
  std::vector<domain::Attachment> attachments;
  std::vector<std::string> files;  ///< the attachments' bytes, in their order; only if asked for
};
/// errors: malformed - not a mail
Result<Mail> parse_mail(std::string_view bytes, bool with_files = false);

/// The unfolded value of the first header of that name in a header block, or "".
std::string header_value(std::string_view headers, std::string_view name);
/// A header's text with RFC 2047 encoded words decoded; always UTF-8, on one line. At most 16 KiB
/// of it are read.
std::string decode_header(std::string_view value);

struct Mailbox {
  std::string name;     ///< may be empty
  std::string address;  ///< domain in lower case
};
/// The first mailbox of an address header such as "Ana <ana@example.com>, bob@example.com".
std::optional<Mailbox> first_mailbox(std::string_view header);

/// What a person would read of an HTML text, for lists, search and rules. It knows comments,
/// scripts, styles, line-breaking elements and the common entities, and nothing more: it is no
/// sanitiser, and its result is plain text that must be escaped like any other.
std::string plain_text(std::string_view html);

}  // namespace sara::providers::mime
