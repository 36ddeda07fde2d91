#include "ml/dataset/cmapss.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "ml/dataset/line_reader.h"

namespace nacelle::dataset {

namespace {

constexpr std::size_t line_columns = 2 + turbofan_column_count;
constexpr double max_count = 1e9;  ///< for unit and cycle numbers

bool is_space(char c) { return c == ' ' || c == '\t'; }

/// Takes the next field off `rest`; empty at the end.
std::string_view take_field(std::string_view& rest) {
  while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  std::size_t end = 0;
  while (end < rest.size() && !is_space(rest[end])) ++end;
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end);
  return field;
}

Result<double> parse_field(std::string_view field, const LineReader& lines, std::size_t column) {
  double value = 0;
  const auto [end, code] = std::from_chars(field.data(), field.data() + field.size(), value);
  const auto where = [&] { return fmt::format("{}, column {}", lines.here(), column); };
  if (code == std::errc::result_out_of_range || (code == std::errc{} && !std::isfinite(value)))
    return fail(Fault::invalid_input, fmt::format("{}: the number '{}' is out of range", where(), field.substr(0, 40)));
  if (code != std::errc{} || end != field.data() + field.size())
    return fail(Fault::invalid_input, fmt::format("{}: expected a number, found '{}'", where(), field.substr(0, 40)));
  return value;
}

Result<std::int64_t> as_count(double value, const LineReader& lines, std::size_t column, std::string_view what) {
  if (value != std::floor(value) || value < 1 || value > max_count)
    return fail(Fault::invalid_input,
                fmt::format("{}, column {}: expected a {} number from 1 up, found {}", lines.here(), column, what, value));
  return static_cast<std::int64_t>(value);
}

Result<std::size_t> parse_fields(std::string_view line, const LineReader& lines, std::array<double, line_columns>& values) {
  std::size_t count = 0;
  for (std::string_view field = take_field(line); !field.empty(); field = take_field(line)) {
    if (count < line_columns) {
      TRY_LET(values[count], parse_field(field, lines, count + 1));
    }
    ++count;
  }
  return count;
}

}  // namespace

Result<FleetTable> read_cmapss(std::istream& in, std::string_view name) {
  LineReader lines(in, name);
  FleetTable table;
  table.columns.resize(turbofan_column_count);
  std::array<double, line_columns> values{};
  std::string_view line;
  for (;;) {
    TRY_LET(const bool more, lines.next(line));
    if (!more) break;
    TRY_LET(const std::size_t count, parse_fields(line, lines, values));
    if (count == 0) continue;
    if (count != line_columns)
      return fail(Fault::invalid_input, fmt::format("{}, column {}: expected {} numbers, found {}", lines.here(),
                                                    std::min(count, line_columns) + 1, line_columns, count));
    TRY_LET(const std::int64_t unit, as_count(values[0], lines, 1, "unit"));
    TRY_LET(const std::int64_t cycle, as_count(values[1], lines, 2, "cycle"));
    const bool new_engine = table.engines.empty() || table.engines.back().unit != unit;
    if (new_engine && !table.engines.empty() && unit < table.engines.back().unit)
      return fail(Fault::invalid_input, fmt::format("{}, column 1: expected engines in ascending order, found {} after {}",
                                                    lines.here(), unit, table.engines.back().unit));
    const std::int64_t expected = new_engine ? 1 : table.cycle.back() + 1;
    if (cycle != expected)
      return fail(Fault::invalid_input,
                  fmt::format("{}, column 2: expected cycle {} of engine {}, found {}: cycles must be contiguous", lines.here(),
                              expected, unit, cycle));
    if (new_engine) table.engines.push_back({unit, table.cycle.size(), table.cycle.size()});
    ++table.engines.back().end;
    table.unit.push_back(unit);
    table.cycle.push_back(cycle);
    for (std::size_t c = 0; c < turbofan_column_count; ++c) table.columns[c].push_back(values[2 + c]);
  }
  if (table.engines.empty()) return fail(Fault::invalid_input, fmt::format("{}: expected readings of engines, found none", name));
  return table;
}

Result<std::vector<double>> read_rul(std::istream& in, std::string_view name) {
  LineReader lines(in, name);
  std::vector<double> values;
  std::string_view line;
  for (;;) {
    TRY_LET(const bool more, lines.next(line));
    if (!more) break;
    const std::string_view field = take_field(line);
    if (field.empty()) continue;
    TRY_LET(const double value, parse_field(field, lines, 1));
    if (value < 0 || value > max_count)
      return fail(Fault::invalid_input, fmt::format("{}, column 1: the number {} is out of range", lines.here(), value));
    if (!take_field(line).empty())
      return fail(Fault::invalid_input, fmt::format("{}, column 2: expected one number a line", lines.here()));
    values.push_back(value);
  }
  if (values.empty()) return fail(Fault::invalid_input, fmt::format("{}: expected remaining lives, found none", name));
  return values;
}

}  // namespace nacelle::dataset
