// The migrations that cmake/embed.cmake put into the binary, in the order of their numbers.
#include <charconv>

#include "embedded/migration_files.hpp"
#include "storage/migration.hpp"

namespace sara::storage {
namespace {

std::vector<Migration> read_embedded() {
  std::vector<Migration> out;
  for (const auto& file : migration_files::files()) {
    Migration migration{0, file.name, file.content};
    std::from_chars(file.name.data(), file.name.data() + file.name.size(), migration.number);
    const int before = out.empty() ? 0 : out.back().number;
    ensure(migration.number > before, "migrations are numbered 0001_, 0002_ ..., each once");
    out.push_back(migration);
  }
  return out;
}

}  // namespace

const std::vector<Migration>& migrations() {
  static const std::vector<Migration> all = read_embedded();
  return all;
}

}  // namespace sara::storage
