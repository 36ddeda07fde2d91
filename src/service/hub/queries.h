#pragma once
// Queries: pages of rows for services, and the devices that a job or a configuration is for.

#include "domain/query/query.h"
#include "service/hub/registry.h"

namespace nacelle::hub {

struct QueryPage {
  json::Array rows;
  std::string_view item_type;  ///< x-ms-item-type
  std::string continuation;    ///< empty: nothing follows
};

/// On the tables strand.
class Queries {
 public:
  Queries(storage::Database& tables, const Registry& registry) : tables_(tables), registry_(registry) {}

  /// `page_size` rows of the query's text, from where `continuation` (of an earlier page of the same text) says. Without ORDER BY a
  /// row that is there throughout comes exactly once, whatever else changes between pages; with it, pages count rows.
  Result<QueryPage> page(std::string_view text, std::size_t page_size, std::string_view continuation);

  /// By device and module. `only`: that one, if it fits.
  Result<std::vector<device::IdentityName>> select(const query::Selection& selection, const device::IdentityName* only = nullptr);

  /// How many rows a query has. Fault::invalid_input as of page().
  Result<std::int64_t> count(std::string_view text);

  static constexpr std::size_t largest_page = 1000;

 private:
  struct Position;
  Result<QueryPage> rows_of(const query::Query& query, std::size_t page_size, Position position);
  Result<json::Value> row_document(const query::Query& query, const storage::Row& row);
  Result<> fill_presence(const device::IdentityName* only = nullptr);

  storage::Database& tables_;
  const Registry& registry_;
};

/// The REST document of a stored twin, with the configurations that are for it.
Result<json::Value> twin_document(const Registry& registry, const storage::Database& tables, const device::IdentityName& name,
                                  const twin::Twin& twin);

}  // namespace nacelle::hub
