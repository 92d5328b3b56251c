// The log of a simulated engine goes nowhere: what it says of the troubles that we make is no news.
// Like random.cpp this stands in the place of a file of base/.
#include "base/log.hpp"

namespace sara::log {

void set_level(Level) {}
void write(Level, std::string_view, std::initializer_list<Field>) {}

}  // namespace sara::log
