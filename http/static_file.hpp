// Files that the binary carries: /docs and /redoc with their assets, /openapi.json and the pages
// of the problem types. They live as long as the program.
#pragma once

#include <string_view>

namespace sara::http {

struct StaticFile {
  std::string_view path;          ///< "/assets/docs/swagger-ui.css"
  std::string_view content_type;
  std::string_view content;
  std::string_view etag;          ///< strong, with its quotes
};

/// The file served at a decoded path; nullptr if there is none.
const StaticFile* find_static(std::string_view path);

/// What the pages /docs and /redoc may do: no script but our own files. Both put style elements
/// into the page, draw data: pictures, and Redoc searches in a worker that it makes from a blob.
inline constexpr std::string_view docs_policy =
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

}  // namespace sara::http
