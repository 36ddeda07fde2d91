#include "ml/dataset/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace nacelle::dataset {

namespace {
constexpr std::size_t max_regimes = 64;
/// Tolerances of C-MAPSS settings lie well between the noise within a regime and the gaps between regimes, as in the feature
/// recipe; of others, unless the schema says, nothing is a regime of its own that differs by less than this.
constexpr double turbofan_tolerances[] = {2.0, 0.05, 5.0};
constexpr double default_tolerance = 1;
}  // namespace

Profiler::Profiler(std::shared_ptr<const FleetSchema> schema) : schema_(std::move(schema)), columns_(schema_->column_count()) {
  const bool turbofan = schema_->column_names() == turbofan_columns();
  for (std::size_t s = 0; s < schema_->settings.size(); ++s) {
    const double told = schema_->settings[s].tolerance;
    tolerances_.push_back(told > 0 ? told : turbofan ? turbofan_tolerances[s] : default_tolerance);
  }
  stretch_.first_sum.resize(columns_.size());
  stretch_.ring.resize(life_stretch * columns_.size());
  drift_squares_.resize(columns_.size());
}

void Profiler::count_regime(std::span<const double> settings) {
  if (settings.empty()) return;
  const auto matches = [&](const RegimeProfile& regime) {
    for (std::size_t s = 0; s < settings.size(); ++s)
      if (!(std::abs(settings[s] - regime.settings[s]) < tolerances_[s])) return false;
    return true;
  };
  if (last_regime_ < regimes_.size() && matches(regimes_[last_regime_])) {
    ++regimes_[last_regime_].rows;
    return;
  }
  for (std::size_t r = 0; r < regimes_.size(); ++r)
    if (matches(regimes_[r])) {
      ++regimes_[r].rows;
      last_regime_ = r;
      return;
    }
  if (!std::all_of(settings.begin(), settings.end(), [](double value) { return std::isfinite(value); })) return;  // silent settings
  if (regimes_.size() == max_regimes) {
    too_many_regimes_ = true;
    return;
  }
  last_regime_ = regimes_.size();
  regimes_.push_back({{settings.begin(), settings.end()}, 1});
}

void Profiler::end_machine() {
  if (stretch_.unit >= 0 && stretch_.in_order && stretch_.rows >= 2 * life_stretch) {
    ++drift_machines_;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      double last = 0;
      for (std::size_t k = 0; k < life_stretch; ++k) last += stretch_.ring[k * columns_.size() + c];
      const double moved = (last - stretch_.first_sum[c]) / static_cast<double>(life_stretch);
      if (std::isfinite(moved)) drift_squares_[c] += moved * moved;
    }
  }
  stretch_.rows = 0;
  stretch_.in_order = true;
  std::fill(stretch_.first_sum.begin(), stretch_.first_sum.end(), 0.0);
}

void Profiler::add(const ReadingRow& row) {
  ++rows_;
  if (!std::isnan(row.rul)) ++labelled_;
  if (!current_ || row.unit != current_unit_) {
    end_machine();
    current_ = &machines_[row.unit];  // nodes do not move
    current_unit_ = stretch_.unit = row.unit;
    if (current_->rows > 0) stretch_.in_order = false;  // its rows come in pieces
  }
  Machine& machine = *current_;
  if (machine.rows == 0) {
    machine.first = row.cycle;
  } else if (row.cycle == machine.newest) {
    ++repeated_;
  } else if (row.cycle < machine.newest) {
    ++out_of_order_;
    stretch_.in_order = false;
    machine.first = std::min(machine.first, row.cycle);
  } else if (row.cycle > machine.newest + 1) {
    ++gaps_;
    missing_ += static_cast<std::uint64_t>(row.cycle - machine.newest - 1);
  }
  machine.newest = machine.rows == 0 ? row.cycle : std::max(machine.newest, row.cycle);
  ++machine.rows;

  double* const ring = stretch_.ring.data() + (stretch_.rows % life_stretch) * columns_.size();
  const bool early = stretch_.rows < life_stretch;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const double value = row.values[c];
    ring[c] = value;
    if (early) stretch_.first_sum[c] += value;
    if (!std::isfinite(value)) continue;
    Column& column = columns_[c];
    if (column.heard == 0) column.low = column.high = column.shift = value;
    ++column.heard;
    column.low = std::min(column.low, value);
    column.high = std::max(column.high, value);
    const double from = value - column.shift;
    column.sum += from;
    column.squares += from * from;
  }
  ++stretch_.rows;
  count_regime(row.values.first(schema_->settings.size()));
}

