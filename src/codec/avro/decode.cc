// Values under a schema known only at run time. One walk serves decode and skip.

#include <fmt/format.h>

#include "codec/avro/schema.h"

namespace nacelle::avro {
namespace {

class Walk {
 public:
  Walk(Decoder& from, DecodeLimits limits) : from_(from), limits_(limits) {}

  /// Reads one value of type `node`, into `out` unless that is null.
  Result<> value(const Node& node, std::size_t depth, json::Value* out) {
    if (depth > limits_.max_depth) return exhausted(fmt::format("nested deeper than the limit of {}", limits_.max_depth));
    if (values_++ >= limits_.max_values) return exhausted(fmt::format("more values than the limit of {}", limits_.max_values));
    switch (node.type) {
      case Type::null_type: return keep(json::Value(), out);
      case Type::boolean: return keep(from_.read_boolean(), out);
      case Type::int_type: return int_value(out);
      case Type::long_type: return keep(from_.read_long(), out);
      case Type::float_type: return float_value(out);
      case Type::double_type: return keep(from_.read_double(), out);
      case Type::bytes: return keep(from_.read_bytes(), out);
      case Type::string: return keep(from_.read_string(), out);
      case Type::fixed: return keep(from_.read_fixed(node.size), out);
      case Type::enumeration: return symbol(node, out);
      case Type::record: return record(node, depth, out);
      case Type::array: return array(node, depth, out);
      case Type::map: return map(node, depth, out);
      case Type::union_type: return branch(node, depth, out);
    }
    return from_.corrupt("a type that is none");
  }

 private:
  Failure exhausted(std::string_view why) const { return fail(Fault::exhausted, std::move(from_.corrupt(why).error.message)); }

  static Result<> keep(json::Value value, json::Value* out) {
    if (out) *out = std::move(value);
    return {};
  }
  template <class T>
  static Result<> keep(Result<T> read, json::Value* out) {
    if (!read) return fail(std::move(read).error());
    if (out) *out = json::Value(*read);
    return {};
  }

  Result<> int_value(json::Value* out) {
    TRY_LET(const std::int64_t number, from_.read_long());
    if (number < INT32_MIN || number > INT32_MAX) return from_.corrupt(fmt::format("an int of {}", number));
    return keep(json::Value(number), out);
  }

  Result<> float_value(json::Value* out) {
    TRY_LET(const float number, from_.read_float());
    return keep(json::Value(double{number}), out);
  }

  Result<> symbol(const Node& node, json::Value* out) {
    TRY_LET(const std::size_t index, from_.read_index(node.symbols.size()));
    return keep(json::Value(node.symbols[index]), out);
  }

  Result<> record(const Node& node, std::size_t depth, json::Value* out) {
    std::vector<json::Object::Member> members;
    if (out) members.reserve(node.fields.size());
    for (const Field& field : node.fields) {
      json::Value* const slot = out ? &members.emplace_back(field.name, json::Value()).second : nullptr;
      TRY(value(*field.type, depth + 1, slot));
    }
    return keep(out ? json::Value(json::Object::from_members(std::move(members))) : json::Value(), out);
  }

  Result<> array(const Node& node, std::size_t depth, json::Value* out) {
    json::Array items;
    while (true) {
      TRY_LET(const std::uint64_t count, from_.read_count());
      if (count == 0) return keep(out ? json::Value(std::move(items)) : json::Value(), out);
      for (std::uint64_t i = 0; i < count; ++i) TRY(value(*node.items, depth + 1, out ? &items.emplace_back() : nullptr));
    }
  }

  Result<> map(const Node& node, std::size_t depth, json::Value* out) {
    std::vector<json::Object::Member> members;
    while (true) {
      TRY_LET(const std::uint64_t count, from_.read_count());
      if (count == 0) return keep(out ? json::Value(json::Object::from_members(std::move(members))) : json::Value(), out);
      for (std::uint64_t i = 0; i < count; ++i) {
        TRY_LET(const std::string_view key, from_.read_string());
        json::Value* const slot = out ? &members.emplace_back(std::string(key), json::Value()).second : nullptr;
        TRY(value(*node.items, depth + 1, slot));
      }
    }
  }

  Result<> branch(const Node& node, std::size_t depth, json::Value* out) {
    TRY_LET(const std::size_t index, from_.read_index(node.branches.size()));
    return value(*node.branches[index], depth + 1, out);
  }

  Decoder& from_;
  const DecodeLimits limits_;
  std::size_t values_ = 0;
};

}  // namespace

Result<json::Value> decode(const Node& node, Decoder& from, DecodeLimits limits) {
  json::Value out;
  TRY(Walk(from, limits).value(node, 0, &out));
  return out;
}

Result<> skip(const Node& node, Decoder& from, DecodeLimits limits) { return Walk(from, limits).value(node, 0, nullptr); }

}  // namespace nacelle::avro
