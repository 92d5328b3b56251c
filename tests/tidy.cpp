// The house rules as a test: which room may include what, names, sizes, and pages that must exist.
// The rules themselves are told in docs/architecture.md; the two tables below are their letter.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;
using Names = std::set<std::string, std::less<>>;

// --- the house ---------------------------------------------------------------------------------

/// What each room may include of ours, beside itself.
const std::map<std::string, Names, std::less<>> rooms = {
    {"base", {}},
    {"domain", {"base"}},
    {"messages", {"domain", "base"}},
    {"providers", {"domain", "base"}},
    {"storage", {"domain", "base"}},
    {"actors", {"messages", "domain", "providers", "storage", "base"}},
    {"http", {"messages", "domain", "providers", "base"}},
    {"runtime", {"http", "actors", "storage", "messages", "domain", "providers", "base"}},
};

/// Parts of base that a pure decision has no use for.
const Names not_for_domain = {"base/json.hpp", "base/crypto.hpp", "base/log.hpp", "base/metric.hpp",
                              "base/http_call.hpp", "base/fault.hpp"};
/// The only actors that may speak to the database.
const Names actors_with_storage = {"persistence", "query"};

/// A library: how its headers start, and which files may include them. "http/" means the room,
/// "http/tls." that file, header and source.
struct Library {
  std::string name;
  Strings headers;
  Strings users;
};
const std::vector<Library> libraries = {
    {"RapidJSON", {"rapidjson/"}, {"base/json.cpp"}},
    {"OpenSSL", {"openssl/"}, {"base/crypto.cpp", "base/random.cpp", "http/tls."}},
    {"iconv", {"iconv.h"}, {"base/text.cpp"}},
    {"spdlog", {"spdlog/"}, {"base/log.cpp"}},
    {"prometheus-cpp", {"prometheus/"}, {"base/metric.cpp"}},
    {"tl::expected", {"tl/"}, {"base/result.hpp"}},
    {"fmt",
     {"fmt/"},
     {"base/", "domain/", "messages/", "providers/", "storage/", "actors/", "http/", "runtime/"}},
    {"date", {"date/"}, {"base/", "domain/"}},
    {"Boost.Math", {"boost/math/"}, {"domain/"}},
    {"Eigen", {"Eigen/"}, {"domain/"}},
    {"nanoflann", {"nanoflann.hpp"}, {"domain/"}},
    {"xxHash", {"xxhash.h"}, {"domain/"}},
    {"RE2", {"re2/"}, {"domain/"}},
    {"GMime", {"gmime/", "glib"}, {"providers/mime.cpp"}},
    {"libpqxx", {"pqxx/", "libpq-fe.h"}, {"storage/"}},
    {"CAF", {"caf/"}, {"messages/", "actors/", "runtime/", "http/bridge."}},
    {"Beast and Asio", {"boost/"}, {"http/"}},
    {"cpp-jwt", {"jwt/"}, {"http/auth.cpp"}},
    {"gumbo", {"gumbo.h"}, {"http/clean.cpp"}},
    {"libcurl", {"curl/"}, {"http/client."}},
    {"CLI11", {"CLI/"}, {"runtime/"}},
    {"toml++", {"toml++/"}, {"runtime/"}},
    {"jemalloc", {"jemalloc/"}, {"runtime/memory.cpp"}},
};

/// Standard headers that bring threads, files or terminals, and so have no place in a decision.
const Names impure = {"thread",     "mutex",   "shared_mutex", "condition_variable",
                      "future",     "atomic",  "semaphore",    "stop_token",
                      "latch",      "barrier", "fstream",      "iostream",
                      "filesystem", "cstdio",  "csignal",      "ctime"};

const Names banned = {"util",    "utils", "common",  "helper",
                      "helpers", "misc",  "manager", "managers"};
const Names other_folders = {"tests", "bench", "docs", "web", "cmake"};
const Names folders_in_rooms = {"providers/channels", "providers/models", "providers/crm",
                                "storage/migrations", "http/routes"};

constexpr std::size_t columns_max = 100;

// --- reading -----------------------------------------------------------------------------------

struct File {
  std::string path;  ///< from the root, "http/routes/webhook.cpp"
  std::string text;
  Strings lines;

  std::string room() const { return path.substr(0, path.find('/')); }
  std::string stem() const { return fs::path(path).stem().string(); }
  bool is_cpp() const { return path.ends_with(".cpp") || path.ends_with(".hpp"); }
  bool in_room() const { return path.find('/') != path.npos && rooms.contains(room()); }
};

