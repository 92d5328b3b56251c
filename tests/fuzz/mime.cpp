// Mails, headers and HTML as bytes: whatever they are, what is read of them is UTF-8.
#include "providers/mime.hpp"

#include <string>

#include "base/text.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace sara;
using fuzz::demand;
namespace mime = providers::mime;

bool storable(std::string_view s) {
  return text::valid_utf8(s) && s.find('\0') == s.npos;
}

void attack_mail(std::string_view bytes) {
  const auto mail = mime::parse_mail(bytes, true);
  if (!mail) return;
  demand(storable(mail->text) && storable(mail->html), "a text that cannot be stored");
  demand(bytes.starts_with(mail->headers), "headers that the mail does not have");
  demand(mail->attachments.size() == mail->files.size(), "a file without its attachment");
  for (std::size_t i = 0; i < mail->files.size(); ++i) {
    const auto& attachment = mail->attachments[i];
    demand(storable(attachment.name) && storable(attachment.type), "a name that cannot be stored");
    // A forwarded mail is written out only when it is asked for: its size is not said before.
    demand(attachment.size_bytes == 0 ||
               attachment.size_bytes == static_cast<std::int64_t>(mail->files[i].size()),
           "a file of another size");
  }
  const auto light = mime::parse_mail(bytes);
  demand(light && light->files.empty() && light->text == mail->text &&
             light->attachments == mail->attachments,
         "the files change the mail");
}

void attack_headers(std::string_view bytes) {
  const auto decoded = mime::decode_header(bytes);
  demand(storable(decoded), "a header that cannot be stored");
  demand(decoded.find_first_of("\r\n") == std::string::npos, "a header of two lines");
  if (const auto mailbox = mime::first_mailbox(bytes)) {
    demand(storable(mailbox->name) && storable(mailbox->address),
           "a mailbox that cannot be stored");
    demand(mailbox->address.find('@') != std::string::npos, "an address without its domain");
  }
  const auto value = mime::header_value(bytes, "Subject");
  demand(value.size() <= bytes.size() && value.find('\n') == std::string::npos, "an unfolded line");
}

void attack_form(std::string_view bytes) {
  const auto parts = mime::parse_form_data(bytes, "xYzZY");
  if (!parts) return;
  for (const auto& part : *parts) {
    demand(text::valid_utf8(part.name), "a name that is not UTF-8");
    demand(text::valid_utf8(part.filename.value_or("")), "a file name that is not UTF-8");
    demand(part.content.find("\r\n--xYzZY") == part.content.npos, "a part with a boundary");
  }
}

void attack(std::string_view bytes) {
  attack_mail(bytes);
  attack_headers(bytes);
  attack_form(bytes);
  demand(storable(mime::plain_text(text::to_utf8(bytes, "utf-8"))), "a text out of HTML");
}

[[maybe_unused]] const bool added = fuzz::add_target("mime", attack);

}  // namespace
