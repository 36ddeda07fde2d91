#pragma once
// RowReader: readings one after the other from a CSV file (columns by a schema) or C-MAPSS text, plain or gzip, in bounded memory.
//
//   TRY_LET(auto rows, RowReader::open(in, "fleet.csv", schema));
//   ReadingRow row;
//   for (;;) { TRY_LET(const bool more, rows.next(row)); if (!more) break; ... }

#include <istream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ml/dataset/line_reader.h"
#include "ml/dataset/schema.h"

namespace nacelle::dataset {

struct ReadingRow {
  std::int64_t unit = 0;
  std::int64_t cycle = 0;  ///< for ISO 8601 times: steps since 1970, which finish() of a table counts from each machine's first
  std::span<const double> values;  ///< schema order; NaN: silent. Until the next call
  double rul = 0;                  ///< of the label column; NaN: there is none, or it is empty
  std::string_view line;           ///< as it stands in the file, until the next call
};

class RowReader {
 public:
  /// Reads the header. `in` is borrowed. Fault::invalid_input names file, line and column; Fault::corrupt: broken gzip.
  /// `partial`: columns of settings and sensors may be missing; their values are silent.
  static Result<RowReader> open(std::istream& in, std::string name, std::shared_ptr<const FleetSchema> schema,
                                bool partial = false);
  RowReader(RowReader&&) noexcept;
  ~RowReader();

  Result<bool> next(ReadingRow& row);
  /// Only unit, cycle and line of the rows to come are wanted: what was read and checked before is not parsed again.
  void keys_only() { keys_only_ = true; }
  const FleetSchema& schema() const { return *schema_; }
  bool is_csv() const { return !header_.empty(); }
  const std::string& header() const { return header_; }  ///< empty: C-MAPSS text has none
  bool has_label() const { return has_label_; }
  std::string here() const;  ///< "fleet.csv, line 7"
  /// Of machines that have names: unit k is unit_names()[k - 1].
  const std::vector<std::string>& unit_names() const { return unit_names_; }

 private:
  RowReader(std::istream& in, std::string name, std::shared_ptr<const FleetSchema> schema);
  Result<> read_header(std::string_view line, bool partial);
  Result<> take_cell(std::string_view cell, std::size_t field);
  Result<std::int64_t> unit_of(std::string_view cell);
  Result<std::int64_t> cycle_of(std::string_view cell, std::size_t field);
  Result<> take_line(std::string_view line);

  std::shared_ptr<const FleetSchema> schema_;
  std::unique_ptr<std::string> name_;  ///< the line reader borrows it
  std::unique_ptr<LineReader> lines_;
  std::string header_;
  std::string first_line_;  ///< of C-MAPSS text: read to see that it is no header
  bool has_first_line_ = false;
  bool has_label_ = false;
  bool keys_only_ = false;
  std::size_t last_key_ = 0;  ///< the field behind which a line of keys need not be read
  std::vector<int> targets_;  ///< of each field: a column's index, or one of those below
  std::vector<double> values_;
  std::int64_t unit_ = 0, cycle_ = 0;
  double rul_ = 0;
  std::unordered_map<std::string, std::int64_t> units_;
  std::vector<std::string> unit_names_;
};

/// `text` as a double, the nearest one: fast for numbers of few digits, which data files are full of, else std::from_chars.
/// False: it is no number; infinite for one out of range.
bool parse_double(std::string_view text, double& value);

}  // namespace nacelle::dataset
