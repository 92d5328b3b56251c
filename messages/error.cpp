// Errors across actors.
#include "messages/error.hpp"

namespace sara::messages {
namespace {

const auto category = caf::atom("sara");
constexpr char separator = '\x1f';  // stands in no pointer and no text of ours

}  // namespace

caf::error to_caf(const Error& error) {
  std::string fields;
  for (auto& field : error.fields) {
    for (auto* text : {&field.pointer, &field.detail}) {
      fields += *text;
      fields += separator;
    }
  }
  return {static_cast<std::uint8_t>(error.code), category,
          caf::make_message(error.detail, std::move(fields))};
}

Error from_caf(const caf::error& error) {
  if (error.category() != category)
    return {Errc::unavailable, "the server could not finish this in time; try again", {}};
  Error result{static_cast<Errc>(error.code()), "", {}};
  const caf::message& context = error.context();
  if (context.match_elements<std::string, std::string>()) {
    result.detail = context.get_as<std::string>(0);
    std::string_view rest = context.get_as<std::string>(1);
    auto next = [&] {
      auto end = rest.find(separator);
      std::string part(rest.substr(0, end));
      rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
      return part;
    };
    while (!rest.empty()) {
      std::string pointer = next();
      result.fields.push_back({std::move(pointer), next()});
    }
  }
  return result;
}

}  // namespace sara::messages
