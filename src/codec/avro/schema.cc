#include "codec/avro/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace nacelle::avro {
namespace {

constexpr std::pair<std::string_view, Type> primitives[] = {
    {"null", Type::null_type},   {"boolean", Type::boolean},    {"int", Type::int_type}, {"long", Type::long_type},
    {"float", Type::float_type}, {"double", Type::double_type}, {"bytes", Type::bytes},  {"string", Type::string}};

constexpr std::size_t max_schema_bytes = 1u << 20;
constexpr std::int64_t max_fixed_bytes = 1 << 30;

bool is_primitive(std::string_view name) {
  return std::any_of(std::begin(primitives), std::end(primitives), [&](const auto& p) { return p.first == name; });
}

/// A name without dots: letters, digits and `_`, not beginning with a digit.
bool valid_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

using Nodes = std::vector<std::unique_ptr<Node>>;

class Builder {
 public:
  explicit Builder(Nodes& nodes) : nodes_(nodes) {}

  /// The node of one type, which may be a name, a union or an object. `space`: the enclosing namespace.
  Result<const Node*> build(const json::Value& type, const std::string& path, const std::string& space) {
    if (type.is_string()) return by_name(type.as_string(), path, space);
    if (type.is_array()) return make_union(type.as_array(), path, space);
    if (!type.is_object()) return refuse(path, fmt::format("expected a type, found {}", json::type_name(type)));
    const json::Value* const kind = type.find("type");
    if (!kind) return refuse(path, "expected a member 'type', found none");
    if (!kind->is_string()) return build(*kind, path, space);
    const std::string& name = kind->as_string();
    if (name == "record" || name == "error") return make_record(type, path, space);
    if (name == "enum") return make_enum(type, path, space);
    if (name == "fixed") return make_fixed(type, path, space);
    if (name == "array") return make_items(Type::array, "items", type, path, space);
    if (name == "map") return make_items(Type::map, "values", type, path, space);
    return by_name(name, path, space);
  }

 private:
  static Failure refuse(std::string_view path, std::string_view why) {
    return fail(Fault::invalid_input, fmt::format("Avro schema, {}: {}", path, why));
  }

  Node* make(Type type) {
    nodes_.push_back(std::make_unique<Node>());
    nodes_.back()->type = type;
    return nodes_.back().get();
  }

  Result<const Node*> by_name(const std::string& name, const std::string& path, const std::string& space) {
    for (const auto& [word, type] : primitives)
      if (word == name) return make(type);
    if (name.find('.') == std::string::npos && !space.empty())
      if (const auto at = named_.find(space + "." + name); at != named_.end()) return at->second;
    if (const auto at = named_.find(name); at != named_.end()) return at->second;
    return refuse(path, fmt::format("unknown type '{}'", name.substr(0, 80)));
  }

  Result<const Node*> make_union(const json::Array& branches, const std::string& path, const std::string& space) {
    Node* const node = make(Type::union_type);
    if (branches.empty()) return refuse(path, "a union without types");
    for (std::size_t i = 0; i < branches.size(); ++i) {
      const std::string branch_path = fmt::format("{}[{}]", path, i);
      TRY_LET(const Node* branch, build(branches[i], branch_path, space));
      if (branch->type == Type::union_type) return refuse(branch_path, "a union directly in a union");
      const bool repeated = std::any_of(node->branches.begin(), node->branches.end(), [&](const Node* other) {
        return other->type == branch->type && other->name == branch->name;
      });
      if (repeated) return refuse(branch_path, "the same type twice in a union");
      node->branches.push_back(branch);
    }
    return node;
  }

  Result<const Node*> make_items(Type type, std::string_view member, const json::Value& from, const std::string& path,
                                 const std::string& space) {
    Node* const node = make(type);
    const json::Value* const items = from.find(member);
    if (!items) return refuse(path, fmt::format("expected a member '{}', found none", member));
    TRY_LET(node->items, build(*items, fmt::format("{}.{}", path, member), space));
    return node;
  }

