// Reading the configuration. A new key is a member in config.hpp and a row in the table here.
#include "runtime/config.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#define TOML_HEADER_ONLY 0
#include <toml++/toml.h>

namespace sara::runtime {
namespace {

using std::chrono::seconds;
using Target = std::variant<int*, std::size_t*, seconds*, Millis*, std::string*>;

/// What a text may hold. Numbers have a range instead.
enum class Text { any, choice, url, postgres, secret };

struct Key {
  const char* section;
  const char* name;
  Target (*target)(Config&);
  std::int64_t min = 0;
  std::int64_t max = 0;
  Text text = Text::any;
  const char* choices = "";      ///< "debug|info|warn|error", for Text::choice
  const char* environment = "";  ///< names beside MADANSARA_SECTION_KEY, strongest last
  const char* help = "";

  std::string full_name() const { return std::string(section) + "." + name; }
};

template <auto Section, auto Member>
Target at(Config& config) {
  return &(config.*Section.*Member);
}

/// Section, name and member of a key: a macro, so that the three cannot disagree.
// clang-format off
#define SARA_KEY(section, name) \
  #section, #name, at<&Config::section, &decltype(Config::section)::name>
// clang-format on

constexpr Key number(const char* section, const char* name, Target (*target)(Config&),
                     std::int64_t min, std::int64_t max, const char* help,
                     const char* environment = "") {
  return {section, name, target, min, max, Text::any, "", environment, help};
}
constexpr Key text(const char* section, const char* name, Target (*target)(Config&), Text kind,
                   const char* help, const char* environment = "", const char* choices = "") {
  return {section, name, target, 0, 0, kind, choices, environment, help};
}
constexpr Key base_url(const char* section, const char* name, Target (*target)(Config&),
                       const char* environment) {
  return text(section, name, target, Text::url, "where its API is; empty: its own host",
              environment);
}
constexpr Key secret(const char* section, const char* name, Target (*target)(Config&),
                     const char* environment) {
  return text(section, name, target, Text::secret, "used where a tenant has none", environment);
}

constexpr std::int64_t kib = 1024;
constexpr std::int64_t mib = 1024 * kib;
constexpr std::int64_t day_s = 86400;
constexpr std::int64_t day_ms = 1000 * day_s;
constexpr std::int64_t million = 1'000'000;

// Every key there is. Defaults stand at the members, in config.hpp.
constexpr auto keys = std::to_array<Key>({
    text(SARA_KEY(server, bind), Text::any, "address to listen on"),
    number(SARA_KEY(server, port), 0, 65535, "port to listen on; 0 picks one", "API_PORT PORT"),
    number(SARA_KEY(server, io_threads), 1, 64, "threads that serve connections"),
    text(SARA_KEY(server, public_base_url), Text::url,
         "how providers see the server (Twilio signs it); empty: the address it listens on",
         "PUBLIC_BASE_URL"),
    text(SARA_KEY(server, data_dir), Text::any,
         "where the private Postgres and the development key live"),
    text(SARA_KEY(server, environment), Text::choice,
         "production wants MADANSARA_SECRET_KEY and public addresses", "APP_ENV ENVIRONMENT",
         "development|test|staging|production"),
    number(SARA_KEY(server, drain_s), 0, 3600, "how long a stop waits for accepted work"),

    number(SARA_KEY(limits, connections_max), 1, million, "open connections"),
    number(SARA_KEY(limits, connections_per_ip_max), 1, million,
           "open connections of one address; loopback has no such limit"),
    number(SARA_KEY(limits, header_timeout_s), 1, 3600, "for a request's header section"),
    number(SARA_KEY(limits, body_timeout_s), 1, 3600, "for a request's body"),
    number(SARA_KEY(limits, body_rate_grace_s), 1, 3600,
           "time before a body's rate is looked at"),
    number(SARA_KEY(limits, body_bytes_per_s_min), 1, 1024 * mib,
           "a body that arrives more slowly on average is given up"),
    number(SARA_KEY(limits, keep_alive_s), 1, 3600, "between two requests of a connection"),
    number(SARA_KEY(limits, write_stall_s), 1, 3600, "for a client that does not read its answer"),
    number(SARA_KEY(limits, body_bytes_max), 1, 1024 * mib, "body of an API request"),
    number(SARA_KEY(limits, webhook_bytes_max), 1, 1024 * mib, "body of a webhook"),
    number(SARA_KEY(limits, inbound_parse_bytes_max), 1, 1024 * mib, "body of an inbound e-mail"),
    number(SARA_KEY(limits, bodies_in_flight_bytes_max), 1, 64 * 1024 * mib,
           "all bodies held at once; beyond: 503"),
    number(SARA_KEY(limits, requests_per_connection_max), 1, 1000 * million,
           "then the connection closes"),
    number(SARA_KEY(limits, requests_per_minute_max), 1, 1000 * million,
           "API requests of one key; beyond: 429"),
    number(SARA_KEY(limits, stranger_requests_per_15_min_max), 1, 1000 * million,
           "API requests of one address without a good credential; beyond: 429"),
    number(SARA_KEY(limits, stranger_quota_on_loopback), 0, 1,
           "1: that holds for loopback too, where a proxy's clients share one address"),
    number(SARA_KEY(limits, webhooks_per_minute_max), 1, 1000 * million,
           "webhooks of one tenant; beyond: 503"),
    number(SARA_KEY(limits, in_flight_per_tenant_max), 1, million,
           "unanswered webhooks of one tenant; beyond, they wait for a place"),
    number(SARA_KEY(limits, in_flight_shared_max), 1, million,
           "unanswered webhooks of all tenants while several are active: beyond, who has more than "
           "its share of them waits"),
    number(SARA_KEY(limits, in_flight_max), 1, million,
           "unanswered webhooks; API writes have three quarters of it for themselves"),
    number(SARA_KEY(limits, reads_in_flight_max), 1, million, "unanswered API reads"),
    number(SARA_KEY(limits, admission_wait_ms), 1, day_ms,
           "how long a request waits for a place; then: 503"),
    number(SARA_KEY(limits, loop_lag_ms_max), 1, day_ms,
           "lateness of the event loop at which everything is refused"),
    number(SARA_KEY(limits, memory_bytes_max), 64 * mib, 1024 * 1024 * mib,
           "memory of the process at which everything is refused; less important work before"),

    number(SARA_KEY(live, ping_s), 1, 3600, "between two pings of a live feed"),
    number(SARA_KEY(live, pong_timeout_s), 1, 3600, "silence after which a live feed is closed"),
    number(SARA_KEY(live, queue_bytes_max), kib, 1024 * mib,
           "bytes waiting for a slow reader; beyond: reload"),
    number(SARA_KEY(live, queue_events_max), 1, million,
           "events waiting for a slow reader; beyond: reload"),
    number(SARA_KEY(live, held_bytes_max), kib, 64 * 1024 * mib,
           "all events that wait for readers of one io thread; beyond: reload"),
    number(SARA_KEY(live, mark_s), 1, 3600, "between two marks of how far the feed is"),
    number(SARA_KEY(live, resync_patience_s), 1, 3600,
           "for a slow reader that was told to reload; then it is closed"),
    number(SARA_KEY(live, replay_events_max), 1, 1000 * million,
           "events a resuming reader may ask for; beyond: reload"),
    number(SARA_KEY(live, ring_events_max), 1, million, "recent events of a tenant kept in memory"),
    number(SARA_KEY(live, commands_per_s_max), 1, million, "commands of one reader"),
    number(SARA_KEY(live, message_bytes_max), kib, 1024 * mib, "one command of a reader"),
    number(SARA_KEY(live, sockets_per_tenant_max), 1, million, "readers of one tenant"),

    text(SARA_KEY(database, url), Text::postgres,
         "Postgres to use; empty: a private one under the data dir", "DATABASE_URL"),
    number(SARA_KEY(database, writers), 1, 64,
           "connections that write; tenants are spread over them"),
    number(SARA_KEY(database, readers), 1, 64,
           "connections that read; of several, the first quarter is for webhooks alone"),
    number(SARA_KEY(database, group_max), 1, 10000, "writes that share one commit"),
    number(SARA_KEY(database, commit_deadline_ms), 1, day_ms, "then a request is answered 503"),
    number(SARA_KEY(database, read_deadline_ms), 1, day_ms, "the same for one that only reads"),

    number(SARA_KEY(actors, threads), 1, 256, "threads that run actors"),
    number(SARA_KEY(actors, throughput), 1, million,
           "messages an actor takes before the next has its turn"),
    number(SARA_KEY(actors, conversation_idle_ms), 1, day_ms, "then a conversation leaves memory"),
    number(SARA_KEY(actors, conversation_rest_ms), 1, day_ms,
           "of quiet, then a conversation keeps its thread in memory, but no actor"),
    number(SARA_KEY(actors, tenant_idle_ms), 1, day_ms, "then a tenant leaves memory"),
    number(SARA_KEY(actors, conversation_queue_max), 1, million,
           "work waiting for one conversation; beyond: 503"),


    text(SARA_KEY(log, level), Text::choice, "least severe line that is written", "",
         "debug|info|warn|error"),

    base_url(SARA_KEY(providers, twilio_base_url), "TWILIO_BASE_URL"),
    base_url(SARA_KEY(providers, sendgrid_base_url), "SENDGRID_BASE_URL"),
    base_url(SARA_KEY(providers, meta_base_url), "META_BASE_URL"),
    base_url(SARA_KEY(providers, anthropic_base_url), "ANTHROPIC_BASE_URL"),
    base_url(SARA_KEY(providers, openai_base_url), "OPENAI_BASE_URL"),
    base_url(SARA_KEY(providers, gemini_base_url), "GEMINI_BASE_URL"),
    base_url(SARA_KEY(providers, xai_base_url), "XAI_BASE_URL"),
    base_url(SARA_KEY(providers, cerebras_base_url), "CEREBRAS_BASE_URL"),
    base_url(SARA_KEY(providers, hubspot_base_url), "HUBSPOT_BASE_URL"),
    base_url(SARA_KEY(providers, engarde_base_url), "ENGARDE_BASE_URL"),
    secret(SARA_KEY(providers, engarde_api_key), "ENGARDE_API_KEY"),
    secret(SARA_KEY(providers, anthropic_api_key), "ANTHROPIC_API_KEY"),
    secret(SARA_KEY(providers, sendgrid_api_key), "SENDGRID_API_KEY"),
    secret(SARA_KEY(providers, cerebras_api_key), "CEREBRAS_API_KEY"),
    secret(SARA_KEY(providers, meta_access_token), "META_ACCESS_TOKEN"),
    secret(SARA_KEY(providers, meta_page_access_token), "META_PAGE_ACCESS_TOKEN"),
    text(SARA_KEY(providers, meta_instagram_account_id), Text::any, "used where a tenant has none",
         "META_INSTAGRAM_ACCOUNT_ID"),
});
#undef SARA_KEY

/// Variables of kindred programs that this one has no use for; it says so.
constexpr std::array<std::pair<const char*, const char*>, 2> ignored = {{
    {"REDIS_URL", "Postgres holds everything that must last"},
    {"PLAYWRIGHT_HEADLESS", "no browser is driven"},
}};
/// Variables with our prefix that are no keys: secret_key.cpp reads the first.
constexpr std::array<std::string_view, 1> others = {"MADANSARA_SECRET_KEY"};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return text;
}

std::string variable_of(const Key& key) {
  return upper(std::string("MADANSARA_") + key.section + "_" + key.name);
}

const Key* find_key(std::string_view section, std::string_view name) {
  for (const auto& key : keys) {
    if (section == key.section && name == key.name) return &key;
  }
  return nullptr;
}

bool is_section(std::string_view name) {
  return std::any_of(keys.begin(), keys.end(), [&](const Key& k) { return name == k.section; });
}

/// Number of edits between two words, for "did you mean".
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// "; did you mean port?" if one of the names is close.
std::string suggestion(std::string_view wrong, const std::vector<std::string>& names) {
  const std::string* best = nullptr;
  for (const auto& name : names) {
    if (distance(wrong, name) <= 3 &&
        (best == nullptr || distance(wrong, name) < distance(wrong, *best))) {
      best = &name;
    }
  }
  return best == nullptr ? "" : "; did you mean " + *best + "?";
}

std::string unit_of(const Target& target) {
  if (std::holds_alternative<seconds*>(target)) return " seconds";
  if (std::holds_alternative<Millis*>(target)) return " milliseconds";
  return "";
}

/// The loader: collects values by rank, and every complaint rather than the first.
class Loader {
 public:
  Result<LoadedConfig> load(const ConfigSources& sources);

