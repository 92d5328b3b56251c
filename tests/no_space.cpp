// A full disk, for a Postgres that this library is preloaded into: as long as the file
// $NO_SPACE_WHILE exists, no table or index grows (docs/adr/0007-crash-points.md). What is there
// already can be written over, as on a real disk.
#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

bool is_relation(int fd) {
  char link[64];
  char path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  auto n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return std::strstr(path, "/base/") != nullptr || std::strstr(path, "/pg_tblspc/") != nullptr;
}

bool is_refused(int fd, std::size_t bytes, off64_t at) {
  const char* flag = std::getenv("NO_SPACE_WHILE");
  if (flag == nullptr || access(flag, F_OK) != 0) return false;
  struct stat64 info {};
  if (fstat64(fd, &info) != 0) return false;
  return at + static_cast<off64_t>(bytes) > info.st_size && is_relation(fd);
}

}  // namespace

extern "C" {

ssize_t pwrite64(int fd, const void* bytes, std::size_t size, off64_t at) {
  using Write = ssize_t (*)(int, const void*, std::size_t, off64_t);
  static const auto real = reinterpret_cast<Write>(dlsym(RTLD_NEXT, "pwrite64"));
  if (is_refused(fd, size, at)) {
    errno = ENOSPC;
    return -1;
  }
  return real(fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t at) {
  return pwrite64(fd, bytes, size, at);
}

}  // extern "C"
