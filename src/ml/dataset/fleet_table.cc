#include "ml/dataset/fleet_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "codec/digest/digest.h"

namespace nacelle::dataset {

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

void TableBuilder::append(TableBuilder other) {
  if (unit_.empty()) {
    *this = std::move(other);
    return;
  }
  unit_.insert(unit_.end(), other.unit_.begin(), other.unit_.end());
  cycle_.insert(cycle_.end(), other.cycle_.begin(), other.cycle_.end());
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
}

void TableBuilder::add(std::int64_t unit, std::int64_t cycle, std::span<const double> values) {
  INVARIANT(values.size() == schema_->column_count(), "a row has every column");
  unit_.push_back(unit);
  cycle_.push_back(cycle);
  values_.insert(values_.end(), values.begin(), values.end());
}

namespace {

/// Lays another reading of the newest row's engine and cycle over it: what one does not tell the other may. True if it told
/// something.
Result<bool> join_reading(FleetTable& table, const double* values) {
  bool added = false;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    double& there = table.columns[c].back();
    if (std::isnan(values[c]) || std::memcmp(&there, &values[c], sizeof there) == 0) continue;
    if (!std::isnan(there))
      return fail(Fault::invalid_input, fmt::format("{} {}, cycle {}: two different readings were found", table.schema->machine,
                                                    table.unit.back(), table.cycle.back()));
    there = values[c];
    added = true;
  }
  return added;
}

}  // namespace

Result<FleetTable> TableBuilder::finish(ImportCounts* counts) {
  const TableBuilder rows = std::exchange(*this, TableBuilder{schema_});
  const std::size_t column_count = schema_->column_count();
  if (rows.unit_.empty()) return fail(Fault::invalid_input, "expected readings of engines, found none");
  std::vector<std::size_t> order(rows.unit_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&rows](std::size_t a, std::size_t b) {
    return rows.unit_[a] != rows.unit_[b] ? rows.unit_[a] < rows.unit_[b] : rows.cycle_[a] < rows.cycle_[b];
  });

  FleetTable table;
  table.schema = schema_;
  table.columns.resize(column_count);
  table.unit.reserve(order.size());
  table.cycle.reserve(order.size());
  for (auto& column : table.columns) column.reserve(order.size());
  for (const std::size_t index : order) {
    const std::int64_t unit = rows.unit_[index];
    const std::int64_t cycle = rows.cycle_[index];
    const double* values = rows.values_.data() + index * column_count;
    const bool same_engine = !table.unit.empty() && table.unit.back() == unit;
    if (same_engine && table.cycle.back() == cycle) {
      TRY_LET(const bool added, join_reading(table, values));
      if (counts) ++(added ? counts->joined : counts->duplicates);
      continue;
    }
    if (!same_engine) table.engines.push_back({unit, table.cycle.size(), table.cycle.size()});
    table.unit.push_back(unit);
    table.cycle.push_back(cycle);
    for (std::size_t c = 0; c < column_count; ++c) table.columns[c].push_back(values[c]);
    ++table.engines.back().end;
  }
  return table;
}

}  // namespace nacelle::dataset
