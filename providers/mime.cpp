// Forms are cut by hand, because their parts are plain bytes; mails are read by GMime.
#include "providers/mime.hpp"

#include <gmime/gmime.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/text.hpp"
#include "providers/webhook.hpp"

namespace sara::providers::mime {
namespace {

constexpr std::size_t form_parts_max = 1000;
constexpr std::size_t header_bytes_max = 16 * 1024;
constexpr std::size_t part_headers_bytes_max = 16 * 1024;

struct Unref {
  void operator()(void* object) const { g_object_unref(object); }
};
template <class T>
using Owned = std::unique_ptr<T, Unref>;

struct Gfree {
  void operator()(char* p) const { g_free(p); }
};
using GText = std::unique_ptr<char, Gfree>;

void start_gmime() {
  static const bool started = (g_mime_init(), true);
  (void)started;
}

/// The value of a parameter such as name="text" in a Content-Disposition. Browsers and SendGrid
/// write UTF-8 bytes between the quotes.
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  std::size_t at = header.find(';');
  while (at < header.size()) {
    ++at;
    while (at < header.size() && (header[at] == ' ' || header[at] == '\t')) ++at;
    const std::size_t name_end = std::min(header.find_first_of("=;", at), header.size());
    const auto found = text::trim(header.substr(at, name_end - at));
    if (name_end == header.size() || header[name_end] == ';') {
      at = name_end;
      continue;
    }
    std::string value;
    std::size_t i = name_end + 1;
    if (i < header.size() && header[i] == '"') {
      for (++i; i < header.size() && header[i] != '"'; ++i) {
        if (header[i] == '\\' && i + 1 < header.size()) ++i;
        value += header[i];
      }
      at = std::min(header.find(';', i), header.size());
    } else {
      at = std::min(header.find(';', i), header.size());
      value = text::trim(header.substr(i, at - i));
    }
    if (text::equal_ignoring_case(found, name)) return value;
  }
  return std::nullopt;
}

/// Splits "headers CRLF CRLF content". A part may have no headers at all.
std::optional<FormPart> read_part(std::string_view part) {
  const std::size_t end = part.starts_with("\r\n") ? 0 : part.find("\r\n\r\n");
  if (end == std::string_view::npos || end > part_headers_bytes_max) return std::nullopt;
  const auto headers = part.substr(0, end);
  FormPart out;
  const std::string disposition = header_value(headers, "Content-Disposition");
  const auto name = parameter(disposition, "name");
  if (!name) return std::nullopt;
  out.name = text::to_utf8(*name, "utf-8");
  if (const auto filename = parameter(disposition, "filename"))
    out.filename = text::to_utf8(*filename, "utf-8");
  out.content_type = header_value(headers, "Content-Type");
  out.content = part.substr(end == 0 ? 2 : end + 4);
  return out;
}

std::string to_string(const char* text) {
  return text ? text : "";
}

/// The decoded bytes of a leaf of the mail.
std::string content_of(GMimePart* part) {
  GMimeDataWrapper* const wrapper = g_mime_part_get_content(part);
  if (!wrapper) return {};
  const Owned<GMimeStream> stream(g_mime_stream_mem_new());
  if (g_mime_data_wrapper_write_to_stream(wrapper, stream.get()) < 0) return {};
  const GByteArray* const bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream.get()));
  if (!bytes || bytes->len == 0) return {};
  return {reinterpret_cast<const char*>(bytes->data), bytes->len};
}

