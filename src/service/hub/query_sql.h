#pragma once
// Queries as SQL over the hub's tables. Every constant and every path of a query is a bound parameter: the text of a query never
// becomes text of a statement.

#include <map>
#include <string>
#include <vector>

#include "domain/query/query.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Collects parameters while expressions become SQL. A value is a number, a text, x'00' (false), x'01' (true), x'6e' (null), or
/// NULL for what is undefined and for objects and arrays; so SQL's three-valued logic is the language's own.
class QuerySql {
 public:
  explicit QuerySql(query::Source source) : source_(source) {}

  /// An expression of 1, 0 or NULL. Fault::invalid_input when it grows beyond what SQLite should see.
  Result<std::string> condition(const query::Expression& expression);
  Result<std::string> value(const query::Path& path);  ///< to order and aggregate by
  Result<std::string> json(const query::Path& path);   ///< JSON text, NULL when undefined
  Result<std::string> aggregate(const query::Item& item);
  std::string bind(storage::Cell cell);

  /// ` FROM .. WHERE ..` with the rows of the source; ask for it last.
  std::string rows() const;
  /// Whether temp.presence must be filled before the statement runs.
  bool needs_presence() const { return needs_presence_; }
  const std::vector<storage::Cell>& parameters() const { return parameters_; }

 private:
  /// How a place is reached. `column`: a column that an index may serve, for comparison with texts.
  struct Place {
    std::string value;
    std::string type;  ///< as json_type says it
    std::string json;
    std::string column;
  };
  Result<Place> place(const query::Path& path);
  Result<Place> in_document(const std::string& document, const std::string& root, const std::vector<std::string>& below);
  Result<Place> in_section(const std::string& section, const std::vector<std::string>& below);
  Place configuration(const std::vector<std::string>& below);
  Result<std::string> bind_path(const std::string& root, const std::vector<std::string>& below);

  Result<std::string> truth(const query::Expression& expression);
  Result<std::string> value_of(const query::Expression& expression);
  Result<std::string> joined(const std::vector<query::Expression>& operands, std::size_t from, std::size_t to,
                             std::string_view word);
  Result<std::string> comparison(const query::Expression& expression);
  Result<std::string> membership(const query::Expression& expression);
  Result<std::string> arithmetic(const query::Expression& expression);
  Result<std::string> call(const query::Expression& expression);
  Result<std::string> compared(const query::Expression& side, const query::Expression& with);

  const query::Source source_;
  std::vector<storage::Cell> parameters_;
  std::map<std::string, std::string> bound_paths_;  // path -> ?n
  bool needs_presence_ = false;
};

}  // namespace nacelle::hub
