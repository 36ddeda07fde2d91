#pragma once
// Avro schemas, and reading of records under a schema that is known only at run time.
//
//   TRY_LET(const Schema schema, Schema::parse(reader.header().schema));
//   reader.each_record([&](Decoder& d) -> Result<> { TRY_LET(json::Value v, decode(schema.root(), d)); ... });

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/avro/encoder.h"
#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::avro {

enum class Type {
  null_type,
  boolean,
  int_type,
  long_type,
  float_type,
  double_type,
  bytes,
  string,
  record,
  enumeration,
  fixed,
  array,
  map,
  union_type
};

std::string_view type_name(Type type);  ///< as in a schema: "null", "boolean", "int", ..., "union"

struct Node;
struct Field {
  std::string name;
  const Node* type = nullptr;
};
/// One type of a schema. Pointers go to nodes of the same Schema and may form circles.
struct Node {
  Type type = Type::null_type;
  std::string name;                   ///< full name of a record, enum or fixed
  std::vector<Field> fields;          ///< of a record
  std::vector<std::string> symbols;   ///< of an enum
  std::size_t size = 0;               ///< of a fixed
  const Node* items = nullptr;        ///< of an array or map
  std::vector<const Node*> branches;  ///< of a union
};

/// A parsed schema. Copies share it; const from any thread.
class Schema {
 public:
  /// Fault::invalid_input says where: "Avro schema, Message.Body: ...". Logical types, defaults and documentation are
  /// passed over.
  static Result<Schema> parse(std::string_view json_text);
  const Node& root() const { return *root_; }

 private:
  Schema() = default;
  std::shared_ptr<const std::vector<std::unique_ptr<Node>>> nodes_;
  const Node* root_ = nullptr;
};

struct DecodeLimits {
  std::size_t max_depth = 64;
  std::size_t max_values = 1u << 20;  ///< in one call; a schema may nest values that take no bytes
};

/// One value of type `node`: bytes and fixed as strings of raw bytes, an enum as its symbol, a map as an object, a union
/// as the value of its branch. Fault::corrupt, Fault::exhausted beyond a limit.
Result<json::Value> decode(const Node& node, Decoder& from, DecodeLimits limits = {});

/// Passes over one value of type `node`.
Result<> skip(const Node& node, Decoder& from, DecodeLimits limits = {});

}  // namespace nacelle::avro