  /// Makes a node under the full name of `from` and registers it, so that its own fields can refer to it.
  Result<Node*> make_named(Type type, const json::Value& from, const std::string& path, const std::string& space) {
    TRY_LET(std::string name, json::get_string(from, "name", "Avro schema, " + path));
    TRY_LET(const std::string own_space, json::get_string_or(from, "namespace", space, "Avro schema, " + path));
    if (name.find('.') == std::string::npos && !own_space.empty()) name = own_space + "." + name;
    std::string_view rest = name;
    for (std::size_t dot; (dot = rest.find('.')) != std::string_view::npos; rest.remove_prefix(dot + 1))
      if (!valid_name(rest.substr(0, dot))) return refuse(path, "the namespace is not a name");
    if (!valid_name(rest) || is_primitive(rest)) return refuse(path, "the type's name is not a name");
    Node* const node = make(type);
    node->name = name;
    if (!named_.emplace(name, node).second) return refuse(path, fmt::format("the type '{}' is defined twice", name));
    return node;
  }

  Result<const Node*> make_record(const json::Value& from, const std::string& path, const std::string& space) {
    TRY_LET(Node* const node, make_named(Type::record, from, path, space));
    const std::size_t dot = node->name.rfind('.');
    const std::string inner = dot == std::string::npos ? std::string() : node->name.substr(0, dot);
    const std::string short_name = dot == std::string::npos ? node->name : node->name.substr(dot + 1);
    const std::string here = path == "root" ? short_name : path;
    const json::Value* const fields = from.find("fields");
    if (!fields || !fields->is_array()) return refuse(here, "expected an array 'fields'");
    for (const json::Value& field : fields->as_array()) {
      TRY_LET(std::string name, json::get_string(field, "name", "Avro schema, " + here + ": a field"));
      const std::string field_path = here + "." + name.substr(0, 80);
      if (!valid_name(name)) return refuse(field_path, "the field's name is not a name");
      const json::Value* const type = field.find("type");
      if (!type) return refuse(field_path, "expected a member 'type', found none");
      if (!names_.insert({{node, name}, true}).second) return refuse(field_path, "the field stands twice");
      TRY_LET(const Node* field_type, build(*type, field_path, inner));
      node->fields.push_back({std::move(name), field_type});
    }
    return node;
  }

  Result<const Node*> make_enum(const json::Value& from, const std::string& path, const std::string& space) {
    TRY_LET(Node* const node, make_named(Type::enumeration, from, path, space));
    const json::Value* const symbols = from.find("symbols");
    if (!symbols || !symbols->is_array() || symbols->as_array().empty())
      return refuse(path, "expected an array 'symbols' that is not empty");
    for (const json::Value& symbol : symbols->as_array()) {
      if (!symbol.is_string() || !valid_name(symbol.as_string())) return refuse(path, "a symbol is not a name");
      node->symbols.push_back(symbol.as_string());
    }
    return node;
  }

  Result<const Node*> make_fixed(const json::Value& from, const std::string& path, const std::string& space) {
    TRY_LET(Node* const node, make_named(Type::fixed, from, path, space));
    TRY_LET(const std::int64_t size, json::get_integer(from, "size", "Avro schema, " + path));
    if (size < 0 || size > max_fixed_bytes) return refuse(path, fmt::format("a fixed of {} bytes", size));
    node->size = static_cast<std::size_t>(size);
    return node;
  }

  Nodes& nodes_;
  std::map<std::string, const Node*, std::less<>> named_;
  std::map<std::pair<const Node*, std::string>, bool> names_;  // the fields of each record
};

}  // namespace

std::string_view type_name(Type type) {
  for (const auto& [name, primitive] : primitives)
    if (primitive == type) return name;
  switch (type) {
    case Type::record: return "record";
    case Type::enumeration: return "enum";
    case Type::fixed: return "fixed";
    case Type::array: return "array";
    case Type::map: return "map";
    default: return "union";
  }
}

Result<Schema> Schema::parse(std::string_view json_text) {
  TRY_LET(const json::Value document, in(json::parse(json_text, {.max_bytes = max_schema_bytes}), "Avro schema"));
  auto nodes = std::make_shared<Nodes>();
  Schema schema;
  TRY_LET(schema.root_, Builder(*nodes).build(document, "root", {}));
  schema.nodes_ = std::move(nodes);
  return schema;
}

}  // namespace nacelle::avro
