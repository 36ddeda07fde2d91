#include "ml/dataset/fleet_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <map>
#include <unordered_map>

#include "codec/digest/digest.h"
#include "foundation/run_tasks.h"

namespace nacelle::dataset {

namespace {
constexpr std::size_t rows_a_piece = 1024;
constexpr std::size_t rows_ahead = 8;     // fetched while others are moved
constexpr std::size_t values_a_line = 8;  // of the cache
}  // namespace

const std::vector<std::string>& turbofan_columns() {
  static const std::vector<std::string> names = turbofan_schema()->column_names();
  return names;
}

std::string FleetTable::name_of(std::size_t engine) const {
  return unit_names.empty() ? fmt::format("{}", engines[engine].unit) : unit_names[engine];
}

FleetTable FleetTable::select(std::span<const std::size_t> engine_indices) const {
  FleetTable chosen;
  chosen.schema = schema;
  chosen.columns.resize(columns.size());
  for (const std::size_t index : engine_indices) {
    const EngineRows& rows = engines[index];
    chosen.engines.push_back({rows.unit, chosen.cycle.size(), chosen.cycle.size() + rows.size()});
    if (!end_rul.empty()) chosen.end_rul.push_back(end_rul[index]);
    if (!unit_names.empty()) chosen.unit_names.push_back(unit_names[index]);
    const auto append = [&rows](auto& to, const auto& from) {
      to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(rows.begin),
                from.begin() + static_cast<std::ptrdiff_t>(rows.end));
    };
    append(chosen.unit, unit);
    append(chosen.cycle, cycle);
    for (std::size_t c = 0; c < columns.size(); ++c) append(chosen.columns[c], columns[c]);
  }
  return chosen;
}

std::vector<double> FleetTable::row(std::size_t index) const {
  std::vector<double> values(columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) values[c] = columns[c][index];
  return values;
}

std::string FleetTable::content_hash() const {
  digest::Sha256 hash;
  const auto update = [&hash](const auto& values) {
    hash.update({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])});
  };
  update(unit);
  update(cycle);
  for (const auto& column : columns) update(column);
  update(end_rul);
  return hash.hex();
}

void ImportCounts::add(const ImportCounts& other) {
  records += other.records;
  duplicates += other.duplicates;
  joined += other.joined;
  skipped += other.skipped;
  unreadable += other.unreadable;
  if (first_complaint.empty()) first_complaint = other.first_complaint;
}

TableBuilder::TableBuilder(std::shared_ptr<const FleetSchema> schema) : schema_(std::move(schema)) {}

/// Values stay where they are: they are most of the bytes, and are moved once, into their columns.
void TableBuilder::append(TableBuilder other) {
  if (rows_.empty()) {
    *this = std::move(other);
    return;
  }
  rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
  std::move(other.pieces_.begin(), other.pieces_.end(), std::back_inserter(pieces_));
}

void TableBuilder::add(std::int64_t unit, std::int64_t cycle, std::span<const double> values) {
  INVARIANT(values.size() == schema_->column_count(), "a row has every column");
  if (pieces_.empty() || pieces_.back().capacity() - pieces_.back().size() < values.size()) {
    // Small at first: many files have few readings.
    const std::size_t rows = pieces_.empty() ? 16 : std::min<std::size_t>(rows_a_piece, rows_.size());
    pieces_.emplace_back().reserve(std::max<std::size_t>(1, rows * values.size()));
  }
  std::vector<double>& piece = pieces_.back();
  const std::size_t at = piece.size();
  piece.insert(piece.end(), values.begin(), values.end());
  rows_.push_back({unit, cycle, piece.data() + at});
}

