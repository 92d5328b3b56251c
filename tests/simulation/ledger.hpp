// What must hold of the stored rows whatever happens: a fold over the journal that shares no rule
// with the engine. Cheap after each commit, whole at the end.
#pragma once

#include <map>
#include <string>

#include "database.hpp"

namespace sara::simulation {

class Ledger {
 public:
  explicit Ledger(const Database& database) : database_(database) {}

  /// Folds what a transaction wrote and judges the rows it touched.
  void committed(const std::vector<Database::Written>& written);
  /// Folds every journal afresh and judges every row.
  void check_all();

  /// The first thing that was wrong; empty: nothing.
  std::string violation;

 private:
  struct Tally {
    std::int64_t inbound = 0, outbound = 0;
    Sequence last_message = 0;
  };
  /// What the journal says of one outbound message.
  struct Course {
    domain::MessageStatus status{};
    std::string provider_message_id;
    std::string address;
  };
  using Message = std::pair<TenantId, Sequence>;

  void wrong(TenantId tenant, const std::string& what);
  void fold(TenantId tenant, const domain::JournalEntry& entry, Sequence subject);
  void judge(TenantId tenant, const domain::Conversation& row);
  void judge(TenantId tenant, const domain::Delivery& row);

  const Database& database_;
  std::map<TenantId, Sequence> last_;
  std::map<std::pair<TenantId, ConversationId>, Tally> tallies_;
  std::map<Message, Course> courses_;
};

}  // namespace sara::simulation
