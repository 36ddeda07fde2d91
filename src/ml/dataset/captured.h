#pragma once
// Readings from files: what the hub captured (messages in their envelope, the body JSON), in Avro or as lines of JSON, and what an
// edge's writer uploaded (Avro records turbofan.EngineData). Which of the two an Avro file is, its schema says.

#include <istream>
#include <string_view>

#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset {

/// Adds the readings of one file to `rows`: the columns of its schema by name, and the cycle: CycleTime, or (a fleet that is no
/// turbofan's) the schema's own name for the time. The unit is the number at the end of the device's id. Messages that are no
/// readings (no cycle, no sensor, no number in the id) are skipped and counted; a reading with a member of the wrong type is left
/// out, counted as unreadable and the first one described. Fault::corrupt names the byte; Fault::invalid_input: the schema is
/// neither of the two.
Result<> read_avro(std::istream& in, std::string_view name, TableBuilder& rows, ImportCounts& counts);

/// The same of a file of captured messages as lines of JSON (docs/formats/capture-file.md): the same messages give the same rows
/// and counts. A line that is no captured message is an error that names file and line: Fault::corrupt.
Result<> read_json_capture(std::istream& in, std::string_view name, TableBuilder& rows, ImportCounts& counts);

/// 7 of "Client_007"; -1 if the id does not end in a number from 1 to 10^9.
std::int64_t unit_of_device(std::string_view device_id);

}  // namespace nacelle::dataset
