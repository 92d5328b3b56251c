// The root key: from the environment, or kept in the data dir.
#include "runtime/secret_key.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace sara;
using namespace sara::runtime;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  Folder() {
    std::string made = (fs::temp_directory_path() / "sara-key-XXXXXX").string();
    path = mkdtemp(made.data());
    unsetenv("MADANSARA_SECRET_KEY");
  }
  ~Folder() {
    unsetenv("MADANSARA_SECRET_KEY");
    fs::remove_all(path);
  }
};

}  // namespace

TEST_CASE("secret key: is made once, kept with mode 600 and found again") {
  const Folder folder;
  const auto first = root_key(folder.path, "development");
  REQUIRE(first);
  CHECK(first->size() == 32);
  CHECK(root_key(folder.path, "development").value() == *first);
  struct stat info {};
  REQUIRE(stat((folder.path / "secret.key").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  chmod((folder.path / "secret.key").c_str(), 0644);
  CHECK(root_key(folder.path, "development").error().code == Errc::invalid_argument);
}

TEST_CASE("secret key: production wants it from the environment") {
  const Folder folder;
  CHECK(root_key(folder.path, "production").error().code == Errc::invalid_argument);
  CHECK_FALSE(fs::exists(folder.path / "secret.key"));
  setenv("MADANSARA_SECRET_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1);
  CHECK(root_key(folder.path, "production").value() == std::string(32, '\0'));
}

TEST_CASE("secret key: a key of another length or spelling is refused") {
  const Folder folder;
  for (const auto* wrong : {"c2hvcnQ=", "not base64!", "AAAA AAAA"}) {
    setenv("MADANSARA_SECRET_KEY", wrong, 1);
    CHECK(root_key(folder.path, "development").error().code == Errc::invalid_argument);
  }
}
