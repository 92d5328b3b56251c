// Errors across actors.
#include "messages/error.hpp"

namespace sara::messages {
namespace {

const auto category = caf::atom("sara");

}  // namespace

caf::error to_caf(const Error& error) {
  std::vector<std::string> fields;
  for (auto& field : error.fields) {
    fields.push_back(field.pointer);
    fields.push_back(field.detail);
  }
  return {static_cast<std::uint8_t>(error.code), category,
          caf::make_message(error.detail, std::move(fields))};
}

Error from_caf(const caf::error& error) {
  if (error.category() != category)
    return {Errc::unavailable, "the server could not finish this in time; try again", {}};
  Error result{static_cast<Errc>(error.code()), "", {}};
  const caf::message& context = error.context();
  if (context.match_elements<std::string, std::vector<std::string>>()) {
    result.detail = context.get_as<std::string>(0);
    auto& fields = context.get_as<std::vector<std::string>>(1);
    for (std::size_t i = 0; i + 1 < fields.size(); i += 2)
      result.fields.push_back({fields[i], fields[i + 1]});
  }
  return result;
}

}  // namespace sara::messages
