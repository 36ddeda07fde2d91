#pragma once
// A data profile: what is in a fleet's readings, and what is wrong with them. One pass over the rows in any order, in bounded
// memory: a few numbers a column and a machine.

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "codec/json/value.h"
#include "ml/dataset/fleet_table.h"
#include "ml/dataset/row_reader.h"

namespace nacelle::dataset {

struct ColumnProfile {
  std::string name;
  std::uint64_t heard = 0;   ///< readings in which it is there
  std::uint64_t silent = 0;  ///< and in which it is not
  double low = 0, high = 0;  ///< 0 if never heard
  double mean = 0;
  double spread = 0;  ///< standard deviation
  bool constant = false;
  /// Root mean square over machines of (mean of the last 20 cycles - mean of the first 20), over the spread: what changes with age.
  /// Of machines of 40 readings at least, whose rows came in order; 0: there is none. In several regimes it says little.
  double drift = 0;
};

struct RegimeProfile {
  std::vector<double> settings;  ///< of its first reading
  std::uint64_t rows = 0;
};

struct DataProfile {
  std::string machine;
  std::uint64_t rows = 0;
  std::uint64_t machines = 0;
  std::uint64_t shortest = 0, longest = 0;  ///< readings of a machine
  std::uint64_t one_cycle_machines = 0;
  std::uint64_t repeated = 0;      ///< rows of a machine's newest cycle that were there before
  std::uint64_t out_of_order = 0;  ///< rows of a cycle before the machine's newest
  std::uint64_t gaps = 0;          ///< places where cycles are missing, by machines whose rows came in order
  std::uint64_t missing_cycles = 0;
  std::uint64_t late_starts = 0;  ///< machines whose first cycle is above 1
  std::uint64_t labelled = 0;     ///< rows with a label
  std::vector<ColumnProfile> columns;
  std::vector<RegimeProfile> regimes;  ///< by the settings' tolerances; the largest first
  bool too_many_regimes = false;       ///< above 64: the settings do not cluster
  std::vector<std::string> notes;      ///< what a person should know, in words
};

/// What must be kept of each machine's rows.
class Profiler {
 public:
  explicit Profiler(std::shared_ptr<const FleetSchema> schema);
  void add(const ReadingRow& row);
  DataProfile finish();

 private:
  static constexpr std::size_t life_stretch = 20;
  struct Machine {
    std::int64_t first = 0, newest = 0;
    std::uint64_t rows = 0;
  };
  struct Column {
    std::uint64_t heard = 0;
    double low = 0, high = 0, shift = 0, sum = 0, squares = 0;  ///< sums of (value - shift): no cancellation
  };
  /// The first and the last readings of the machine whose rows come now.
  struct Stretch {
    std::int64_t unit = -1;
    bool in_order = true;
    std::uint64_t rows = 0;
    std::vector<double> first_sum;
    std::vector<double> ring;  ///< last readings, row-major
  };
  void end_machine();
  void count_regime(std::span<const double> settings);

  std::shared_ptr<const FleetSchema> schema_;
  std::unordered_map<std::int64_t, Machine> machines_;
  Machine* current_ = nullptr;
  std::int64_t current_unit_ = -1;
  std::vector<Column> columns_;
  std::vector<RegimeProfile> regimes_;
  std::vector<double> tolerances_;
  std::size_t last_regime_ = 0;
  bool too_many_regimes_ = false;
  Stretch stretch_;
  std::vector<double> drift_squares_;
  std::uint64_t drift_machines_ = 0;
  std::uint64_t rows_ = 0, repeated_ = 0, out_of_order_ = 0, gaps_ = 0, missing_ = 0, labelled_ = 0;
};

/// The profile of a table that is there.
DataProfile profile_table(const FleetTable& table);
json::Value to_json(const DataProfile& profile);

}  // namespace nacelle::dataset
