#pragma once
// The query language over devices, modules and jobs (wire facts 2.5): text to a checked tree. What a query means for a store is the
// store's business; here is what it says.
//
//   TRY_LET(const query::Query query, query::parse_query("SELECT deviceId, tags.site AS site FROM devices WHERE tags.floor > 2"));

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::query {

enum class Source { devices, modules, jobs };
std::string_view source_name(Source source);  ///< "devices", "devices.modules", "devices.jobs"

enum class FieldKind { text, number, boolean, document, configurations };

/// What a row has, by the name under which it is asked for.
struct Field {
  std::string_view name;  ///< "deviceId", "properties.desired"; compared without case
  FieldKind kind;
};

/// A place in a row: a field, and the way below it (documents only; with case).
struct Path {
  std::size_t at = 0;  ///< byte offset in the text
  const Field* field = nullptr;
  std::vector<std::string> below;
  std::string spelled;  ///< as it stands in the text
  bool operator==(const Path& other) const { return field == other.field && below == other.below; }
};

enum class Kind { literal, path, negative, arithmetic, comparison, in, not_in, conjunction, disjunction, negation, call };
enum class Operator { equal, unequal, less, less_or_equal, greater, greater_or_equal, add, subtract, multiply, divide, remainder };
enum class Function {
  is_defined,
  is_array,
  is_bool,
  is_null,
  is_number,
  is_object,
  is_primitive,
  is_string,
  starts_with,
  ends_with,
  contains,
  as_number
};

/// One node of a condition. Three-valued: a comparison with what is undefined is undefined, and only true matches.
struct Expression {
  Kind kind = Kind::literal;
  std::size_t at = 0;
  std::optional<json::Value> literal;  ///< of a literal; nothing: `undefined`
  Path path;                           ///< of a path
  Operator op = Operator::equal;       ///< of arithmetic and comparison
  Function function = Function::is_defined;
  std::vector<Expression> operands;  ///< in and not_in: what is looked for, then the literals
};

enum class Aggregate { count, average, sum, minimum, maximum };

/// One column of the answer. COUNT has no path when it counts rows.
struct Item {
  std::string name;
  std::optional<Aggregate> aggregate;
  std::optional<Path> path;
};

struct Order {
  std::optional<std::size_t> item;  ///< by a column of the answer, else by `path`
  Path path;
  bool descending = false;
};

struct Query {
  Source source = Source::devices;
  std::optional<std::size_t> top;
  std::vector<Item> items;  ///< empty: `*`
  std::optional<Expression> where;
  std::vector<Path> group_by;
  std::vector<Order> order_by;

  bool everything() const { return items.empty(); }
  bool aggregates() const;  ///< one row a group instead of one a device
};

inline constexpr std::size_t max_text_bytes = 64 << 10;
inline constexpr int max_nesting = 64;  ///< of parentheses, NOT, minus and calls; chains of AND and OR are as long as the text

/// A whole query. Fault::invalid_input: "query, line 1, column 8: expected .., found ..".
Result<Query> parse_query(std::string_view text);

/// Whom a job or a configuration is for.
struct Selection {
  Source source = Source::devices;
  bool nobody = false;              ///< the text was empty
  std::optional<Expression> where;  ///< nothing: everyone
};
/// A condition on devices, `*`, nothing, or `FROM devices.modules WHERE ..` (wire facts 2.8, 2.9). `what` opens the messages.
Result<Selection> parse_selection(std::string_view text, std::string_view what);

}  // namespace nacelle::query