bool skipped(const fs::path& folder) {
  const auto name = folder.filename().string();
  return name == ".git" || name == "build" || name == "var" || name == "node_modules" ||
         name == "dist" || name == ".cache";
}

std::vector<File> read_tree() {
  const fs::path root = SARA_SOURCE_DIR;
  std::vector<File> out;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::end(it); ++it) {
    if (it->is_directory()) {
      if (skipped(it->path())) it.disable_recursion_pending();
      continue;
    }
    // A worktree's .git is a file that names its folder.
    if (!it->is_regular_file() || it->path().filename() == ".git") continue;
    File file{it->path().lexically_relative(root).string(), {}, {}};
    std::ifstream in(it->path(), std::ios::binary);
    file.text.assign(std::istreambuf_iterator<char>(in), {});
    std::istringstream lines(file.text);
    for (std::string line; std::getline(lines, line);) file.lines.push_back(line);
    out.push_back(std::move(file));
  }
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.path < b.path; });
  return out;
}

const std::vector<File>& tree() {
  static const auto all = read_tree();
  return all;
}

bool exists(const std::string& path) {
  return fs::exists(fs::path(SARA_SOURCE_DIR) / path);
}

std::string text_of(const std::string& path) {
  for (const auto& file : tree()) {
    if (file.path == path) return file.text;
  }
  return "";
}

struct Include {
  bool ours = false;  ///< in quotation marks
  std::string header;
  std::size_t line = 0;
};

std::vector<Include> includes_of(const File& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> out;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    std::smatch m;
    if (file.lines[i].find("include") == std::string::npos) continue;
    if (std::regex_search(file.lines[i], m, pattern)) out.push_back({m[1] == "\"", m[2], i + 1});
  }
  return out;
}

/// Code points, for UTF-8.
std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

