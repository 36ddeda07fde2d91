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

/// Columns in any order, found by the header; RUL (if there) gives end_rul, other columns are ignored. Rows in any order, as
/// TableBuilder takes them. Errors say file, line and column. Plain or gzip.
Result<FleetTable> read_csv(std::istream& in, std::string_view name, ImportCounts* counts = nullptr);

}  // namespace nacelle::dataset
