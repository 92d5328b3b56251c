// Every input that a fuzzer has found worth keeping, against the target it was kept for. An input
// that once broke something stays here under the name of what it broke.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/target.hpp"

namespace {

namespace fs = std::filesystem;
using namespace sara::fuzz;

const fs::path corpus = fs::path(SARA_SOURCE_DIR) / "tests/fuzz/corpus";

/// What the attack complains of, or "".
std::string complaint(const Target& target, const fs::path& input) {
  std::ifstream in(input, std::ios::binary);
  // A vector has nothing behind its end, so that a sanitizer sees who reads there.
  const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
  try {
    target.attack({bytes.data(), bytes.size()});
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("fuzz: no input of the corpus breaks its target") {
  CHECK(targets().size() >= 15);
  for (const auto& target : targets()) {
    const auto folder = corpus / target.name;
    CAPTURE(target.name);
    REQUIRE(fs::is_directory(folder));
    std::size_t inputs = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
      CAPTURE(entry.path().filename().string());
      CHECK(complaint(target, entry.path()) == "");
      ++inputs;
    }
    CHECK(inputs > 0);
  }
}

TEST_CASE("fuzz: no input is kept for a target that is gone") {
  for (const auto& entry : fs::directory_iterator(corpus)) {
    const auto name = entry.path().filename().string();
    CAPTURE(name);
    CHECK(std::any_of(targets().begin(), targets().end(),
                      [&](const Target& target) { return target.name == name; }));
  }
}
