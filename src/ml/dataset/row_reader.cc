#include "ml/dataset/row_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "codec/text/encoding.h"
#include "foundation/clock.h"
#include "ml/dataset/detail/short_number.h"

namespace nacelle::dataset {

namespace {

constexpr int ignored = -1, unit_target = -2, cycle_target = -3, label_target = -4;
constexpr double max_count = 1e9;  ///< for unit and cycle numbers
constexpr std::size_t max_units = 10'000'000;
constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

bool is_space(char c) { return c == ' ' || c == '\t'; }

}  // namespace

bool parse_double(std::string_view text, double& value) {
  const char* at = text.data();
  const char* const end = at + text.size();
  if (take_short_number(at, end, value) && at == end) return true;
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  if (code == std::errc::result_out_of_range) {
    value = std::numeric_limits<double>::infinity();
    return true;
  }
  return code == std::errc{} && stop == end;
}

RowReader::RowReader(std::istream& in, std::string name, std::shared_ptr<const FleetSchema> schema)
    : schema_(std::move(schema)),
      name_(std::make_unique<std::string>(std::move(name))),
      lines_(std::make_unique<LineReader>(in, *name_)),
      values_(schema_->column_count(), nothing) {}
RowReader::RowReader(RowReader&&) noexcept = default;
RowReader::~RowReader() = default;

std::string RowReader::here() const { return lines_->here(); }

Result<RowReader> RowReader::open(std::istream& in, std::string name, std::shared_ptr<const FleetSchema> schema, bool partial) {
  RowReader reader(in, std::move(name), std::move(schema));
  std::string_view line;
  TRY_LET(const bool more, reader.lines_->next(line));
  if (!more) return fail(Fault::invalid_input, fmt::format("{}: expected a header line, found an empty file", *reader.name_));
  const std::string_view trimmed = text::trim(line);
  const bool number_first = !trimmed.empty() && trimmed.front() >= '0' && trimmed.front() <= '9';
  if (number_first && trimmed.find(',') == std::string_view::npos &&
      reader.schema_->column_names() == turbofan_schema()->column_names()) {
    reader.targets_ = {unit_target, cycle_target};
    for (std::size_t c = 0; c < reader.values_.size(); ++c) reader.targets_.push_back(static_cast<int>(c));
    reader.first_line_ = std::string(line);
    reader.has_first_line_ = true;
    return reader;
  }
  TRY(reader.read_header(line, partial));
  return reader;
}

Result<> RowReader::read_header(std::string_view line, bool partial) {
  header_ = std::string(line);
  std::unordered_map<std::string_view, int> known = {{schema_->id, unit_target}, {schema_->time.name, cycle_target}};
  const std::vector<std::string> names = schema_->column_names();
  for (std::size_t c = 0; c < names.size(); ++c) known[names[c]] = static_cast<int>(c);
  if (!schema_->label.empty()) known[schema_->label] = label_target;
  for (const std::string_view field : text::split(line, ',')) {
    std::string_view name = text::trim(field);
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
    const auto found = known.find(name);
    const int target = found == known.end() ? ignored : found->second;
    if (target != ignored && std::find(targets_.begin(), targets_.end(), target) != targets_.end())
      return fail(Fault::invalid_input, fmt::format("{}: the column '{}' is there twice", here(), name));
    targets_.push_back(target);
  }
  const auto has = [this](int target) { return std::find(targets_.begin(), targets_.end(), target) != targets_.end(); };
  has_label_ = has(label_target);
  std::vector<std::pair<std::string, int>> wanted = {{schema_->id, unit_target}, {schema_->time.name, cycle_target}};
  for (std::size_t c = 0; c < names.size(); ++c) wanted.emplace_back(names[c], static_cast<int>(c));
  for (const auto& [name, target] : wanted)
    if (!has(target) && !(partial && target >= 0))
      return fail(Fault::invalid_input, fmt::format("{}: expected a column '{}' in the header, found none", here(), name));
  return {};
}

Result<std::int64_t> RowReader::unit_of(std::string_view cell) {
  constexpr std::size_t max_name = 200;
  if (cell.empty() || cell.size() > max_name)
    return fail(Fault::invalid_input, fmt::format("{}: expected the {}'s name in '{}', of 1 to {} bytes, found {}", here(),
                                                  schema_->machine, schema_->id, max_name, cell.size()));
  if (!unit_names_.empty() && unit_names_[static_cast<std::size_t>(unit_ - 1)] == cell) return unit_;  // as the line before
  const auto [entry, is_new] = units_.try_emplace(std::string(cell), static_cast<std::int64_t>(unit_names_.size() + 1));
  if (is_new) unit_names_.push_back(entry->first);
  if (unit_names_.size() > max_units) return fail(Fault::exhausted, fmt::format("{}: more than {} machines", here(), max_units));
  return entry->second;
}

Result<std::int64_t> RowReader::cycle_of(std::string_view cell, std::size_t field) {
  const TimeColumn& time = schema_->time;
  double ticks = 0;
  if (time.iso8601) {
    const auto parsed = parse_iso8601(cell);
    if (!parsed)
      return fail(Fault::invalid_input, fmt::format("{}, column {}: expected a time as 2030-01-01T06:00:00Z, found '{}'", here(),
                                                    field + 1, cell.substr(0, 40)));
    ticks = std::floor(static_cast<double>(parsed->time_since_epoch().count()) / 1e6 / time.step);
  } else {
    if (!parse_double(cell, ticks))
      return fail(Fault::invalid_input,
                  fmt::format("{}, column {}: expected a number, found '{}'", here(), field + 1, cell.substr(0, 40)));
    if (time.step != 1) ticks = std::floor(ticks / time.step + 0.5) + 1;
  }
  const double most = time.iso8601 ? 1e15 : max_count;
  if (!(ticks >= 1 && ticks <= most) || ticks != std::floor(ticks))
    return fail(Fault::invalid_input, fmt::format("{}: expected {} numbers from {} up, found {}", here(), schema_->time.name,
                                                  time.step != 1 ? 0 : 1, cell.substr(0, 40)));
  return static_cast<std::int64_t>(ticks);
}

Result<> RowReader::take_cell(std::string_view cell, std::size_t field) {
  while (!cell.empty() && is_space(cell.front())) cell.remove_prefix(1);
  while (!cell.empty() && is_space(cell.back())) cell.remove_suffix(1);
  const int target = targets_[field];
  if (target == ignored) return {};
  if (target == cycle_target) {
    TRY_LET(cycle_, cycle_of(cell, field));
    return {};
  }
  if (target == unit_target && schema_->id_is_text) {
    TRY_LET(unit_, unit_of(cell));
    return {};
  }
  double value = nothing;
  const bool number = cell.empty() ? target != unit_target : parse_double(cell, value);
  if (!number)
    return fail(Fault::invalid_input,
                fmt::format("{}, column {}: expected a number, found '{}'", here(), field + 1, cell.substr(0, 40)));
  if (!cell.empty() && !std::isfinite(value))
    return fail(Fault::invalid_input,
                fmt::format("{}, column {}: the number '{}' is out of range", here(), field + 1, cell.substr(0, 40)));
  if (target >= 0) {
    values_[static_cast<std::size_t>(target)] = value;
  } else if (target == label_target) {
    if (value < 0 || value > 1e7)
      return fail(Fault::invalid_input,
                  fmt::format("{}, column {}: expected a remaining life from 0 to 1e7 cycles, found {}", here(), field + 1, value));
    rul_ = value;
  } else {
    if (value < 1 || value > max_count || value != std::floor(value))
      return fail(Fault::invalid_input, fmt::format("{}: expected {} numbers from 1 up, found {}", here(), schema_->id, value));
    unit_ = static_cast<std::int64_t>(value);
  }
  return {};
}

Result<> RowReader::take_line(std::string_view line) {
  const char* at = line.data();
  const char* const end = at + line.size();
  const bool csv = is_csv();
  std::size_t field = 0;
  for (; at <= end; ++field) {
    if (!csv) {
      while (at != end && is_space(*at)) ++at;
      if (at == end) break;
    }
    if (field < targets_.size() && targets_[field] >= 0) {  // most of what there is: a short number up to the next separator
      const char* next = at;
      double value = 0;
      if (!keys_only_ && take_short_number(next, end, value) && (next == end || (csv ? *next == ',' : is_space(*next)))) {
        values_[static_cast<std::size_t>(targets_[field])] = value;
        at = next + 1;
        continue;
      }
    }
    const char* stop = at;
    while (stop != end && (csv ? *stop != ',' : !is_space(*stop))) ++stop;
    const bool wanted =
        field < targets_.size() && (!keys_only_ || targets_[field] == unit_target || targets_[field] == cycle_target);
    if (wanted) {
      TRY(take_cell({at, static_cast<std::size_t>(stop - at)}, field));
      if (keys_only_ && field >= last_key_) return {};
    }
    at = stop + 1;
  }
  if (field != targets_.size())
    return fail(Fault::invalid_input,
                fmt::format("{}: expected {} {}, found {}", here(), targets_.size(), csv ? "columns" : "numbers", field));
  return {};
}

Result<bool> RowReader::next(ReadingRow& row) {
  std::string_view line;
  do {
    if (has_first_line_) {
      has_first_line_ = false;
      line = first_line_;
      continue;
    }
    TRY_LET(const bool more, lines_->next(line));
    if (!more) return false;
  } while (text::trim(line).empty());
  rul_ = nothing;
  if (keys_only_ && last_key_ == 0)
    for (std::size_t field = 0; field < targets_.size(); ++field)
      if (targets_[field] == unit_target || targets_[field] == cycle_target) last_key_ = field;
  TRY(take_line(line));
  row = {.unit = unit_, .cycle = cycle_, .values = values_, .rul = rul_, .line = line};
  return true;
}

}  // namespace nacelle::dataset
