#include "ml/dataset/fleet_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "codec/digest/digest.h"

namespace nacelle::dataset {

const std::vector<std::string>& turbofan_columns() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (int i = 1; i <= 3; ++i) all.push_back(fmt::format("OperationalSetting{}", i));
    for (int i = 1; i <= 21; ++i) all.push_back(fmt::format("Sensor{}", i));
    return all;
  }();
  return names;
}

const std::vector<std::string>& turbofan_column_meanings() {
  static const std::vector<std::string> meanings = {
      "altitude (kft)",
      "flight Mach number",
      "throttle resolver angle",
      "T2, temperature at fan inlet (°R)",
      "T24, temperature at LPC outlet (°R)",
      "T30, temperature at HPC outlet (°R)",
      "T50, temperature at LPT outlet (°R)",
      "P2, pressure at fan inlet (psia)",
      "P15, pressure in bypass duct (psia)",
      "P30, pressure at HPC outlet (psia)",
      "Nf, physical fan speed (rpm)",
      "Nc, physical core speed (rpm)",
      "epr, engine pressure ratio",
      "Ps30, static pressure at HPC outlet (psia)",
      "phi, fuel flow to Ps30 (pps/psi)",
      "NRf, corrected fan speed (rpm)",
      "NRc, corrected core speed (rpm)",
      "BPR, bypass ratio",
      "farB, burner fuel-air ratio",
      "htBleed, bleed enthalpy",
      "Nf_dmd, demanded fan speed (rpm)",
      "PCNfR_dmd, demanded corrected fan speed (rpm)",
      "W31, HPT coolant bleed (lbm/s)",
      "W32, LPT coolant bleed (lbm/s)",
  };
  return meanings;
}

FleetTable FleetTable::select(std::span<const std::size_t> engine_indices) const {
  FleetTable chosen;
  chosen.columns.resize(columns.size());
  for (const std::size_t index : engine_indices) {
    const EngineRows& rows = engines[index];
    chosen.engines.push_back({rows.unit, chosen.cycle.size(), chosen.cycle.size() + rows.size()});
    if (!end_rul.empty()) chosen.end_rul.push_back(end_rul[index]);
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
  skipped += other.skipped;
  unreadable += other.unreadable;
  if (first_complaint.empty()) first_complaint = other.first_complaint;
}

TableBuilder::TableBuilder() = default;

void TableBuilder::append(TableBuilder other) {
  unit_.insert(unit_.end(), other.unit_.begin(), other.unit_.end());
  cycle_.insert(cycle_.end(), other.cycle_.begin(), other.cycle_.end());
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
}

void TableBuilder::add(std::int64_t unit, std::int64_t cycle, std::span<const double> values) {
  INVARIANT(values.size() == turbofan_column_count, "a row has every column");
  unit_.push_back(unit);
  cycle_.push_back(cycle);
  values_.insert(values_.end(), values.begin(), values.end());
}

namespace {

/// Bit for bit, so that a silent (NaN) value equals itself.
bool same_values(const double* a, const double* b) { return std::memcmp(a, b, turbofan_column_count * sizeof(double)) == 0; }

}  // namespace

Result<FleetTable> TableBuilder::finish(ImportCounts* counts) {
  const TableBuilder rows = std::exchange(*this, TableBuilder{});
  if (rows.unit_.empty()) return fail(Fault::invalid_input, "expected readings of engines, found none");
  std::vector<std::size_t> order(rows.unit_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&rows](std::size_t a, std::size_t b) {
    return rows.unit_[a] != rows.unit_[b] ? rows.unit_[a] < rows.unit_[b] : rows.cycle_[a] < rows.cycle_[b];
  });

  FleetTable table;
  table.columns.resize(turbofan_column_count);
  table.unit.reserve(order.size());
  table.cycle.reserve(order.size());
  for (auto& column : table.columns) column.reserve(order.size());
  const double* last = nullptr;
  for (const std::size_t index : order) {
    const std::int64_t unit = rows.unit_[index];
    const std::int64_t cycle = rows.cycle_[index];
    const double* values = rows.values_.data() + index * turbofan_column_count;
    const bool same_engine = !table.unit.empty() && table.unit.back() == unit;
    if (same_engine && table.cycle.back() == cycle) {
      if (!same_values(last, values))
        return fail(Fault::invalid_input, fmt::format("engine {}, cycle {}: two different readings were found", unit, cycle));
      if (counts) ++counts->duplicates;
      continue;
    }
    if (!same_engine) table.engines.push_back({unit, table.cycle.size(), table.cycle.size()});
    table.unit.push_back(unit);
    table.cycle.push_back(cycle);
    for (std::size_t c = 0; c < turbofan_column_count; ++c) table.columns[c].push_back(values[c]);
    ++table.engines.back().end;
    last = values;
  }
  return table;
}

}  // namespace nacelle::dataset
