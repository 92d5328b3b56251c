// Checks values against the schemas of openapi.json: as much of JSON Schema as that document uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace sara::test {

class OpenApi {
 public:
  /// Throws if the text is not JSON.
  explicit OpenApi(std::string_view text);

  struct Operation {
    std::string method;  ///< upper case
    std::string path;    ///< "/api/v1/conversations/{id}"
    std::string scope;   ///< x-scope
    std::string id;
    bool takes_json = false;
    bool is_list = false;  ///< it takes ?limit=
    json::Ref json;
  };
  const std::vector<Operation>& operations() const { return operations_; }
  json::Ref root() const { return document_.root(); }

  /// What is wrong with an answer's body, empty if it is as the operation says for that status.
  std::string wrong_answer(const Operation& operation, int status, std::string_view body) const;
  /// What is wrong with a value under "#/components/schemas/<name>"; empty if nothing.
  std::string wrong(std::string_view schema_name, json::Ref value) const;

 private:
  json::Ref resolve(json::Ref maybe_reference) const;
  std::string check(json::Ref schema, json::Ref value, const std::string& where) const;
  std::string check_object(json::Ref schema, json::Ref value, const std::string& where) const;
  json::Document document_;
  std::vector<Operation> operations_;
};

}  // namespace sara::test
