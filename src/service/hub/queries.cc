#include "service/hub/queries.h"

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "service/hub/query_sql.h"

namespace nacelle::hub {
namespace {

using query::Query;
using query::Source;

constexpr std::size_t most_selected = 1'000'000;
constexpr std::size_t continuation_bytes = 2048;

/// Ties the continuation to its query without carrying the query.
std::string fingerprint(std::string_view text) { return digest::sha256_hex(text).substr(0, 16); }

json::Value number_or_null(const storage::Cell& cell) {
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) return *integer;
  if (const auto* real = std::get_if<double>(&cell)) return *real;
  return nullptr;
}

json::Value text_or_null(const storage::Cell& cell) {
  const std::string& text = storage::text(cell);
  return text.empty() ? json::Value() : json::Value(text);
}

Result<json::Value> parsed_or_null(const storage::Cell& cell) {
  const std::string& text = storage::text(cell);
  if (text.empty()) return json::Value();
  return json::parse(text);
}

/// The columns a row's document is made of, before the query's own.
constexpr std::string_view twin_columns = "t.device, t.module, t.document";
constexpr std::string_view job_columns =
    "j.device, j.module, j.job, b.type, j.status, j.started_at, j.ended_at, j.created_at, max(j.created_at, j.started_at, "
    "j.ended_at), "
    "j.outcome, j.error";

Result<json::Value> job_document(const storage::Row& row) {
  json::Object out;
  out.set("deviceId", storage::text(row[0]));
  if (!storage::text(row[1]).empty()) out.set("moduleId", storage::text(row[1]));
  constexpr std::string_view names[] = {
      "jobId", "jobType", "status", "startTimeUtc", "endTimeUtc", "createdDateTimeUtc", "lastUpdatedDateTimeUtc"};
  for (std::size_t i = 0; i < std::size(names); ++i) out.set(names[i], text_or_null(row[i + 2]));
  TRY_LET(json::Value outcome, parsed_or_null(row[9]));
  TRY_LET(json::Value error, parsed_or_null(row[10]));
  out.set("outcome", std::move(outcome));
  if (!error.is_null()) out.set("error", std::move(error));
  return json::Value(std::move(out));
}

Result<std::string> columns_of(const Query& query, QuerySql& sql) {
  if (query.source == Source::jobs) return std::string(job_columns);
  if (query.everything()) return std::string(twin_columns);
  // Columns of a page's place come first; groups have none.
  std::string columns = query.aggregates() ? "'', ''" : "t.device, t.module";
  for (const query::Item& item : query.items) {
    TRY_LET(const std::string one, item.aggregate ? sql.aggregate(item) : sql.json(*item.path));
    columns += ", " + one;
  }
  return columns;
}

Result<std::string> order_of(const Query& query, QuerySql& sql, bool by_place) {
  std::string order;
  for (const query::Order& one : query.order_by) {
    std::string key;
    if (one.item && query.items[*one.item].aggregate) {
      key = fmt::format("{}", *one.item + 3);  // its number among the columns
    } else {
      TRY_LET(key, sql.value(one.item ? *query.items[*one.item].path : one.path));
    }
    order += key + (one.descending ? " DESC, " : ", ");
  }
  if (by_place) order += query.source == Source::jobs ? "j.job, j.device, j.module" : "t.device, t.module";
  if (!by_place)
    for (const query::Path& key : query.group_by) {
      TRY_LET(const std::string value, sql.json(key));
      order += value + ", ";
    }
  if (order.ends_with(", ")) order.resize(order.size() - 2);
  return order;
}

}  // namespace

/// Where a page begins: behind a device and module, or after so many rows.
struct Queries::Position {
  std::optional<device::IdentityName> after;
  std::size_t skip = 0;
  std::optional<std::size_t> left;  ///< of TOP

