#pragma once
// What the readers of captured files have in common: the body of a message, and what becomes of it. Private to ml/dataset.

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/bytes.h"
#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset::detail {

/// Which member of a reading is what, by a fleet's schema.
class Members {
 public:
  static constexpr int none = -1, cycle = -2, time = -3;

  explicit Members(const FleetSchema& schema);
  /// A column, or cycle, time or none.
  int target_of(std::string_view member) const;
  std::size_t columns() const { return columns_; }
  bool is_sensor(int target) const { return target >= static_cast<int>(settings_); }
  double cycle_of(double at) const { return time_.cycle_of(at); }

 private:
  std::map<std::string, int, std::less<>> targets_;
  std::size_t columns_;
  std::size_t settings_;
  TimeColumn time_;
};

/// One message's reading, as far as it was there.
struct Found {
  std::int64_t unit = -1;
  double cycle = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> values;
  std::size_t sensors = 0;
  std::string complaint;

  explicit Found(const Members& members) : values(members.columns(), std::numeric_limits<double>::quiet_NaN()) {}
  void set(const Members& members, int target, double value);
  void clear();  ///< as made
};

/// Reads the bodies of messages; keeps its buffers from one to the next.
class BodyReader {
 public:
  explicit BodyReader(const Members& members);  ///< which outlives it
  ~BodyReader();

  /// False if the body is no JSON object.
  bool read(BytesView body, Found& found);

  /// A captured message as a line of JSON. Fault::invalid_input: it is none.
  Result<> read_line(std::string_view line, Found& found);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Adds the reading to `rows`, or counts why not. `name`: the file's.
void take(const Found& found, std::string_view name, TableBuilder& rows, ImportCounts& counts);

}  // namespace nacelle::dataset::detail