/// For each line, whether it is part of a raw string that began on an earlier one.
std::vector<bool> inside_raw_strings(const File& file) {
  static const std::regex opening(R"re(R"([A-Za-z]*)\()re");
  std::vector<bool> out;
  std::string closing;
  for (const auto& line : file.lines) {
    out.push_back(!closing.empty());
    std::string rest = line;
    for (std::smatch m;;) {
      if (!closing.empty()) {
        const auto end = rest.find(closing);
        if (end == std::string::npos) break;
        rest.erase(0, end + closing.size());
        closing.clear();
      }
      if (rest.find("R\"") == std::string::npos || !std::regex_search(rest, m, opening)) break;
      closing = ")" + m[1].str() + "\"";
      rest = m.suffix();
    }
  }
  return out;
}

/// Complaints, a line each: an empty report is what every test wants.
class Report {
 public:
  void add(const std::string& where, const std::string& what) {
    text_ += where + ": " + what + "\n";
  }
  void add(const File& file, std::size_t line, const std::string& what) {
    add(file.path + ":" + std::to_string(line), what);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Every match of a pattern's first group in a text.
Strings matches(const std::string& text, const char* pattern) {
  const std::regex compiled(pattern);
  Strings out;
  for (std::sregex_iterator it(text.begin(), text.end(), compiled), end; it != end; ++it) {
    out.push_back((*it)[1]);
  }
  return out;
}

/// True if a documented path means this route, segment by segment: a parameter there stands for
/// any.
bool covers(const std::string& documented, const std::string& route) {
  const fs::path a = documented;
  const fs::path b = route;
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto& known, auto& segment) {
    return known == segment || known.string().starts_with('{');
  });
}

// --- the first column --------------------------------------------------------------------------

/// Why a file may not include one of our headers, or "".
std::string objection(const File& file, const std::string& header) {
  if (header.starts_with("embedded/")) return "";  // Made by the build; see cmake/embed.cmake.
  if (!exists(header)) return "includes start at the root, and this one does not exist";
  const auto from = file.room();
  const auto to = header.substr(0, header.find('/'));
  if (from == to) return "";
  if (!rooms.at(from).contains(to)) return from + " may not include " + to;
  if (from == "domain" && not_for_domain.contains(header)) return "no room for this in a decision";
  if (from == "actors" && to == "storage" && !actors_with_storage.contains(file.stem())) {
    return "only persistence and query may include storage";
  }
  return "";
}

// --- the second column -------------------------------------------------------------------------

const Library* library_of(const std::string& header) {
  for (const auto& library : libraries) {
    for (const auto& start : library.headers) {
      if (header.starts_with(start)) return &library;
    }
  }
  return nullptr;
}

bool is_standard(const std::string& header) {
  return std::all_of(header.begin(), header.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// A header of the operating system: "unistd.h", "sys/stat.h".
bool is_system(const std::string& header) {
  static const Names folders = {"sys", "netinet", "arpa", "linux", "net"};
  const auto slash = header.find('/');
  return header.ends_with(".h") &&
         (slash == std::string::npos || folders.contains(header.substr(0, slash)));
}

/// Why a file may not name a library, or "".
std::string library_objection(const File& file, const std::string& header) {
  const bool pure = file.room() == "domain";
  if (is_standard(header)) {
    return pure && impure.contains(header) ? "a decision has no threads, files or clock" : "";
  }
  if (const auto* library = library_of(header)) {
    const auto& users = library->users;
    const bool may = std::any_of(users.begin(), users.end(), [&](const std::string& user) {
      return file.path.starts_with(user);
    });
    return may ? "" : library->name + " has its place elsewhere";
  }
  if (is_system(header)) return pure ? "a decision knows no operating system" : "";
  return "this library is not in the table of tests/tidy.cpp";
}

}  // namespace

TEST_CASE("tidy: rooms include only what lies below them") {
  Report report;
  for (const auto& file : tree()) {
    if (!file.in_room() || !file.is_cpp()) continue;
    for (const auto& include : includes_of(file)) {
      const auto why =
          include.ours ? objection(file, include.header) : library_objection(file, include.header);
      if (!why.empty()) report.add(file, include.line, include.header + ": " + why);
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: a decision asks no clock") {
  Report report;
  for (const auto& file : tree()) {
    if (file.room() != "domain" || !file.is_cpp()) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (file.lines[i].find("_clock::now") != std::string::npos) {
        report.add(file, i + 1, "time comes in as a value");
      }
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: folders are the rooms, files are named by their stem") {
  Report report;
  static const std::regex snake("[a-z0-9][a-z0-9_]*");
  for (const auto& file : tree()) {
    for (const auto& part : fs::path(file.path)) {
      const auto word = part.stem().string();
      if (banned.contains(word)) report.add(file.path, "a missing concept hides behind " + word);
    }
    if (file.path.find('/') == std::string::npos || file.path.starts_with('.')) continue;
    if (!rooms.contains(file.room()) && !other_folders.contains(file.room())) {
      report.add(file.path, "there is no room " + file.room());
    }
    if (!file.in_room()) continue;
    const auto folder = fs::path(file.path).parent_path().string();
    if (folder != file.room() && !folders_in_rooms.contains(folder)) {
      report.add(file.path, "nothing else nests");
    }
    if (!std::regex_match(file.stem(), snake)) report.add(file.path, "names are snake_case");
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: namespaces are rooms") {
  Report report;
  for (const auto& file : tree()) {
    if (!file.in_room() || !file.is_cpp()) continue;
    const auto wanted = file.room() == "base" ? "sara" : "sara::" + file.room();
    for (const auto& name : matches(file.text, R"((?:^|\n)namespace (sara[a-z_:]*) \{)")) {
      // CAF finds inspect() by the namespace of its argument, so messages reopen those below.
      const bool inspects = file.path == "messages/inspect.hpp";
      if (!inspects && name != wanted && !name.starts_with(wanted + "::")) {
        report.add(file.path, "namespace " + name + " is not " + wanted);
      }
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: a header says what it is for, and is read once") {
  Report report;
  for (const auto& file : tree()) {
    if (!file.path.ends_with(".hpp")) continue;
    if (!file.text.starts_with("// ")) report.add(file.path, "opens without a word on itself");
    if (file.text.find("#pragma once") == std::string::npos) {
      report.add(file.path, "lacks #pragma once");
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: lines end at 100 columns") {
  Report report;
  for (const auto& file : tree()) {
    const bool script = file.path == "dev" || file.path.ends_with(".cmake") ||
                        file.path.ends_with("CMakeLists.txt");
    if (!file.is_cpp() && !script) continue;
    const auto raw = inside_raw_strings(file);
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const auto& line = file.lines[i];
      // An address cannot be broken, and a test shows others' bytes as they are.
      if (line.find("://") != line.npos) continue;
      if (file.room() == "tests" && (raw[i] || line.find("R\"") != line.npos)) continue;
      if (columns(line) > columns_max) {
        report.add(file, i + 1, std::to_string(columns(line)) + " columns");
      }
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: no promise without an issue, no place of one machine, no registry") {
  // Spelled in two parts, so that this file does not find itself.
  const Strings nowhere = {std::string("/wo") + "rk/", std::string("registry") + ".npmjs",
                           std::string("\"resol") + "ved\":"};
  const auto promise = std::string("TO") + "DO";
  Report report;
  for (const auto& file : tree()) {
    for (const auto& place : nowhere) {
      if (file.text.find(place) != std::string::npos) report.add(file.path, "names " + place);
    }
    if (!file.is_cpp()) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const auto at = file.lines[i].find(promise);
      if (at != std::string::npos && file.lines[i].find('#', at) == std::string::npos) {
        report.add(file, i + 1, promise + " without an issue");
      }
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: every problem type has a page that says what to do") {
  Report report;
  const auto table = text_of("http/problem.cpp");
  for (const auto& type : matches(table, "[1-5][0-9][0-9],\\s*\"([a-z-]+)\"")) {
    const auto page = "docs/problems/" + type + ".md";
    const auto text = text_of(page);
    if (text.empty()) {
      report.add(page, "is missing");
    } else if (!text.starts_with("# ")) {
      report.add(page, "opens without a title");
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: every route is in the OpenAPI document") {
  Report report;
  const auto documented = matches(text_of("docs/openapi.json"), R"re("(/[^"]*)"\s*:)re");
  for (const auto& file : tree()) {
    if (!file.path.starts_with("http/routes/")) continue;
    const auto* pattern = "\\.(?:get|post|put|patch|remove|websocket)\\s*\\(\\s*\"(/[^\"]*)\"";
    for (const auto& path : matches(file.text, pattern)) {
      if (path.starts_with("/assets/")) continue;  // parts of /docs and /redoc, no interface
      const bool found = std::any_of(documented.begin(), documented.end(),
                                     [&](const auto& known) { return covers(known, path); });
      if (!found) report.add(file.path, path + " is not in docs/openapi.json");
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: migrations are numbered without gaps, and keys begin with the tenant") {
  Report report;
  int next = 1;
  for (const auto& file : tree()) {
    if (!file.path.starts_with("storage/migrations/")) continue;
    const auto name = fs::path(file.path).filename().string();
    static const std::regex numbered(R"((\d{4})_[a-z_]+\.sql)");
    std::smatch m;
    if (!std::regex_match(name, m, numbered) || std::stoi(m[1]) != next) {
      report.add(file.path, "should be number " + std::to_string(next));
    }
    ++next;
    const auto* first_column = R"((?:PRIMARY KEY|INDEX \w+ ON \w+) \((\w+))";
    for (const auto& column : matches(file.text, first_column)) {
      if (column != "tenant_id") report.add(file.path, "a key begins with " + column);
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: every stem stands in the glossary") {
  Report report;
  const auto glossary = text_of("docs/glossary.md");
  Names stems;
  for (const auto& file : tree()) {
    const auto room = file.room();
    if ((room == "domain" || room == "messages" || room == "actors") && file.is_cpp()) {
      stems.insert(file.stem());
    }
    if (file.path.starts_with("storage/migrations/")) {
      const auto stem = file.stem();
      if (stem.size() > 5) stems.insert(stem.substr(5));
    }
  }
  for (auto stem : stems) {
    std::replace(stem.begin(), stem.end(), '_', ' ');
    if (glossary.find("**" + stem + "**") == std::string::npos) {
      report.add("docs/glossary.md", "lacks **" + stem + "**");
    }
  }
  CHECK(report.text() == "");
}

TEST_CASE("tidy: every crash point has a name of its own, and a test that dies there") {
  Report report;
  // In the code, and as rows of the test's tables.
  std::multiset<std::string> placed;
  for (const auto& file : tree()) {
    if (!file.in_room()) continue;
    for (const auto& label : matches(file.text, R"re(fault::point\("([^"]*)"\))re")) {
      placed.insert(label);
      if (placed.count(label) > 1) report.add(file.path, label + " is the name of two places");
    }
  }
  const auto tests = matches(text_of("tests/e2e/crash_point.cpp"), R"re(\{"([a-z_]+\.[a-z_]+)")re");
  const Names tested(tests.begin(), tests.end());
  for (const auto& label : placed) {
    if (!tested.contains(label)) report.add(label, "no test dies there");
  }
  for (const auto& label : tested) {
    if (!placed.contains(label)) report.add(label, "is tested, but stands nowhere");
  }
  CHECK(report.text() == "");
  CHECK(placed.size() >= 15);
}