  std::string print(std::string_view text) const {
    json::Object token{{"q", fingerprint(text)}};
    if (after) token.set("after", json::Array{after->device.str(), after->module.str()});
    if (skip > 0) token.set("skip", static_cast<std::int64_t>(skip));
    if (left) token.set("left", static_cast<std::int64_t>(*left));
    return text::base64_encode(json::print(token));
  }
  static Result<Position> parse(std::string_view text, std::string_view continuation) {
    const Failure refused =
        fail(Fault::invalid_input, "x-ms-continuation: expected one that an earlier page of the same query gave");
    Position position;
    if (continuation.empty()) return position;
    const auto bytes = continuation.size() <= continuation_bytes ? text::base64_decode(continuation) : Result<Bytes>(refused);
    if (!bytes) return refused;
    const auto token = json::parse(*bytes);
    const auto mine = token ? json::get_string_or(*token, "q", "", "") : Result<std::string>(refused);
    if (!mine || *mine != fingerprint(text)) return refused;
    if (const json::Value* after = token->find("after")) {
      if (!after->is_array() || after->as_array().size() != 2 || !after->as_array()[0].is_string() ||
          !after->as_array()[1].is_string())
        return refused;
      position.after = {device::DeviceId(after->as_array()[0].as_string()), device::ModuleId(after->as_array()[1].as_string())};
    }
    const auto skip = json::get_integer_or(*token, "skip", 0, "");
    const auto left = json::get_integer_or(*token, "left", -1, "");
    if (!skip || !left || *skip < 0) return refused;
    position.skip = static_cast<std::size_t>(*skip);
    if (*left >= 0) position.left = static_cast<std::size_t>(*left);
    return position;
  }
};

Result<QueryPage> Queries::page(std::string_view text, std::size_t page_size, std::string_view continuation) {
  TRY_LET(const Query query, query::parse_query(text));
  TRY_LET(Position position, Position::parse(text, continuation));
  if (!position.left) position.left = query.top;
  TRY_LET(QueryPage page, rows_of(query, std::min(page_size, largest_page), position));
  if (!page.continuation.empty()) {  // rows_of leaves the last row's place in it
    Position next = position;
    if (next.left) *next.left -= std::min(*next.left, page.rows.size());
    const bool by_place = query.order_by.empty() && !query.aggregates() && query.source != Source::jobs;
    if (by_place) {
      TRY_LET(next.after, device::parse_client_id(page.continuation));
    } else {
      next.skip += page.rows.size();
    }
    page.continuation = next.left == std::optional<std::size_t>(0) ? std::string() : next.print(text);
  }
  return page;
}

Result<QueryPage> Queries::rows_of(const Query& query, std::size_t page_size, Position position) {
  QuerySql sql(query.source);
  const bool by_place = !query.aggregates();
  TRY_LET(const std::string columns, columns_of(query, sql));
  std::string where;
  if (query.where) {
    TRY_LET(const std::string condition, sql.condition(*query.where));
    where = " AND " + condition;
  }
  if (position.after)
    where += fmt::format(" AND (t.device, t.module) > ({}, {})", sql.bind(position.after->device.str()),
                         sql.bind(position.after->module.str()));
  std::string group;
  for (const query::Path& key : query.group_by) {
    TRY_LET(const std::string value, sql.json(key));
    group += (group.empty() ? " GROUP BY " : ", ") + value;
  }
  TRY_LET(std::string order, order_of(query, sql, by_place));
  if (!order.empty()) order = " ORDER BY " + order;
  const std::size_t wanted = std::min(page_size, position.left.value_or(page_size));
  const std::string limit = fmt::format(" LIMIT {} OFFSET {}", sql.bind(static_cast<std::int64_t>(wanted) + 1),
                                        sql.bind(static_cast<std::int64_t>(position.skip)));
  if (sql.needs_presence()) TRY(fill_presence());
  TRY_LET(const auto rows, tables_.query_cells("SELECT " + columns + sql.rows() + where + group + order + limit, sql.parameters()));

  QueryPage page;
  page.item_type = query.source == Source::jobs ? "deviceJob" : query.everything() ? "twin" : "raw";
  for (std::size_t i = 0; i < std::min(rows.size(), wanted); ++i) {
    TRY_LET(json::Value document, row_document(query, rows[i]));
    page.rows.push_back(std::move(document));
  }
  if (rows.size() > wanted && wanted > 0) {
    const storage::Row& last = rows[wanted - 1];
    page.continuation =
        device::IdentityName{device::DeviceId(storage::text(last[0])), device::ModuleId(storage::text(last[1]))}.client_id();
    if (page.continuation.empty()) page.continuation = "more";  // groups have no place
  }
  return page;
}

