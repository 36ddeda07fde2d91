#include "ml/dataset/prepare.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "codec/text/encoding.h"
#include "ml/dataset/detail/short_number.h"
#include "ml/dataset/row_batches.h"

namespace nacelle::dataset {

namespace {

constexpr std::size_t buffer_bytes = 1 << 20;

/// Appends a C-MAPSS line whose numbers are parted by single spaces, with commas; false, and nothing, if they are parted otherwise.
bool append_plain_fields(std::string& text, std::string_view line) {
  constexpr std::uint64_t spaces = 0x2020202020202020, low = 0x7f7f7f7f7f7f7f7f, space_to_comma = ' ' ^ ',';
  const std::size_t before = text.size();
  text += line;
  char* const begin = text.data() + before;
  bool plain = true, after_space = false;
  std::size_t at = 0;
  for (; at + 8 <= line.size(); at += 8) {
    std::uint64_t bytes = load_eight(begin + at);
    const std::uint64_t other = bytes ^ spaces;
    const std::uint64_t found = ~(((other & low) + low) | other | low);  // the top bit of each byte that is a space
    plain = plain && (found & (found << 8 | (after_space ? 0x80 : 0))) == 0;
    after_space = found >> 63 != 0;
    bytes ^= (found >> 7) * space_to_comma;
    std::memcpy(begin + at, &bytes, sizeof bytes);
  }
  for (; at < line.size(); ++at) {
    plain = plain && !(after_space && begin[at] == ' ');
    after_space = begin[at] == ' ';
    if (after_space) begin[at] = ',';
  }
  if (!plain) text.resize(before);
  return plain;
}

/// A line's fields, parted by commas.
void append_fields(std::string& text, std::string_view line, bool csv) {
  if (csv) {
    text += line;
    return;
  }
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
  while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
  if (line.find('\t') == std::string_view::npos && append_plain_fields(text, line)) return;
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

void append_number(std::string& text, double number) {
  constexpr double most = 1e15;
  if (number >= 0 && number < most && number == std::floor(number)) {
    char digits[20];
    const auto [end, code] = std::to_chars(digits, digits + sizeof digits, static_cast<std::int64_t>(number));
    text.append(digits, end);
  } else {
    fmt::format_to(std::back_inserter(text), FMT_COMPILE("{}"), number);
  }
}

/// Lays labels beside rows as they come. A machine's rows wait until it ends, or until they are too many: then its end is looked
/// up.
class Labeller {
 public:
  using FindEnd = std::function<Result<std::int64_t>(std::int64_t unit)>;
  Labeller(std::string name, bool csv, const PrepareOptions& options, std::ostream& out, FindEnd find_end)
      : name_(std::move(name)), csv_(csv), options_(options), out_(out), find_end_(std::move(find_end)) {}

  Result<> add(const ReadingRow& row) {
    if (machines_ == 0 || row.unit != unit_) {
      if (machines_ > 0 && row.unit < unit_) return refuse("machines do not come one after the other in ascending order");
      TRY(end_machine());
      unit_ = row.unit;
      ++machines_;
    } else if (row.cycle <= last_cycle_) {
      return refuse(row.cycle < last_cycle_ ? "rows come out of order" : "rows repeat their machine's cycle");
    }
    last_cycle_ = row.cycle;
    if (known_end_) return write(row.line, row.cycle, *known_end_);
    waiting_ += row.line;
    rows_.push_back({row.cycle, waiting_.size()});
    if (waiting_.size() <= options_.waiting_bytes) return {};
    TRY_LET(known_end_, find_end_(unit_));
    return write_waiting(*known_end_);
  }

  /// How many machines there were.
  Result<std::size_t> finish() {
    TRY(end_machine());
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    return machines_;
  }

  std::string& text() { return text_; }
  const std::array<std::uint64_t, 4>& classes() const { return classes_; }

 private:
  struct Waiting {
    std::int64_t cycle;
    std::size_t end;  ///< of its line
  };

  Failure refuse(std::string_view what) const {
    return fail(Fault::conflict, fmt::format("{}: {}; rows cannot be labelled as they stream by", name_, what));
  }

  Result<> end_machine() {
    if (machines_ == 0) return {};
    if (known_end_ && *known_end_ != last_cycle_)
      return fail(Fault::conflict, fmt::format("{}: it changed while it was read", name_));
    known_end_.reset();
    return write_waiting(last_cycle_);
  }

  Result<> write_waiting(std::int64_t end) {
    std::size_t begin = 0;
    for (const Waiting& row : rows_) {
      TRY(write(std::string_view(waiting_).substr(begin, row.end - begin), row.cycle, end));
      begin = row.end;
    }
    waiting_.clear();
    rows_.clear();
    return {};
  }

  Result<> write(std::string_view line, std::int64_t cycle, std::int64_t end) {
    // If the lives told are too few for the machines, finish() will say so.
    const double rest = machines_ <= options_.end_rul.size() ? options_.end_rul[machines_ - 1] : 0;
    const double rul = static_cast<double>(end - cycle) + rest;
    const LifeClass life_class = life_class_of(rul);
    ++classes_[static_cast<std::size_t>(life_class)];
    append_fields(text_, line, csv_);
    text_ += ',';
    append_number(text_, rul);
    text_ += ',';
    append_number(text_, std::min(rul, options_.cap));
    text_ += ',';
    text_ += life_class_name(life_class);
    text_ += '\n';
    if (text_.size() > buffer_bytes) {
      out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
      text_.clear();
    }
    return {};
  }

  const std::string name_;
  const bool csv_;
  const PrepareOptions& options_;
  std::ostream& out_;
  const FindEnd find_end_;
  std::string text_;
  std::size_t machines_ = 0;
  std::int64_t unit_ = 0, last_cycle_ = 0;
  std::optional<std::int64_t> known_end_;
  std::string waiting_;
  std::vector<Waiting> rows_;
  std::array<std::uint64_t, 4> classes_{};
};

Result<> check_unlabelled(const RowReader& rows, const FleetSchema& schema, const std::string& name) {
  const auto labelled = {std::string_view("RUL"), std::string_view("RULCapped"), std::string_view("LifeClass"),
                         std::string_view(schema.label)};
  for (const std::string_view field : text::split(rows.header(), ','))
    if (!field.empty() && std::find(labelled.begin(), labelled.end(), text::trim(field)) != labelled.end())
      return fail(Fault::conflict, fmt::format("{}: it has labels already", name));
  return {};
}

}  // namespace

Result<Prepared> prepare_rows(const std::function<Result<std::unique_ptr<std::istream>>()>& open, const std::string& name,
                              std::shared_ptr<const FleetSchema> schema, const PrepareOptions& options, std::ostream& out) {
  const auto find_end = [&](std::int64_t unit) -> Result<std::int64_t> {
    TRY_LET(const std::unique_ptr<std::istream> again, open());
    TRY_LET(RowReader rows, RowReader::open(*again, name, schema));
    rows.keys_only();
    std::int64_t end = 0;
    ReadingRow row;
    for (;;) {
      TRY_LET(const bool more, rows.next(row));
      if (row.unit == unit && more) end = row.cycle;
      if (!more || (end != 0 && row.unit != unit)) return end;
    }
  };
  TRY_LET(const std::unique_ptr<std::istream> in, open());
  TRY_LET(RowReader rows, RowReader::open(*in, name, schema));
  TRY(check_unlabelled(rows, *schema, name));
  Labeller labeller(name, rows.is_csv(), options, out, find_end);
  std::string& header = labeller.text();
  header = rows.header();
  if (header.empty()) {
    header = schema->id + "," + schema->time.name;
    for (const std::string& column : schema->column_names()) header += "," + column;
  }
  header += fmt::format(",{},RULCapped,LifeClass\n", schema->label.empty() ? "RUL" : schema->label);

  Profiler profiler(schema);
  TRY(read_in_batches(rows, [&](const RowBatch& batch) -> Result<> {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const ReadingRow row = batch.row(i);
      profiler.add(row);
      TRY(labeller.add(row));
    }
    return {};
  }));
  TRY_LET(const std::size_t machines, labeller.finish());
  if (machines == 0) return fail(Fault::invalid_input, fmt::format("{}: expected readings of engines, found none", name));
  if (!options.end_rul.empty() && options.end_rul.size() != machines)
    return fail(Fault::invalid_input, fmt::format("{}: expected one remaining life for each of {} engines, found {}", name,
                                                  machines, options.end_rul.size()));
  return Prepared{.profile = profiler.finish(), .classes = labeller.classes()};
}

}  // namespace nacelle::dataset
