#pragma once
// FleetTable: the readings of a fleet, column by column, engine after engine in ascending unit and cycle.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/result.h"
#include "ml/dataset/schema.h"

namespace nacelle::dataset {

/// OperationalSetting1..3, Sensor1..21: the 24 value columns of C-MAPSS, as they are called in telemetry.
const std::vector<std::string>& turbofan_columns();
constexpr std::size_t turbofan_column_count = 24;

/// The rows of one engine.
struct EngineRows {
  std::int64_t unit = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
};

/// Sorted by (unit, cycle), no pair twice: TableBuilder makes it so.
struct FleetTable {
  std::shared_ptr<const FleetSchema> schema = turbofan_schema();
  std::vector<std::int64_t> unit;
  std::vector<std::int64_t> cycle;
  std::vector<std::vector<double>> columns;  ///< schema->column_names() order, each row_count() long; NaN: silent
  std::vector<EngineRows> engines;
  std::vector<double> end_rul;  ///< each engine's true remaining life after its last row; empty: all ran to failure. NaN: it
                                ///< still runs (censored)
  std::vector<std::string> unit_names;  ///< by engine, where the data name machines by text; empty: their numbers

  std::size_t row_count() const { return cycle.size(); }
  double value(std::size_t row, std::size_t column) const { return columns[column][row]; }
  std::optional<std::size_t> find_column(std::string_view name) const { return schema->find_column(name); }
  std::string name_of(std::size_t engine) const;
  /// The rows of the chosen engines (indices into engines), in the order given.
  FleetTable select(std::span<const std::size_t> engine_indices) const;
  /// Each row's column values, in turn.
  std::vector<double> row(std::size_t index) const;
  /// SHA-256 hex over units, cycles, the bits of all values and what is known of each end of life: the identity of the data,
  /// whatever file it came from.
  std::string content_hash() const;
};

/// What was done to the rows on their way in.
struct ImportCounts {
  std::uint64_t records = 0;     ///< records or lines read
  std::uint64_t duplicates = 0;  ///< same engine, cycle and values: dropped
  std::uint64_t joined = 0;      ///< same engine and cycle, other channels: laid together
  std::uint64_t skipped = 0;     ///< messages that are no readings of an engine
  std::uint64_t unreadable = 0;  ///< readings with a member that cannot be read: left out
  std::string first_complaint;   ///< about the first unreadable one

  void add(const ImportCounts& other);
};

/// Takes rows in any order.  TableBuilder b; b.add(unit, cycle, values, "where"); TRY_LET(auto table, b.finish());
class TableBuilder {
 public:
  explicit TableBuilder(std::shared_ptr<const FleetSchema> schema = turbofan_schema());
  TableBuilder(TableBuilder&&) = default;
  TableBuilder& operator=(TableBuilder&&) = default;
  /// `values`: as many as the schema has columns.
  void add(std::int64_t unit, std::int64_t cycle, std::span<const double> values);
  std::size_t size() const { return rows_.size(); }
  const FleetSchema& schema() const { return *schema_; }
  void append(TableBuilder other);
  /// Sorts; drops repeated identical rows and counts them; lays readings of one engine and cycle together that tell different
  /// channels (from several sources). Fault::invalid_input if two tell the same channel differently, and if there are no rows.
  /// Leaves the builder empty. The number of threads makes no difference to the result.
  Result<FleetTable> finish(ImportCounts* counts = nullptr, int threads = 1);

 private:
  struct Row {
    std::int64_t unit;
    std::int64_t cycle;
    const double* values;  ///< in a piece
  };
  std::vector<Row> sorted() const;

  std::shared_ptr<const FleetSchema> schema_;
  std::vector<Row> rows_;
  std::vector<std::vector<double>> pieces_;  ///< values, row-major; none grows beyond its capacity, so that rows stay in place
};

}  // namespace nacelle::dataset
