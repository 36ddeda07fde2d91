#pragma once
// The NASA C-MAPSS text form, plain or gzip: 26 numbers a line: unit, cycle, three settings, 21 sensors; and RUL lists.

#include <istream>
#include <string_view>
#include <vector>

#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset {

/// Reads a whole file (gzip is recognised by its first bytes). `name` is the file's name in errors, which say file, line
/// and column. Fault::invalid_input: not 26 numbers, a number out of range, cycles of an engine not contiguous from 1;
/// Fault::corrupt: broken or truncated gzip.
Result<FleetTable> read_cmapss(std::istream& in, std::string_view name);

/// A RUL list: line k is the true remaining life of the k-th engine at its last recorded cycle.
Result<std::vector<double>> read_rul(std::istream& in, std::string_view name);

}  // namespace nacelle::dataset