void read_leaf(Mail& mail, GMimePart* part, bool with_files) {
  auto* const object = GMIME_OBJECT(part);
  GMimeContentType* const type = g_mime_object_get_content_type(object);
  const bool attached = g_mime_part_is_attachment(part) || g_mime_part_get_filename(part);
  std::string content = content_of(part);
  const bool is_text = g_mime_content_type_is_type(type, "text", "plain");
  const bool is_html = g_mime_content_type_is_type(type, "text", "html");
  if (!attached && (is_text || is_html)) {
    std::string& to = is_text ? mail.text : mail.html;
    // Mailing lists append a footer as a further text: the parts belong together.
    if (!to.empty()) to += '\n';
    to += clean(
        text::to_utf8(content, to_string(g_mime_content_type_get_parameter(type, "charset"))));
    return;
  }
  const GText media(g_mime_content_type_get_mime_type(type));
  mail.attachments.push_back({attachment_kind(to_string(media.get())),
                              {},
                              decode_header(to_string(g_mime_part_get_filename(part))),
                              static_cast<std::int64_t>(content.size())});
  if (with_files) mail.files.push_back(std::move(content));
}

void read_object(Mail& mail, GMimeObject* object, bool with_files) {
  if (GMIME_IS_PART(object)) {
    read_leaf(mail, GMIME_PART(object), with_files);
  } else if (GMIME_IS_MESSAGE_PART(object) || GMIME_IS_MESSAGE_PARTIAL(object)) {
    mail.attachments.push_back({"file", {}, "message.eml", 0});
    if (with_files) {
      const GText text(g_mime_object_to_string(object, nullptr));
      mail.files.push_back(to_string(text.get()));
    }
  } else if (GMIME_IS_MULTIPART(object)) {
    auto* const multipart = GMIME_MULTIPART(object);
    for (int i = 0; i < g_mime_multipart_get_count(multipart); ++i)
      read_object(mail, g_mime_multipart_get_part(multipart, i), with_files);
  }
}

// Plain text from HTML.

struct Entity {
  std::string_view name;
  std::string_view text;
};
constexpr std::array<Entity, 22> entities{{
    {"amp", "&"},         {"lt", "<"},         {"gt", ">"},          {"quot", "\""},
    {"apos", "'"},        {"nbsp", " "},       {"copy", "\u00a9"},   {"reg", "\u00ae"},
    {"euro", "\u20ac"},   {"pound", "\u00a3"}, {"hellip", "\u2026"}, {"ndash", "\u2013"},
    {"mdash", "\u2014"},  {"lsquo", "\u2018"}, {"rsquo", "\u2019"},  {"ldquo", "\u201c"},
    {"rdquo", "\u201d"},  {"laquo", "\u00ab"}, {"raquo", "\u00bb"},  {"bull", "\u2022"},
    {"middot", "\u00b7"}, {"zwnj", ""},
}};

void append_code_point(std::string& out, std::uint32_t c) {
  if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = 0xFFFD;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 63));
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

/// The number after "&#", or nothing.
std::optional<std::uint32_t> numeric_entity(std::string_view digits) {
  const bool hex = !digits.empty() && (digits[0] == 'x' || digits[0] == 'X');
  if (hex) digits.remove_prefix(1);
  if (digits.empty() || digits.size() > 7) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9'          ? c - '0'
                      : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                    : -1;
    if (digit < 0) return std::nullopt;
    value = value * (hex ? 16 : 10) + static_cast<std::uint32_t>(digit);
  }
  return value;
}

/// Appends what the entity at the front means and returns its length; 0 if it is none.
std::size_t append_entity(std::string& out, std::string_view html) {
  constexpr std::size_t length_max = 10;
  const std::size_t end = html.substr(0, length_max + 1).find(';');
  if (end == std::string_view::npos || end < 2) return 0;
  const auto name = html.substr(1, end - 1);
  if (name[0] == '#') {
    const auto value = numeric_entity(name.substr(1));
    if (!value) return 0;
    append_code_point(out, *value == 0xA0 ? ' ' : *value);
    return end + 1;
  }
  for (const auto& entity : entities) {
    if (entity.name != name) continue;
    out += entity.text;
    return end + 1;
  }
  return 0;
}

/// Where the tag that begins at `i` ends: after the '>' that stands outside quotes.
std::size_t tag_end(std::string_view html, std::size_t i) {
  char quote = 0;
  for (++i; i < html.size(); ++i) {
    if (quote != 0) {
      if (html[i] == quote) quote = 0;
    } else if (html[i] == '"' || html[i] == '\'') {
      quote = html[i];
    } else if (html[i] == '>') {
      return i + 1;
    }
  }
  return html.size();
}

