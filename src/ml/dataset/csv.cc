#include "ml/dataset/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "codec/text/encoding.h"
#include "ml/dataset/labels.h"
#include "ml/dataset/line_reader.h"

namespace nacelle::dataset {

void write_csv(std::ostream& out, const FleetTable& table, const CsvOptions& options) {
  std::string text = "unit,cycle";
  for (const std::string& name : turbofan_columns()) text += "," + name;
  if (options.labels) text += ",RUL,RULCapped,LifeClass";
  text += '\n';
  const std::vector<double> rul = options.labels ? label_rul(table) : std::vector<double>{};
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    fmt::format_to(std::back_inserter(text), "{},{}", table.unit[row], table.cycle[row]);
    for (const auto& column : table.columns) {
      text += ',';
      if (std::isfinite(column[row])) fmt::format_to(std::back_inserter(text), "{}", column[row]);
    }
    if (options.labels)
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

/// Where each of the table's fields stands in a line.
struct Layout {
  std::vector<int> target;  ///< for each field: 0 unit, 1 cycle, 2.. values, rul_target, or -1 (ignored)
};
constexpr int rul_target = 2 + static_cast<int>(turbofan_column_count);

Result<Layout> parse_header(std::string_view line, std::string_view where) {
  std::map<std::string, int, std::less<>> known = {{"unit", 0}, {"cycle", 1}, {"RUL", rul_target}};
  for (std::size_t c = 0; c < turbofan_column_count; ++c) known[turbofan_columns()[c]] = 2 + static_cast<int>(c);
  Layout layout;
  for (const std::string_view field : text::split(line, ',')) {
    const auto found = known.find(text::trim(field));
    const int target = found == known.end() ? -1 : found->second;
    if (target >= 0 && std::find(layout.target.begin(), layout.target.end(), target) != layout.target.end())
      return fail(Fault::invalid_input, fmt::format("{}: the column '{}' is there twice", where, field));
    layout.target.push_back(target);
  }
  for (const auto& [name, target] : known)
    if (target != rul_target && std::find(layout.target.begin(), layout.target.end(), target) == layout.target.end())
      return fail(Fault::invalid_input, fmt::format("{}: expected a column '{}' in the header, found none", where, name));
  return layout;
}

Result<double> parse_cell(std::string_view field, bool may_be_empty, std::string_view where, std::size_t column) {
  field = text::trim(field);
  if (field.empty() && may_be_empty) return std::numeric_limits<double>::quiet_NaN();
  double value = 0;
  const auto [end, code] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (code == std::errc::result_out_of_range || (code == std::errc{} && !std::isfinite(value)))
    return fail(Fault::invalid_input,
                fmt::format("{}, column {}: the number '{}' is out of range", where, column, field.substr(0, 40)));
  if (code != std::errc{} || end != field.data() + field.size())
    return fail(Fault::invalid_input,
                fmt::format("{}, column {}: expected a number, found '{}'", where, column, field.substr(0, 40)));
  return value;
}

/// The remaining life after each engine's last row, by unit.
struct EndOfLife {
  std::map<std::int64_t, std::pair<std::int64_t, double>> last;  ///< unit: cycle, RUL
  void see(std::int64_t unit, std::int64_t cycle, double rul) {
    auto& [at, value] = last.try_emplace(unit, cycle, rul).first->second;
    if (cycle >= at) at = cycle, value = rul;
  }
  /// False if all ran to failure: then the table is the same as one without the column.
  bool any() const {
    return std::any_of(last.begin(), last.end(), [](const auto& entry) { return entry.second.second != 0; });
  }
  std::vector<double> of(const FleetTable& table) const {
    std::vector<double> values;
    for (const EngineRows& engine : table.engines) values.push_back(last.at(engine.unit).second);
    return values;
  }
};

}  // namespace

Result<FleetTable> read_csv(std::istream& in, std::string_view name, ImportCounts* counts) {
  LineReader lines(in, name);
  std::string_view line;
  TRY_LET(const bool has_header, lines.next(line));
  if (!has_header) return fail(Fault::invalid_input, fmt::format("{}: expected a header line, found an empty file", name));
  TRY_LET(const Layout layout, parse_header(line, lines.here()));
  const bool has_rul = std::find(layout.target.begin(), layout.target.end(), rul_target) != layout.target.end();

  TableBuilder builder;
  EndOfLife end_of_life;
  std::array<double, 3 + turbofan_column_count> cells{};
  for (;;) {
    TRY_LET(const bool more, lines.next(line));
    if (!more) break;
    if (text::trim(line).empty()) continue;
    const auto fields = text::split(line, ',');
    if (fields.size() != layout.target.size())
      return fail(Fault::invalid_input,
                  fmt::format("{}: expected {} columns, found {}", lines.here(), layout.target.size(), fields.size()));
    for (std::size_t f = 0; f < fields.size(); ++f) {
      const int target = layout.target[f];
      if (target < 0) continue;
      TRY_LET(cells[static_cast<std::size_t>(target)],
              parse_cell(fields[f], target >= 2 && target != rul_target, lines.here(), f + 1));
    }
    for (const std::size_t key : {0u, 1u})
      if (cells[key] < 1 || cells[key] > 1e9 || cells[key] != std::floor(cells[key]))
        return fail(Fault::invalid_input, fmt::format("{}: expected {} numbers from 1 up, found {}", lines.here(),
                                                      key == 0 ? "unit" : "cycle", cells[key]));
    const auto unit = static_cast<std::int64_t>(cells[0]);
    const auto cycle = static_cast<std::int64_t>(cells[1]);
    builder.add(unit, cycle, std::span(cells).subspan(2, turbofan_column_count));
    if (has_rul) end_of_life.see(unit, cycle, cells[rul_target]);
    if (counts) ++counts->records;
  }
  TRY_LET(FleetTable table, nacelle::in(builder.finish(counts), name));
  if (has_rul && end_of_life.any()) table.end_rul = end_of_life.of(table);
  return table;
}

}  // namespace nacelle::dataset