/// By unit and cycle; equal ones as they came. Units are told apart first: within one, readings mostly come in order.
std::vector<TableBuilder::Row> TableBuilder::sorted() const {
  std::map<std::int64_t, std::size_t> places;
  std::vector<std::size_t*> place_of;  // of each row's unit
  place_of.reserve(rows_.size());
  std::unordered_map<std::int64_t, std::size_t*> known;
  for (const Row& row : rows_) {
    std::size_t*& place = known[row.unit];
    if (place == nullptr) place = &places[row.unit];
    ++*place;
    place_of.push_back(place);
  }
  std::vector<std::size_t> ends;
  std::size_t begin = 0;
  for (auto& [unit, place] : places) {
    const std::size_t count = std::exchange(place, begin);
    begin += count;
    ends.push_back(begin);
  }
  std::vector<Row> rows(rows_.size());
  for (std::size_t i = 0; i < rows_.size(); ++i) rows[(*place_of[i])++] = rows_[i];
  const auto earlier = [](const Row& a, const Row& b) { return a.cycle < b.cycle; };
  auto from = rows.begin();
  for (const std::size_t end : ends) {
    const auto to = rows.begin() + static_cast<std::ptrdiff_t>(end);
    if (!std::is_sorted(from, to, earlier)) std::stable_sort(from, to, earlier);
    from = to;
  }
  return rows;
}

namespace {

/// Lays another reading of a row's engine and cycle over it: what one does not tell the other may. True if it told something.
Result<bool> join_reading(FleetTable& table, std::size_t row, const double* values) {
  bool added = false;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    double& there = table.columns[c][row];
    if (std::isnan(values[c]) || std::memcmp(&there, &values[c], sizeof there) == 0) continue;
    if (!std::isnan(there))
      return fail(Fault::invalid_input, fmt::format("{} {}, cycle {}: two different readings were found", table.schema->machine,
                                                    table.unit[row], table.cycle[row]));
    there = values[c];
    added = true;
  }
  return added;
}

/// Columns from `first` on, as many as lie in a line of the cache.
void fill_columns(FleetTable& table, const std::vector<const double*>& readings, std::size_t first) {
  const std::size_t last = std::min(first + values_a_line, table.columns.size());
  std::array<double*, values_a_line> next{};
  for (std::size_t c = first; c < last; ++c) {
    table.columns[c].resize(readings.size());
    next[c - first] = table.columns[c].data();
  }
  for (std::size_t row = 0; row < readings.size(); ++row) {
    // One engine's readings lie far from each other, among those of all that were read with it.
    if (row + rows_ahead < readings.size()) __builtin_prefetch(readings[row + rows_ahead] + first);
    for (std::size_t c = first; c < last; ++c) next[c - first][row] = readings[row][c];
  }
}

}  // namespace

Result<FleetTable> TableBuilder::finish(ImportCounts* counts, int threads) {
  const TableBuilder given = std::exchange(*this, TableBuilder{schema_});
  if (given.rows_.empty()) return fail(Fault::invalid_input, "expected readings of engines, found none");

  FleetTable table;
  table.schema = schema_;
  table.unit.reserve(given.rows_.size());
  table.cycle.reserve(given.rows_.size());
  std::vector<const double*> readings;  // of each row, the first that came
  readings.reserve(given.rows_.size());
  std::vector<std::pair<std::size_t, const double*>> further;  // of a row that has one
  for (const Row& row : given.sorted()) {
    const bool same_engine = !table.unit.empty() && table.unit.back() == row.unit;
    if (same_engine && table.cycle.back() == row.cycle) {
      further.emplace_back(readings.size() - 1, row.values);
      continue;
    }
    if (!same_engine) table.engines.push_back({row.unit, table.cycle.size(), table.cycle.size()});
    table.unit.push_back(row.unit);
    table.cycle.push_back(row.cycle);
    readings.push_back(row.values);
    ++table.engines.back().end;
  }
  table.columns.resize(schema_->column_count());
  run_tasks((table.columns.size() + values_a_line - 1) / values_a_line, threads,
            [&](std::size_t line) { fill_columns(table, readings, line * values_a_line); });
  for (const auto& [row, values] : further) {
    TRY_LET(const bool added, join_reading(table, row, values));
    if (counts) ++(added ? counts->joined : counts->duplicates);
  }
  return table;
}

}  // namespace nacelle::dataset
