// Where each feature's block of CAF type ids begins: a fixed hundred, so that two features never
// edit one line. Ids travel between nodes: append to a block, never reorder it.
#pragma once

#include <caf/all.hpp>

namespace sara::messages {

constexpr caf::type_id_t conversation_ids = caf::first_custom_type_id;
constexpr caf::type_id_t persistence_ids = caf::first_custom_type_id + 100;
constexpr caf::type_id_t query_ids = caf::first_custom_type_id + 200;
constexpr caf::type_id_t inbox_ids = caf::first_custom_type_id + 300;
constexpr caf::type_id_t delivery_ids = caf::first_custom_type_id + 400;

}  // namespace sara::messages
