#pragma once
// ReadingForm: what the members of a fleet's readings are called. Turbofans' unless the module's environment names a fleet schema
// (docs/formats/fleet-schema.md); the three modules of an edge are given the same.

#include <string>
#include <vector>

#include "codec/json/value.h"
#include "ml/dataset/schema.h"
#include "service/turbofan/module_environment.h"

namespace nacelle::turbofan {

struct ReadingForm {
  std::string time{dataset::cycle_member};  ///< the member that tells the cycle
  dataset::TimeColumn counted;              ///< how its value becomes a cycle
  std::vector<std::string> channels;        ///< settings, then sensors

  /// CycleTime, OperationalSetting1..3, Sensor1..21.
  static const ReadingForm& turbofan();
  /// FLEET_SCHEMA: a fleet schema, as JSON or as the path of a file with it; absent or empty: turbofans. The time may be told as
  /// CycleTime, too. Fault::invalid_input says what is wrong with it.
  static Result<ReadingForm> of(const Variables& variable);

  /// The cycle's member in a record: `time`, else CycleTime; null if it has neither.
  const json::Value* cycle_in(const json::Value& record) const;
  /// Names in order, as one text: what was kept under another is not this form's.
  std::string identity() const;
};

}  // namespace nacelle::turbofan
