#pragma once
// What the readers of captured files have in common: the body of a message, and what becomes of it. Private to ml/dataset.

#include <array>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "foundation/bytes.h"
#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset::detail {

/// One message's reading, as far as it was there.
struct Found {
  std::int64_t unit = -1;
  double cycle = std::numeric_limits<double>::quiet_NaN();
  std::array<double, turbofan_column_count> values;
  std::size_t sensors = 0;
  std::string complaint;

  Found() { values.fill(std::numeric_limits<double>::quiet_NaN()); }
  void set(int target, double value);
  void clear();  ///< as made
};

constexpr int cycle_target = -2;

/// The column of a member; cycle_target for CycleTime, -1 for others.
int target_of(std::string_view member);

/// Reads the bodies of messages; keeps its buffers from one to the next.
class BodyReader {
 public:
  BodyReader();
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
