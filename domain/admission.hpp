// Who may come in: the overload ladder, the estimate of how long work would wait, and the shares of
// tenants. Pure: what was measured comes in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sara::domain {

/// What kind of work a request is. All but operation are refused under overload.
enum class Traffic : std::uint8_t {
  operation,  ///< health, metrics, documents: cheap, and needed most when it is hot
  webhook,    ///< what providers tell us; refused last
  read,       ///< a person looks
  write,      ///< a person acts
  bulk,       ///< campaigns, exports, analytics; refused first
};
inline constexpr std::size_t traffic_kinds = 5;
std::string_view to_string(Traffic traffic);

/// How full the server is, each as a share of what it may be: 1 is full.
struct Pressure {
  double memory = 0;
  double wait = 0;  ///< of a write until its commit, over the longest that can still be in time
  double lag = 0;   ///< of the event loop
};

/// Why a request was refused.
enum class Refused : std::uint8_t {
  memory,
  wait,
  lag,
  share,   ///< its tenant has as much under way as it may; it has waited for a place
  closed,  ///< the server stops, or has lost the database to another one
};
inline constexpr std::size_t refusals = 5;
std::string_view to_string(Refused reason);

/// The overload ladder (reliability.md, section 4): bulk is refused at 80 % of the worst pressure,
/// writes at 90 %, reads and new connections at 95 %, webhooks at 100 %.
bool is_admitted(Traffic traffic, const Pressure& pressure);
bool accepts_connections(const Pressure& pressure);
/// Which of the pressures is the worst.
Refused worst(const Pressure& pressure);

/// How long work takes to be answered, as a line over how much is under way: a group commit has a
/// cost of its own and one for each write in it, and both change with the disk and the day.
/// Learns by least squares; the newest hundred or so answers count.
class WaitEstimate {
 public:
  /// under_way: when the work was admitted, itself not counted
  void observe(std::size_t under_way, double seconds);
  /// Seconds for work that is admitted now. 0 before anything was observed; never below 0.
  double of(std::size_t under_way) const;

 private:
  double weight_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;  ///< sums; the old grow faint
};

/// How much may be under way at once: unanswered requests of one kind.
struct Places {
  std::size_t all = 4096;        ///< of all tenants
  std::size_t per_tenant = 512;  ///< of one, however alone it is
  /// While several tenants are active: of all together. Beyond, who is below its share gets in,
  /// so that nobody's group commit is long because of somebody else.
  std::size_t shared = 32;
};
struct UnderWay {
  std::size_t all = 0;
  std::size_t of_tenant = 0;
  std::size_t active_tenants = 1;  ///< that asked for something lately
};
/// Whether a tenant's next request finds a place. Work-conserving: alone, a tenant has all places
/// of its own; among others, those that nobody else uses.
bool has_place(const Places& places, const UnderWay& now);

}  // namespace sara::domain
