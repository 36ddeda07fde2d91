#pragma once
// FleetSchema: what the columns of a fleet's data are called and mean, so that a fleet of other machines than turbofans needs a
// file, not code. Format: docs/formats/fleet-schema.md.

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::dataset {

struct Channel {
  std::string name;
  std::string meaning;   ///< for people; may be empty
  std::string unit;      ///< may be empty
  double tolerance = 0;  ///< of a setting: readings that differ by less are in one operating regime; 0: the feature recipe's own
};

/// How time is told. A reading's cycle is 1 + (its time - the origin) / step, rounded; whole numbers with step 1 are cycles as they
/// are.
struct TimeColumn {
  std::string name = "cycle";
  bool iso8601 = false;  ///< text such as 2030-01-01T06:00:00Z, counted in seconds from each machine's first reading
  double step = 1;       ///< of one cycle, in the column's unit (seconds for ISO 8601)

  /// The cycle of a time that is a number: itself with a step of 1, else round(time / step) + 1.
  double cycle_of(double time) const { return step == 1 ? time : std::round(time / step) + 1; }
};

/// The member of a reading's JSON and of its Avro record that tells the cycle, whatever the fleet; a fleet's own name for its time
/// is understood beside it.
constexpr std::string_view cycle_member = "CycleTime";

struct FleetSchema {
  std::string machine = "engine";
  std::string id = "unit";
  bool id_is_text = false;  ///< machines have names; else numbers from 1 up
  TimeColumn time;
  std::vector<Channel> settings;
  std::vector<Channel> sensors;
  std::string label = "RUL";  ///< column with the remaining life in cycles, if there is one
  std::string event_id;       ///< columns of a file of failures; empty: as id and time
  std::string event_time;

  /// Settings, then sensors: a table's columns.
  std::vector<std::string> column_names() const;
  std::size_t column_count() const { return settings.size() + sensors.size(); }
  const Channel& column(std::size_t index) const;
  std::optional<std::size_t> find_column(std::string_view name) const;
  /// "T2, temperature (°R)"
  std::string describe(std::size_t index) const;

  /// Fault::invalid_input names the member: no sensor, above 1000 columns, a name twice, empty or with a comma or line end.
  static Result<FleetSchema> from_json(const json::Value& document);
  json::Value to_json() const;
};

/// What a column is called in Avro, whose names are letters, digits and underscores, the first no digit.
std::string avro_name_of(std::string_view column);

/// C-MAPSS: unit, cycle, OperationalSetting1..3, Sensor1..21. Source of the meanings: Saxena et al., PHM08, table 2.
std::shared_ptr<const FleetSchema> turbofan_schema();

}  // namespace nacelle::dataset
