#pragma once
// The CSV form of a FleetTable: a header line, then unit,cycle, the 24 value columns, and, when labelled, RUL, RULCapped and
// LifeClass. Numbers in the shortest form that reads back to the same bits; an empty field is a silent channel.

#include <istream>
#include <ostream>
#include <string_view>

#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset {

struct CsvOptions {
  bool labels = false;
  double rul_cap = 125;
};
/// The caller checks the stream.
void write_csv(std::ostream& out, const FleetTable& table, const CsvOptions& options = {});

/// Columns in any order, found by the header; the label column (if there) gives end_rul, an empty one in an engine's last row says
/// that it still runs; other columns are ignored. Rows in any order, as TableBuilder takes them. Errors say file, line and column.
/// Plain or gzip.
Result<FleetTable> read_csv(std::istream& in, std::string_view name, ImportCounts* counts = nullptr,
                            std::shared_ptr<const FleetSchema> schema = turbofan_schema());

/// Several CSV files as one table, rows joined by engine and cycle: each may tell some of the schema's channels. `names`: as the
/// files are called, in errors.
Result<FleetTable> read_joined_csv(const std::vector<std::istream*>& files, const std::vector<std::string>& names,
                                   ImportCounts* counts, std::shared_ptr<const FleetSchema> schema);

/// The table with the ends of life that a file of failures tells: id and time, under the names of schema.event_id and event_time. A
/// machine that is not in it still runs. Fault::invalid_input: one fails twice, or before its last reading.
Result<FleetTable> with_failures(FleetTable table, std::istream& in, std::string_view name);

}  // namespace nacelle::dataset