Result<json::Value> Queries::row_document(const Query& query, const storage::Row& row) {
  if (query.source == Source::jobs) return job_document(row);
  if (query.everything()) {
    const device::IdentityName name{device::DeviceId(storage::text(row[0])), device::ModuleId(storage::text(row[1]))};
    TRY_LET(const twin::Twin twin, twin::parse_stored(storage::text(row[2])));
    return twin_document(registry_, tables_, name, twin);
  }
  json::Object out;
  for (std::size_t i = 0; i < query.items.size(); ++i) {
    const storage::Cell& cell = row[i + 2];
    if (query.items[i].aggregate) {
      out.set(query.items[i].name, number_or_null(cell));
    } else if (!std::holds_alternative<std::nullptr_t>(cell)) {  // what is undefined has no member
      TRY_LET(json::Value value, json::parse(storage::text(cell)));
      out.set(query.items[i].name, std::move(value));
    }
  }
  return json::Value(std::move(out));
}

Result<std::vector<device::IdentityName>> Queries::select(const query::Selection& selection, const device::IdentityName* only) {
  std::vector<device::IdentityName> names;
  if (selection.nobody) return names;
  QuerySql sql(selection.source);
  std::string where;
  if (only)
    where += fmt::format(" AND t.device = {} AND t.module = {}", sql.bind(only->device.str()), sql.bind(only->module.str()));
  if (selection.where) {
    TRY_LET(const std::string condition, sql.condition(*selection.where));
    where += " AND " + condition;
  }
  const std::string limit = " ORDER BY t.device, t.module LIMIT " + sql.bind(static_cast<std::int64_t>(most_selected));
  if (sql.needs_presence()) TRY(fill_presence(only));
  TRY_LET(const auto rows, tables_.query_cells("SELECT t.device, t.module" + sql.rows() + where + limit, sql.parameters()));
  for (const storage::Row& row : rows)
    names.push_back({device::DeviceId(storage::text(row[0])), device::ModuleId(storage::text(row[1]))});
  return names;
}

Result<std::int64_t> Queries::count(std::string_view text) {
  TRY_LET(const Query query, query::parse_query(text));
  if (query.aggregates()) {
    TRY_LET(const QueryPage all, rows_of(query, largest_page, {}));
    return static_cast<std::int64_t>(all.rows.size());
  }
  QuerySql sql(query.source);
  std::string where;
  if (query.where) {
    TRY_LET(const std::string condition, sql.condition(*query.where));
    where = " AND " + condition;
  }
  if (sql.needs_presence()) TRY(fill_presence());
  TRY_LET(const auto rows, tables_.query_cells("SELECT count(*)" + sql.rows() + where, sql.parameters()));
  const std::int64_t found = storage::integer(rows[0][0]);
  return query.top ? std::min(found, static_cast<std::int64_t>(*query.top)) : found;
}

/// Who is connected lives in memory; queries that ask for it find it in a table of this connection's own.
Result<> Queries::fill_presence(const device::IdentityName* only) {
  json::Array rows;
  const auto add = [&rows](const device::IdentityName& name, const device::ConnectionFacts& facts) {
    rows.push_back(json::Array{name.device.str(), name.module.str(), facts.connected ? 1 : 0, format_iso8601(facts.last_activity)});
  };
  if (only)
    add(*only, registry_.facts(*only));
  else
    for (const auto& [name, facts] : registry_.presence()) add(name, facts);
  TRY(
      tables_.run("CREATE TABLE IF NOT EXISTS temp.presence (device TEXT, module TEXT, connected INTEGER, last_activity TEXT, "
                  "PRIMARY KEY (device, module)) WITHOUT ROWID"));
  TRY(tables_.run("DELETE FROM temp.presence"));
  TRY(tables_.run(
      "INSERT INTO temp.presence SELECT value ->> '$[0]', value ->> '$[1]', value ->> '$[2]', value ->> '$[3]' FROM json_each(?)",
      json::print(rows)));
  return {};
}

}  // namespace nacelle::hub