std::string tag_name(std::string_view tag) {
  std::size_t i = 1;
  if (i < tag.size() && tag[i] == '/') ++i;
  const std::size_t begin = i;
  while (i < tag.size() && ((tag[i] >= 'a' && tag[i] <= 'z') || (tag[i] >= 'A' && tag[i] <= 'Z') ||
                            (tag[i] >= '0' && tag[i] <= '9')))
    ++i;
  return text::lower_ascii(tag.substr(begin, i - begin));
}

/// The position of "</name" at or after `i`, in any case.
std::size_t closing_tag(std::string_view html, std::size_t i, std::string_view name) {
  for (i = html.find("</", i); i != std::string_view::npos; i = html.find("</", i + 2))
    if (text::equal_ignoring_case(html.substr(i + 2, name.size()), name)) return i;
  return html.size();
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool breaks_line(std::string_view name) {
  return is_one_of(name, {"br", "p", "div", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4",
                          "h5", "h6", "blockquote", "pre", "hr", "section", "article"});
}

/// Appends with white space folded; lines keep no space at their ends and no two stay empty.
class Folder {
 public:
  void add(std::string_view piece) {
    for (const char c : piece) {
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
        space_ = true;
      } else {
        if (!out_.empty() && breaks_ > 0) {
          out_.append(std::min<std::size_t>(breaks_, 2), '\n');
        } else if (!out_.empty() && space_) {
          out_ += ' ';
        }
        space_ = false;
        breaks_ = 0;
        out_ += c;
      }
    }
  }
  void line_break() { ++breaks_; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  std::size_t breaks_ = 0;
  bool space_ = false;
};

}  // namespace

Result<std::vector<FormPart>> parse_form_data(std::string_view body, std::string_view boundary) {
  const std::string delimiter = "\r\n--" + std::string(boundary);
  // The first delimiter may stand at the very beginning, without its line break.
  std::size_t at = body.starts_with(std::string_view(delimiter).substr(2)) ? delimiter.size() - 2
                                                                           : body.find(delimiter);
  if (at == std::string_view::npos) return fail(Errc::malformed, "no part in the form");
  if (!body.starts_with(std::string_view(delimiter).substr(2))) at += delimiter.size();
  std::vector<FormPart> out;
  for (;;) {
    const auto rest = body.substr(at);
    if (rest.starts_with("--")) return out;
    std::size_t begin = 0;
    while (begin < rest.size() && (rest[begin] == ' ' || rest[begin] == '\t')) ++begin;
    if (!rest.substr(begin).starts_with("\r\n"))
      return fail(Errc::malformed, "a boundary of the form is broken");
    begin += 2;
    // An empty header block leaves only the line break before the next boundary.
    const std::size_t end = rest.find(delimiter, begin - 2);
    if (end == std::string_view::npos) return fail(Errc::malformed, "the form is not closed");
    auto part = read_part(end < begin ? std::string_view{} : rest.substr(begin, end - begin));
    if (!part) return fail(Errc::malformed, "a part of the form has no name");
    out.push_back(std::move(*part));
    if (out.size() > form_parts_max) return fail(Errc::malformed, "too many parts in the form");
    at += end + delimiter.size();
  }
}

Result<Mail> parse_mail(std::string_view bytes, bool with_files) {
  start_gmime();
  const Owned<GMimeStream> stream(g_mime_stream_mem_new_with_buffer(bytes.data(), bytes.size()));
  const Owned<GMimeParser> parser(g_mime_parser_new_with_stream(stream.get()));
  const Owned<GMimeMessage> message(g_mime_parser_construct_message(parser.get(), nullptr));
  if (!message) return fail(Errc::malformed, "not a mail");
  Mail out;
  const std::size_t crlf = bytes.find("\r\n\r\n");
  out.headers = bytes.substr(0, std::min(crlf, bytes.find("\n\n")));
  if (GMimeObject* const root = g_mime_message_get_mime_part(message.get()))
    read_object(out, root, with_files);
  return out;
}

