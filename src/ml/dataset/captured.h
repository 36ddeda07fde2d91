#pragma once
// Readings from Avro files: what the hub captured (messages in their envelope, the body JSON) and what an edge's writer
// uploaded (records turbofan.EngineData). Which of the two a file is, its schema says.

#include <istream>
#include <string_view>

#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset {

/// Adds the readings of one file to `rows`. The unit is the number at the end of the device's id. Messages that are no readings
/// (no CycleTime, no sensor, no number in the id) are skipped and counted; a reading with a member of the wrong type is left
/// out, counted as unreadable and the first one described. Fault::corrupt names the byte; Fault::invalid_input: the schema is
/// neither of the two.
Result<> read_avro(std::istream& in, std::string_view name, TableBuilder& rows, ImportCounts& counts);

/// 7 of "Client_007"; -1 if the id does not end in a number from 1 to 10^9.
std::int64_t unit_of_device(std::string_view device_id);

}  // namespace nacelle::dataset
