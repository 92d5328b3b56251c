#include "runtime/secret_key.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <span>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "base/random.hpp"

namespace sara::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t key_bytes = 32;

Result<std::string> decode(std::string_view text, const std::string& source) {
  auto key = crypto::from_base64(text);
  if (key && key->size() == key_bytes) return key;
  return fail(Errc::invalid_argument,
              source +
                  " must be 32 bytes in base64 (44 characters); make one with: "
                  "openssl rand -base64 32");
}

tl::unexpected<Error> failed(const std::string& what) {
  return fail(Errc::unavailable, what + ": " + std::strerror(errno));
}

/// Writes a key beside its place and links it there. link() refuses to replace, so of two
/// processes that start at once both end up with the first one's key.
Result<void> make_key(const fs::path& path) {
  std::array<unsigned char, key_bytes> key;
  random_bytes(key);
  const std::string_view bytes(reinterpret_cast<const char*>(key.data()), key.size());
  auto line = crypto::to_base64(bytes) + "\n";
  const auto fresh = fs::path(path.string() + "." + random_base62(8));
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return failed("cannot write " + fresh.string());
  const auto written = write(fd, line.data(), line.size());
  const bool kept = written == static_cast<ssize_t>(line.size()) && fsync(fd) == 0;
  close(fd);
  crypto::cleanse(line);
  const bool linked = kept && link(fresh.c_str(), path.c_str()) == 0;
  const int why = errno;
  unlink(fresh.c_str());
  if (linked) log::info("secret_key.created", {{"file", path.string()}});
  if (linked || (kept && why == EEXIST)) return {};
  errno = why;
  return failed("cannot write " + path.string());
}

}  // namespace

Result<std::string> root_key(const fs::path& data_dir, std::string_view environment) {
  if (const char* given = std::getenv("MADANSARA_SECRET_KEY"); given != nullptr && *given != 0) {
    return decode(given, "MADANSARA_SECRET_KEY");
  }
  if (environment == "production") {
    return fail(Errc::invalid_argument,
                "MADANSARA_SECRET_KEY is required when ENVIRONMENT=production; make one with: "
                "openssl rand -base64 32");
  }
  std::error_code ignored;
  fs::create_directories(data_dir, ignored);
  const auto path = data_dir / "secret.key";
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    if (auto made = make_key(path); !made) return fail(made.error());
    if (stat(path.c_str(), &info) != 0) return failed("cannot read " + path.string());
  }
  if ((info.st_mode & 0077) != 0) {
    return fail(Errc::invalid_argument,
                "others may read " + path.string() + "; run: chmod 600 " + path.string());
  }
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return failed("cannot read " + path.string());
  auto key = decode(line, path.string());
  crypto::cleanse(line);
  return key;
}

}  // namespace sara::runtime