std::string header_value(std::string_view headers, std::string_view name) {
  while (!headers.empty()) {
    const std::size_t line_end = std::min(headers.find('\n'), headers.size());
    const auto line = headers.substr(0, line_end);
    headers.remove_prefix(std::min(line_end + 1, headers.size()));
    if (line.size() <= name.size() || line[name.size()] != ':' ||
        !text::equal_ignoring_case(line.substr(0, name.size()), name))
      continue;
    std::string value(text::trim(line.substr(name.size() + 1)));
    while (!headers.empty() && (headers[0] == ' ' || headers[0] == '\t')) {
      const std::size_t end = std::min(headers.find('\n'), headers.size());
      if (!value.empty()) value += ' ';
      value += text::trim(headers.substr(0, end));
      headers.remove_prefix(std::min(end + 1, headers.size()));
    }
    return value;
  }
  return {};
}

std::string decode_header(std::string_view value) {
  start_gmime();
  std::string in = text::to_utf8(clean(value.substr(0, header_bytes_max)), "");
  if (in.find("=?") != std::string::npos) {
    const GText decoded(g_mime_utils_header_decode_text(nullptr, in.c_str()));
    in = text::to_utf8(to_string(decoded.get()), "utf-8");
  }
  for (char& c : in)
    if (c == '\n' || c == '\t') c = ' ';
  return text::tidy(in);
}

std::optional<Mailbox> first_mailbox(std::string_view header) {
  start_gmime();
  const std::string in = text::to_utf8(clean(header.substr(0, header_bytes_max)), "");
  const Owned<InternetAddressList> list(internet_address_list_parse(nullptr, in.c_str()));
  for (int i = 0; list && i < internet_address_list_length(list.get()); ++i) {
    InternetAddress* const item = internet_address_list_get_address(list.get(), i);
    if (!INTERNET_ADDRESS_IS_MAILBOX(item)) continue;
    std::string address =
        email_address(to_string(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(item))));
    if (address.find('@') == std::string::npos) continue;
    return Mailbox{decode_header(to_string(internet_address_get_name(item))),
                   text::to_utf8(address, "utf-8")};
  }
  return std::nullopt;
}

std::string plain_text(std::string_view html) {
  Folder out;
  std::string decoded;
  for (std::size_t i = 0; i < html.size();) {
    if (html[i] == '<') {
      const auto rest = html.substr(i);
      if (rest.starts_with("<!--")) {
        const std::size_t end = html.find("-->", i + 4);
        i = end == std::string_view::npos ? html.size() : end + 3;
        continue;
      }
      const bool is_tag = rest.size() > 1 && (rest[1] == '/' || rest[1] == '!' || rest[1] == '?' ||
                                              (rest[1] >= 'a' && rest[1] <= 'z') ||
                                              (rest[1] >= 'A' && rest[1] <= 'Z'));
      if (is_tag) {
        const std::size_t end = tag_end(html, i);
        const std::string name = tag_name(html.substr(i, end - i));
        const bool opens = rest[1] != '/';
        i = end;
        if (breaks_line(name)) out.line_break();
        if (opens && is_one_of(name, {"script", "style", "title", "head", "template"}))
          i = closing_tag(html, end, name);
        if (is_one_of(name, {"td", "th"})) out.add(" ");
        continue;
      }
      out.add("<");
      ++i;
      continue;
    }
    if (html[i] == '&') {
      decoded.clear();
      if (const std::size_t length = append_entity(decoded, html.substr(i)); length > 0) {
        out.add(decoded);
        i += length;
        continue;
      }
      out.add("&");
      ++i;
      continue;
    }
    const std::size_t end = std::min(html.find_first_of("<&", i), html.size());
    out.add(html.substr(i, end - i));
    i = end;
  }
  return clean(out.take());
}

}  // namespace sara::providers::mime
