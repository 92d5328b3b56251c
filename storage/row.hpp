// How domain values stand in columns, and come back.
#pragma once

#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "domain/inbox.hpp"
#include "domain/journal.hpp"

namespace sara::storage {

std::string write_attachments(const std::vector<domain::Attachment>& attachments);
std::vector<domain::Attachment> read_attachments(std::string_view json);

/// Marks as compact JSON: only what differs from an open conversation on `channel`; "" if nothing.
std::string write_marks(const domain::Marks& marks, domain::Channel channel);
domain::Marks read_marks(std::string_view json, domain::Channel channel);

std::string write_reach(const std::vector<domain::Reach>& reach);
std::vector<domain::Reach> read_reach(std::string_view json);

/// Error columns of a journal row as one JSON array; "" if there is none.
std::string write_error(const domain::JournalEntry& entry);
void read_error(std::string_view json, domain::JournalEntry& entry);

/// low 1, medium 2, high 3, critical 4; 0: not known.
int urgency_rank(std::string_view urgency);

/// Column lists that belong with the readers below.
extern const char* const journal_columns;       ///< of journal j
extern const char* const conversation_columns;  ///< of conversation c
extern const char* const delivery_columns;      ///< of delivery d

/// Each reads the columns of its list, from `first` on.
domain::JournalEntry read_entry(const pqxx::row& row, int first = 0);
domain::Conversation read_conversation(const pqxx::row& row, int first = 0);
domain::Delivery read_delivery(const pqxx::row& row, int first = 0);
constexpr int journal_column_count = 18;
constexpr int conversation_column_count = 28;
constexpr int delivery_column_count = 17;

}  // namespace sara::storage