DataProfile Profiler::finish() {
  end_machine();
  DataProfile profile{.machine = schema_->machine, .rows = rows_, .machines = machines_.size()};
  profile.repeated = repeated_;
  profile.out_of_order = out_of_order_;
  profile.gaps = gaps_;
  profile.missing_cycles = missing_;
  profile.labelled = labelled_;
  profile.shortest = machines_.empty() ? 0 : machines_.begin()->second.rows;
  for (const auto& [unit, machine] : machines_) {
    profile.shortest = std::min(profile.shortest, machine.rows);
    profile.longest = std::max(profile.longest, machine.rows);
    profile.one_cycle_machines += machine.rows == 1;
    profile.late_starts += !schema_->time.iso8601 && machine.first > 1;
  }
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const Column& column = columns_[c];
    ColumnProfile out{.name = schema_->column(c).name, .heard = column.heard, .silent = rows_ - column.heard};
    if (column.heard > 0) {
      const auto n = static_cast<double>(column.heard);
      out.low = column.low;
      out.high = column.high;
      out.mean = column.shift + column.sum / n;
      out.spread = std::sqrt(std::max(0.0, column.squares / n - (column.sum / n) * (column.sum / n)));
      out.constant = column.low == column.high;
      if (drift_machines_ > 0 && out.spread > 0 && !out.constant)
        out.drift = std::sqrt(drift_squares_[c] / static_cast<double>(drift_machines_)) / out.spread;
    }
    profile.columns.push_back(std::move(out));
  }
  std::stable_sort(regimes_.begin(), regimes_.end(),
                   [](const RegimeProfile& a, const RegimeProfile& b) { return a.rows > b.rows; });
  profile.regimes = regimes_;
  profile.too_many_regimes = too_many_regimes_;

  const auto note = [&profile](std::uint64_t count, const std::string& what) {
    if (count > 0) profile.notes.push_back(fmt::format("{} {}", count, what));
  };
  const auto constant = std::count_if(profile.columns.begin(), profile.columns.end(), [](const auto& c) { return c.constant; });
  const auto never = std::count_if(profile.columns.begin(), profile.columns.end(), [](const auto& c) { return c.heard == 0; });
  note(static_cast<std::uint64_t>(never), "columns are never heard");
  note(static_cast<std::uint64_t>(constant), "columns never change: they tell nothing");
  note(repeated_, "rows repeat their machine's cycle");
  note(out_of_order_, "rows come out of order: tables sort them");
  note(gaps_, fmt::format("gaps in machines' cycles, {} cycles missing", missing_));
  note(profile.late_starts, "machines begin after cycle 1: they joined late, or their beginnings are lost");
  note(profile.one_cycle_machines, "machines have one reading only: no trend can be seen");
  if (too_many_regimes_)
    profile.notes.push_back(
        fmt::format("more than {} operating regimes: the settings' tolerances are too small, or they vary freely", max_regimes));
  return profile;
}

DataProfile profile_table(const FleetTable& table) {
  Profiler profiler(table.schema);
  std::vector<double> values(table.columns.size());
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    for (std::size_t c = 0; c < values.size(); ++c) values[c] = table.columns[c][row];
    profiler.add({.unit = table.unit[row], .cycle = table.cycle[row], .values = values, .rul = std::nan(""), .line = {}});
  }
  return profiler.finish();
}

json::Value to_json(const DataProfile& profile) {
  json::Array columns, regimes, notes;
  for (const ColumnProfile& c : profile.columns)
    columns.emplace_back(json::Object{{"name", c.name},
                                      {"heard", c.heard},
                                      {"silent", c.silent},
                                      {"min", c.low},
                                      {"mean", c.mean},
                                      {"max", c.high},
                                      {"spread", c.spread},
                                      {"constant", c.constant},
                                      {"drift", c.drift}});
  for (const RegimeProfile& regime : profile.regimes) {
    json::Array settings;
    for (const double value : regime.settings) settings.emplace_back(value);
    regimes.emplace_back(json::Object{{"settings", std::move(settings)}, {"rows", regime.rows}});
  }
  for (const std::string& text : profile.notes) notes.emplace_back(text);
  return json::Object{{"machine", profile.machine},
                      {"rows", profile.rows},
                      {"machines", profile.machines},
                      {"shortest", profile.shortest},
                      {"longest", profile.longest},
                      {"oneCycleMachines", profile.one_cycle_machines},
                      {"repeated", profile.repeated},
                      {"outOfOrder", profile.out_of_order},
                      {"gaps", profile.gaps},
                      {"missingCycles", profile.missing_cycles},
                      {"lateStarts", profile.late_starts},
                      {"labelled", profile.labelled},
                      {"columns", std::move(columns)},
                      {"regimes", std::move(regimes)},
                      {"tooManyRegimes", profile.too_many_regimes},
                      {"notes", std::move(notes)}};
}

}  // namespace nacelle::dataset
