#include "ml/dataset/prepare.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"

namespace nacelle::dataset {

namespace {

constexpr std::size_t buffer_bytes = 1 << 20;

Result<> check_order(const DataProfile& profile, bool ascending, const std::string& name) {
  const auto refuse = [&name](std::string_view what) {
    return fail(Fault::conflict, fmt::format("{}: {}; rows cannot be labelled as they stream by", name, what));
  };
  if (!ascending) return refuse("machines do not come one after the other in ascending order");
  if (profile.out_of_order > 0) return refuse("rows come out of order");
  if (profile.repeated > 0) return refuse("rows repeat their machine's cycle");
  return {};
}

/// A line's fields, parted by commas.
void append_fields(std::string& text, std::string_view line, bool csv) {
  if (csv) {
    text += line;
    return;
  }
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  const std::size_t before = text.size();
  const char* at = line.data();
  const char* const end = at + line.size();
  while (at != end) {
    while (at != end && is_space(*at)) ++at;
    const char* stop = at;
    while (stop != end && !is_space(*stop)) ++stop;
    if (stop == at) break;
    if (text.size() > before) text += ',';
    text.append(at, stop);
    at = stop;
  }
}

}  // namespace

Result<Prepared> prepare_rows(const std::function<Result<std::unique_ptr<std::istream>>()>& open, const std::string& name,
                              std::shared_ptr<const FleetSchema> schema, const PrepareOptions& options, std::ostream& out) {
  Profiler profiler(schema);
  std::vector<std::pair<std::int64_t, std::int64_t>> ends;  // unit, last cycle
  bool ascending = true;
  {
    TRY_LET(const std::unique_ptr<std::istream> in, open());
    TRY_LET(RowReader rows, RowReader::open(*in, name, schema));
    const auto labelled = {std::string_view("RUL"), std::string_view("RULCapped"), std::string_view("LifeClass"),
                           std::string_view(schema->label)};
    for (const std::string_view field : text::split(rows.header(), ','))
      if (!field.empty() && std::find(labelled.begin(), labelled.end(), text::trim(field)) != labelled.end())
        return fail(Fault::conflict, fmt::format("{}: it has labels already", name));
    ReadingRow row;
    for (;;) {
      TRY_LET(const bool more, rows.next(row));
      if (!more) break;
      profiler.add(row);
      if (ends.empty() || ends.back().first != row.unit) {
        ascending = ascending && (ends.empty() || row.unit > ends.back().first);
        ends.emplace_back(row.unit, row.cycle);
      } else {
        ends.back().second = row.cycle;
      }
    }
  }
  Prepared prepared{.profile = profiler.finish(), .classes = {}};
  if (ends.empty()) return fail(Fault::invalid_input, fmt::format("{}: expected readings of engines, found none", name));
  TRY(check_order(prepared.profile, ascending, name));
  if (!options.end_rul.empty() && options.end_rul.size() != ends.size())
    return fail(Fault::invalid_input, fmt::format("{}: expected one remaining life for each of {} engines, found {}", name,
                                                  ends.size(), options.end_rul.size()));

  TRY_LET(const std::unique_ptr<std::istream> in, open());
  TRY_LET(RowReader rows, RowReader::open(*in, name, schema));
  rows.keys_only();
  std::string text = rows.header();
  if (text.empty()) {
    text = schema->id + "," + schema->time.name;
    for (const std::string& column : schema->column_names()) text += "," + column;
  }
  text += fmt::format(",{},RULCapped,LifeClass\n", schema->label.empty() ? "RUL" : schema->label);
  std::size_t machine = 0;
  ReadingRow row;
  for (;;) {
    TRY_LET(const bool more, rows.next(row));
    if (!more) break;
    while (machine < ends.size() && ends[machine].first != row.unit) ++machine;
    if (machine == ends.size()) return fail(Fault::conflict, fmt::format("{}: it changed while it was read", name));
    const double rul =
        static_cast<double>(ends[machine].second - row.cycle) + (options.end_rul.empty() ? 0 : options.end_rul[machine]);
    const LifeClass life_class = life_class_of(rul);
    ++prepared.classes[static_cast<std::size_t>(life_class)];
    append_fields(text, row.line, rows.is_csv());
    fmt::format_to(std::back_inserter(text), FMT_COMPILE(",{},{},{}\n"), rul, std::min(rul, options.cap),
                   life_class_name(life_class));
    if (text.size() > buffer_bytes) {
      out.write(text.data(), static_cast<std::streamsize>(text.size()));
      text.clear();
    }
  }
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  return prepared;
}

}  // namespace nacelle::dataset