 private:
  Result<void> read_file(const std::filesystem::path& path);
  void read_environment(const Environment& environment);
  void read_flags(const ConfigSources& sources);
  void set_number(const Key& key, std::int64_t value, const std::string& origin);
  void set_text(const Key& key, std::string value, const std::string& origin);
  /// For sources that know only text: environment and flags.
  void set_from_text(const Key& key, const std::string& value, const std::string& origin);
  void set_from_toml(const Key& key, const toml::node& node, const std::string& origin);
  std::string complaint_about(const Key& key, std::string& value);
  void complain(const std::string& origin, const std::string& what) {
    complaints_.push_back(origin + ": " + what);
  }

  LoadedConfig out_;
  std::vector<std::string> complaints_;
};

void Loader::set_number(const Key& key, std::int64_t value, const std::string& origin) {
  const auto target = key.target(out_.config);
  if (value < key.min || value > key.max) {
    complain(origin, fmt::format("{} must be {} to {}{}, not {}", key.full_name(), key.min, key.max,
                                 unit_of(target), value));
    return;
  }
  std::visit(
      [value](auto* member) {
        using T = std::remove_pointer_t<decltype(member)>;
        if constexpr (std::is_same_v<T, seconds> || std::is_same_v<T, Millis>) {
          *member = T{value};
        } else if constexpr (!std::is_same_v<T, std::string>) {
          *member = static_cast<T>(value);
        }
      },
      target);
  out_.origins[key.full_name()] = origin;
}

/// What is wrong with a text, or "". May bring it into the form we keep.
std::string Loader::complaint_about(const Key& key, std::string& value) {
  if (value.find('\0') != std::string::npos) return "must not hold a zero byte";
  if (value.empty() && key.text != Text::choice) return "";
  switch (key.text) {
    case Text::any:
    case Text::secret:
      return "";
    case Text::choice: {
      const auto all = "|" + std::string(key.choices) + "|";
      const bool known = !value.empty() && value.find('|') == std::string::npos &&
                         all.find("|" + value + "|") != std::string::npos;
      return known ? "" : "must be one of " + std::string(key.choices) + ", not \"" + value + "\"";
    }
    case Text::url:
      if (!value.starts_with("http://") && !value.starts_with("https://")) {
        return "must start with http:// or https://";
      }
      while (value.ends_with('/')) value.pop_back();
      return "";
    case Text::postgres: {
      const auto scheme = value.substr(0, std::min(value.find("://"), value.size()));
      if (scheme == value) {
        return value.find('=') != std::string::npos ? "" : "must be a postgresql:// address";
      }
      // "postgresql+asyncpg" and the like name a driver of another language.
      const auto plus = scheme.find('+');
      const auto family = scheme.substr(0, plus);
      if (family != "postgres" && family != "postgresql") {
        return "must be a postgresql:// address, not " + scheme +
               ":; leave it out and a private Postgres is started";
      }
      if (plus != std::string::npos) value = family + value.substr(scheme.size());
      return "";
    }
  }
  return "";
}

void Loader::set_text(const Key& key, std::string value, const std::string& origin) {
  if (const auto wrong = complaint_about(key, value); !wrong.empty()) {
    complain(origin, key.full_name() + " " + wrong);
    return;
  }
  *std::get<std::string*>(key.target(out_.config)) = std::move(value);
  out_.origins[key.full_name()] = origin;
}

void Loader::set_from_text(const Key& key, const std::string& value, const std::string& origin) {
  if (std::holds_alternative<std::string*>(key.target(out_.config))) {
    set_text(key, value, origin);
    return;
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc{} && end == value.data() + value.size()) {
    set_number(key, number, origin);
  } else {
    complain(origin, key.full_name() + " must be a whole number, not \"" + value + "\"");
  }
}

void Loader::set_from_toml(const Key& key, const toml::node& node, const std::string& origin) {
  const bool wants_text = std::holds_alternative<std::string*>(key.target(out_.config));
  if (wants_text && node.is_string()) {
    set_text(key, *node.value<std::string>(), origin);
  } else if (!wants_text && node.is_integer()) {
    set_number(key, *node.value<std::int64_t>(), origin);
  } else {
    complain(origin, key.full_name() + (wants_text ? " must be text in quotation marks"
                                                   : " must be a whole number"));
  }
}

Result<void> Loader::read_file(const std::filesystem::path& path) {
  std::error_code ignored_error;
  if (!std::filesystem::is_regular_file(path, ignored_error)) {
    return fail(Errc::not_found, "the configuration file " + path.string() + " does not exist");
  }
  toml::table file;
  try {
    file = toml::parse_file(path.string());
  } catch (const toml::parse_error& error) {
    complain(fmt::format("{}:{}", path.string(), error.source().begin.line),
             std::string(error.description()));
    return {};
  }
  const auto origin_of = [&](const toml::source_region& source) {
    return fmt::format("{}:{}", path.string(), source.begin.line);
  };
  std::vector<std::string> sections;
  for (const auto& key : keys) sections.emplace_back(key.section);
  for (const auto& [section, node] : file) {
    const auto* table = node.as_table();
    if (!is_section(section.str()) || table == nullptr) {
      complain(origin_of(section.source()),
               table == nullptr ? "key " + std::string(section.str()) + " stands in no section"
                                : "unknown section [" + std::string(section.str()) + "]" +
                                      suggestion(section.str(), sections));
      continue;
    }
    std::vector<std::string> names;
    for (const auto& key : keys) {
      if (section.str() == key.section) names.emplace_back(key.name);
    }
    for (const auto& [name, value] : *table) {
      if (const auto* key = find_key(section.str(), name.str())) {
        set_from_toml(*key, value, origin_of(name.source()));
      } else {
        complain(origin_of(name.source()),
                 fmt::format("unknown key {} in [{}]{}", name.str(), section.str(),
                             suggestion(name.str(), names)));
      }
    }
  }
  return {};
}

void Loader::read_environment(const Environment& environment) {
  std::vector<std::string> known(others.begin(), others.end());
  for (const auto& key : keys) {
    // The names that other programs use come first, so that our own wins.
    std::string_view rest = key.environment;
    std::vector<std::string> names;
    while (!rest.empty()) {
      const auto space = std::min(rest.find(' '), rest.size());
      names.emplace_back(rest.substr(0, space));
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
    names.push_back(variable_of(key));
    known.push_back(names.back());
    for (const auto& name : names) {
      const auto found = environment.find(name);
      // Compose files pass on variables that nobody set as empty ones.
      if (found == environment.end() || found->second.empty()) continue;
      set_from_text(key, found->second, name);
    }
  }
  for (const auto& [name, why] : ignored) {
    if (environment.contains(name))
      out_.notices.push_back(std::string(name) + " is ignored: " + why);
  }
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("MADANSARA_")) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto section_end = name.find('_', 10);
    auto section = name.substr(10, section_end - 10);
    for (char& c : section) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    if (section_end != std::string::npos && is_section(section)) {
      complain(name, "unknown key" + suggestion(name, known));
    } else {
      out_.notices.push_back(name + " is ignored: no such key" + suggestion(name, known));
    }
  }
}

