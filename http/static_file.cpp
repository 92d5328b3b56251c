// The table of embedded files, built at the first look.
#include "http/static_file.hpp"

#include <map>
#include <string>

#include "base/crypto.hpp"
#include "embedded/docs_pages.hpp"
#include "embedded/openapi_document.hpp"
#include "embedded/problem_pages.hpp"

namespace sara::http {
namespace {

std::string_view content_type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".json")) return "application/json";
  if (name.ends_with(".md")) return "text/markdown; charset=utf-8";
  return "text/plain; charset=utf-8";
}

/// Where a bundled page or asset is served.
std::string path_of(std::string_view name) {
  if (name == "swagger.html") return "/docs";
  if (name == "redoc.html") return "/redoc";
  return "/assets/docs/" + std::string(name);
}

struct Entry {
  std::string etag;
  StaticFile file;
};
/// A map's nodes stay where they are, so the views into keys and etags hold.
using Table = std::map<std::string, Entry, std::less<>>;

void add(Table& table, std::string path, std::string_view name, std::string_view content) {
  const auto sum = crypto::sha256(content);
  const std::string_view head(reinterpret_cast<const char*>(sum.data()), 12);
  const auto [at, fresh] = table.try_emplace(std::move(path));
  at->second.etag = '"' + crypto::to_hex(head) + '"';
  at->second.file = {at->first, content_type_of(name), content, at->second.etag};
}

Table make_table() {
  Table table;
  for (const auto& [name, content] : docs_pages::files()) add(table, path_of(name), name, content);
  for (const auto& [name, content] : openapi_document::files()) {
    add(table, "/" + std::string(name), name, content);
  }
  for (const auto& [name, content] : problem_pages::files()) {
    const auto stem = name.substr(0, name.rfind('.'));
    add(table, "/problems/" + std::string(stem), name, content);
  }
  return table;
}

}  // namespace

const StaticFile* find_static(std::string_view path) {
  static const Table table = make_table();
  const auto at = table.find(path);
  return at == table.end() ? nullptr : &at->second.file;
}

}  // namespace sara::http
