// A small validator: type, const, enum, required, properties, items, oneOf, allOf, two formats.
#include "tests/support/schema.hpp"

#include <stdexcept>

#include "base/id.hpp"
#include "base/time.hpp"

namespace sara::test {
namespace {

bool has_type(json::Ref value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  return type == "null" && value.is_null();
}

bool type_allows(json::Ref types, json::Ref value) {
  if (!types.exists()) return true;
  if (auto one = types.string()) return has_type(value, *one);
  for (std::size_t i = 0; i < types.size(); ++i)
    if (has_type(value, types.at(i).string_or(""))) return true;
  return false;
}

bool enum_allows(json::Ref values, json::Ref value) {
  if (!values.exists()) return true;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values.at(i).dump() == value.dump()) return true;
  return false;
}

bool format_allows(std::string_view format, json::Ref value) {
  auto text = value.string();
  if (!text) return true;
  if (format == "uuid") return parse_uuid(*text).has_value();
  if (format == "date-time") {
    auto time = parse_rfc3339(*text);
    return time && to_rfc3339(*time) == *text;
  }
  return true;
}

std::string upper(std::string_view word) {
  std::string out(word);
  for (auto& c : out) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

}  // namespace

OpenApi::OpenApi(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed) throw std::runtime_error("openapi.json: " + parsed.error().detail);
  document_ = std::move(*parsed);
  for (auto& [path, item] : root()["paths"].members()) {
    for (auto& [method, operation] : item.members()) {
      if (method == "parameters") continue;
      Operation found;
      found.method = upper(method);
      found.path = path;
      found.scope = operation["x-scope"].string_or("");
      found.id = operation["operationId"].string_or("");
      found.takes_json =
          found.scope != "open" && operation["requestBody"]["content"]["application/json"].exists();
      auto parameters = operation["parameters"];
      for (std::size_t i = 0; i < parameters.size(); ++i)
        found.is_list = found.is_list || resolve(parameters.at(i))["name"].string_or("") == "limit";
      found.json = operation;
      operations_.push_back(found);
    }
  }
}

json::Ref OpenApi::resolve(json::Ref value) const {
  auto reference = value["$ref"].string();
  if (!reference) return value;
  json::Ref here = root();
  std::string_view rest = reference->substr(2);
  while (!rest.empty()) {
    auto slash = rest.find('/');
    here = here[rest.substr(0, slash)];
    rest = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  }
  if (!here.exists()) throw std::runtime_error("dangling " + std::string(*reference));
  return here;
}

std::string OpenApi::check_object(json::Ref schema, json::Ref value,
                                  const std::string& where) const {
  auto required = schema["required"];
  for (std::size_t i = 0; i < required.size(); ++i)
    if (auto name = required.at(i).string_or(""); !value[name].exists())
      return where + "/" + std::string(name) + " is missing";
  auto properties = schema["properties"];
  auto others = schema["additionalProperties"];
  for (auto& [name, member] : value.members()) {
    auto place = where + "/" + std::string(name);
    auto known = properties[name];
    if (!known.exists() && others.boolean() == false) return place + " is not known";
    auto rule = known.exists() ? known : others;
    if (!rule.is_object()) continue;
    if (auto wrong = check(rule, member, place); !wrong.empty()) return wrong;
  }
  return {};
}

std::string OpenApi::check(json::Ref raw_schema, json::Ref value, const std::string& where) const {
  auto schema = resolve(raw_schema);
  if (!type_allows(schema["type"], value) || !enum_allows(schema["enum"], value))
    return where + " is " + value.dump() + ", not as " + schema["type"].dump();
  if (schema["const"].exists() && schema["const"].dump() != value.dump())
    return where + " is not " + schema["const"].dump();
  if (!format_allows(schema["format"].string_or(""), value))
    return where + " is no " + std::string(schema["format"].string_or(""));
  auto all = schema["allOf"];
  for (std::size_t i = 0; i < all.size(); ++i)
    if (auto wrong = check(all.at(i), value, where); !wrong.empty()) return wrong;
  auto one = schema["oneOf"];
  std::string why = where + " fits nothing";
  std::size_t fits = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    auto wrong = check(one.at(i), value, where);
    fits += wrong.empty();
    if (!wrong.empty()) why += "; " + wrong;
  }
  if (one.size() > 0 && fits != 1) return why;
  if (value.is_object()) return check_object(schema, value, where);
  for (std::size_t i = 0; value.is_array() && i < value.size() && schema["items"].exists(); ++i) {
    auto wrong = check(schema["items"], value.at(i), where + "/" + std::to_string(i));
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string OpenApi::wrong(std::string_view schema_name, json::Ref value) const {
  return check(root()["components"]["schemas"][schema_name], value, std::string(schema_name));
}

std::string OpenApi::wrong_answer(const Operation& operation, int status,
                                  std::string_view body) const {
  auto name = operation.id + " " + std::to_string(status);
  auto responses = operation.json["responses"];
  auto response = responses[std::to_string(status)];
  if (!response.exists()) return name + " is not documented";
  auto content = resolve(response)["content"];
  auto media = content["application/json"].exists() ? content["application/json"]
                                                    : content["application/problem+json"];
  if (!media["schema"].exists()) return {};
  auto document = json::parse(body);
  if (!document) return name + " is no JSON";
  auto wrong = check(media["schema"], document->root(), "");
  return wrong.empty() ? "" : name + ": " + wrong;
}

}  // namespace sara::test