void Loader::read_flags(const ConfigSources& sources) {
  for (const auto& [name, value] : sources.flags) {
    const auto dot = std::min(name.find('.'), name.size());
    const auto* key = find_key(name.substr(0, dot), name.substr(std::min(dot + 1, name.size())));
    if (key == nullptr) {
      complain("command line", "unknown key " + name);
    } else {
      set_from_text(*key, value, "command line");
    }
  }
}

Result<LoadedConfig> Loader::load(const ConfigSources& sources) {
  if (sources.file) {
    if (auto read = read_file(*sources.file); !read) return fail(read.error());
  }
  read_environment(sources.environment);
  read_flags(sources);
  if (complaints_.empty()) return std::move(out_);
  return fail(Errc::invalid_argument, fmt::format("{}", fmt::join(complaints_, "\n")));
}

std::string text_of(const Key& key, const Target& target) {
  return std::visit(
      [&key](auto* member) -> std::string {
        using T = std::remove_pointer_t<decltype(member)>;
        if constexpr (std::is_same_v<T, std::string>) {
          const bool hide = key.text == Text::secret || key.text == Text::postgres;
          return hide && !member->empty() ? "(set)" : '"' + *member + '"';
        } else if constexpr (std::is_same_v<T, seconds> || std::is_same_v<T, Millis>) {
          return std::to_string(member->count());
        } else {
          return std::to_string(*member);
        }
      },
      target);
}

std::string range_of(const Key& key, const Target& target) {
  if (key.text == Text::choice) return key.choices;
  if (std::holds_alternative<std::string*>(target)) return "";
  return fmt::format("{}..{}", key.min, key.max);
}

}  // namespace

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  return Loader().load(sources);
}

std::string describe(const LoadedConfig& loaded) {
  auto config = loaded.config;
  Config defaults;
  std::string out;
  std::string_view section;
  for (const auto& key : keys) {
    if (section != key.section) {
      section = key.section;
      out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section);
    }
    const auto target = key.target(config);
    const auto value = text_of(key, target);
    const auto origin = loaded.origins.find(key.full_name());
    const auto from = origin == loaded.origins.end()
                          ? "default"
                          : fmt::format("from {}, default {}", origin->second,
                                        text_of(key, key.target(defaults)));
    const auto range = range_of(key, target);
    out += fmt::format("{} = {}  # {} ({}{}{})\n", key.name, value, key.help, from,
                       range.empty() ? "" : "; ", range);
  }
  for (const auto& notice : loaded.notices) out += "# notice: " + notice + "\n";
  return out;
}

Environment process_environment() {
  Environment out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace sara::runtime
