#include "ml/dataset/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "ml/dataset/labels.h"
#include "ml/dataset/row_reader.h"

namespace nacelle::dataset {

void write_csv(std::ostream& out, const FleetTable& table, const CsvOptions& options) {
  // Times that were ISO 8601 have become cycles: read back by a schema that says so, or by its column's name as numbers.
  std::string text = table.schema->id + "," + table.schema->time.name;
  for (const std::string& name : table.schema->column_names()) text += "," + name;
  if (options.labels) text += fmt::format(",{},RULCapped,LifeClass", table.schema->label.empty() ? "RUL" : table.schema->label);
  text += '\n';
  const std::vector<double> rul = options.labels ? label_rul(table) : std::vector<double>{};
  std::size_t engine = 0;
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    while (row >= table.engines[engine].end) ++engine;
    fmt::format_to(std::back_inserter(text), "{},{}", table.name_of(engine), table.cycle[row]);
    for (const auto& column : table.columns) {
      text += ',';
      if (std::isfinite(column[row])) fmt::format_to(std::back_inserter(text), "{}", column[row]);
    }
    if (options.labels && std::isnan(rul[row]))
      text += ",,,";  // still runs
    else if (options.labels)
      fmt::format_to(std::back_inserter(text), ",{},{},{}", rul[row], std::min(rul[row], options.rul_cap),
                     life_class_name(life_class_of(rul[row])));
    text += '\n';
    if (text.size() > (1 << 20)) {
      out << text;
      text.clear();
    }
  }
  out << text;
}

namespace {

/// The remaining life after each engine's last row, by unit.
struct EndOfLife {
  std::map<std::int64_t, std::pair<std::int64_t, double>> last;  ///< unit: cycle, RUL
  void see(std::int64_t unit, std::int64_t cycle, double rul) {
    auto& [at, value] = last.try_emplace(unit, cycle, rul).first->second;
    if (cycle >= at) at = cycle, value = rul;
  }
  /// False if all ran to failure: then the table is the same as one without the column.
  bool any() const {
    return std::any_of(last.begin(), last.end(), [](const auto& entry) {
      return entry.second.second != 0; /* NaN too */
    });
  }
  std::vector<double> of(const FleetTable& table) const {
    std::vector<double> values;
    for (const EngineRows& engine : table.engines) {
      const auto found = last.find(engine.unit);
      values.push_back(found == last.end() ? std::numeric_limits<double>::quiet_NaN() : found->second.second);
    }
    return values;
  }
};

/// ISO 8601 times are counted from each machine's first reading.
void count_from_first(FleetTable& table) {
  for (const EngineRows& engine : table.engines) {
    const std::int64_t first = table.cycle[engine.begin];
    for (std::size_t row = engine.begin; row < engine.end; ++row) table.cycle[row] += 1 - first;
  }
}

}  // namespace

Result<FleetTable> read_joined_csv(const std::vector<std::istream*>& files, const std::vector<std::string>& names,
                                   ImportCounts* counts, std::shared_ptr<const FleetSchema> schema) {
  TableBuilder builder(schema);
  EndOfLife end_of_life;
  bool has_label = false;
  std::map<std::string, std::int64_t> units;  // of machines with names: each file numbers them by itself
  std::vector<std::string> unit_names;
  for (std::size_t f = 0; f < files.size(); ++f) {
    TRY_LET(RowReader rows, RowReader::open(*files[f], names[f], schema, files.size() > 1));
    has_label = has_label || rows.has_label();
    ReadingRow row;
    for (;;) {
      TRY_LET(const bool more, rows.next(row));
      if (!more) break;
      if (schema->id_is_text) {
        const std::string& name = rows.unit_names()[static_cast<std::size_t>(row.unit - 1)];
        const auto [entry, is_new] = units.try_emplace(name, static_cast<std::int64_t>(units.size() + 1));
        if (is_new) unit_names.push_back(name);
        row.unit = entry->second;
      }
      builder.add(row.unit, row.cycle, row.values);
      if (rows.has_label()) end_of_life.see(row.unit, row.cycle, row.rul);
      if (counts) ++counts->records;
    }
  }
  TRY_LET(FleetTable table, nacelle::in(builder.finish(counts), names.front()));
  if (has_label && end_of_life.any()) table.end_rul = end_of_life.of(table);
  if (schema->id_is_text)
    for (const EngineRows& engine : table.engines)
      table.unit_names.push_back(unit_names[static_cast<std::size_t>(engine.unit - 1)]);
  if (schema->time.iso8601) count_from_first(table);
  return table;
}

Result<FleetTable> read_csv(std::istream& in, std::string_view name, ImportCounts* counts,
                            std::shared_ptr<const FleetSchema> schema) {
  return read_joined_csv({&in}, {std::string(name)}, counts, std::move(schema));
}

Result<FleetTable> with_failures(FleetTable table, std::istream& in, std::string_view name) {
  const FleetSchema& schema = *table.schema;
  if (schema.time.iso8601)
    return fail(Fault::invalid_input,
                fmt::format("{}: failures of fleets with ISO 8601 times are not supported yet; give a label column", name));
  FleetSchema events = schema;  // the same id and time, under the events' names, and no other column
  events.id = schema.event_id.empty() ? schema.id : schema.event_id;
  events.time.name = schema.event_time.empty() ? schema.time.name : schema.event_time;
  events.settings.clear();
  events.sensors.clear();
  events.label.clear();
  TRY_LET(RowReader rows, RowReader::open(in, std::string(name), std::make_shared<const FleetSchema>(std::move(events))));
  std::map<std::string, std::int64_t> failed_at;
  ReadingRow row;
  for (;;) {
    TRY_LET(const bool more, rows.next(row));
    if (!more) break;
    const std::string key =
        schema.id_is_text ? rows.unit_names()[static_cast<std::size_t>(row.unit - 1)] : fmt::format("{}", row.unit);
    if (!failed_at.emplace(key, row.cycle).second)
      return fail(Fault::invalid_input, fmt::format("{}: {} '{}' fails twice", rows.here(), schema.machine, key));
  }
  table.end_rul.assign(table.engines.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t e = 0; e < table.engines.size(); ++e) {
    const auto found = failed_at.find(table.name_of(e));
    if (found == failed_at.end()) continue;
    const std::int64_t last = table.cycle[table.engines[e].end - 1];
    if (found->second < last)
      return fail(Fault::invalid_input, fmt::format("{}: {} '{}' fails at cycle {}, but has a reading of cycle {}", name,
                                                    schema.machine, table.name_of(e), found->second, last));
    table.end_rul[e] = static_cast<double>(found->second - last);
  }
  return table;
}

}  // namespace nacelle::dataset
