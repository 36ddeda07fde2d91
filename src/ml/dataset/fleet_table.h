#pragma once
// FleetTable: the readings of a fleet, column by column, engine after engine in ascending unit and cycle.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/result.h"

namespace nacelle::dataset {

/// OperationalSetting1..3, Sensor1..21: the 24 value columns of C-MAPSS, as they are called in telemetry.
const std::vector<std::string>& turbofan_columns();
constexpr std::size_t turbofan_column_count = 24;
/// What each measures, with its unit: "total temperature at fan inlet (°R)". Source: Saxena et al., PHM08, table 2.
const std::vector<std::string>& turbofan_column_meanings();

/// The rows of one engine.
struct EngineRows {
  std::int64_t unit = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
};

/// Sorted by (unit, cycle), no pair twice: TableBuilder makes it so.
struct FleetTable {
  std::vector<std::int64_t> unit;
  std::vector<std::int64_t> cycle;
  std::vector<std::vector<double>> columns;  ///< turbofan_columns() order, each row_count() long; NaN: silent
  std::vector<EngineRows> engines;
  std::vector<double> end_rul;  ///< each engine's true remaining life after its last row; empty: all ran to failure

  std::size_t row_count() const { return cycle.size(); }
  double value(std::size_t row, std::size_t column) const { return columns[column][row]; }
  /// The rows of the chosen engines (indices into engines), in the order given.
  FleetTable select(std::span<const std::size_t> engine_indices) const;
  /// Each row's column values, in turn.
  std::vector<double> row(std::size_t index) const;
  /// SHA-256 hex over units, cycles and the bits of all values: the identity of the data, whatever file it came from.
  std::string content_hash() const;
};

/// What was done to the rows on their way in.
struct ImportCounts {
  std::uint64_t records = 0;     ///< records or lines read
  std::uint64_t duplicates = 0;  ///< same engine, cycle and values: dropped
  std::uint64_t skipped = 0;     ///< messages that are no readings of an engine
  std::uint64_t unreadable = 0;  ///< readings with a member that cannot be read: left out
  std::string first_complaint;   ///< about the first unreadable one

  void add(const ImportCounts& other);
};

/// Takes rows in any order.  TableBuilder b; b.add(unit, cycle, values, "where"); TRY_LET(auto table, b.finish());
class TableBuilder {
 public:
  TableBuilder();
  /// `values`: turbofan_column_count of them.
  void add(std::int64_t unit, std::int64_t cycle, std::span<const double> values);
  std::size_t size() const { return unit_.size(); }
  void append(TableBuilder other);
  /// Sorts; drops repeated identical rows and counts them; Fault::invalid_input for an engine and cycle with two different
  /// readings, and if there are no rows. Leaves the builder empty.
  Result<FleetTable> finish(ImportCounts* counts = nullptr);

 private:
  std::vector<std::int64_t> unit_;
  std::vector<std::int64_t> cycle_;
  std::vector<double> values_;  ///< row-major
};

}  // namespace nacelle::dataset
