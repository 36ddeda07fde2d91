#pragma once
// A look at a database file that changes nothing in it.

#include <filesystem>
#include <string>
#include <vector>

#include "foundation/result.h"

namespace nacelle::storage {

/// What SQLite finds wrong with the file, in its words; empty: nothing. Also while another process has it open. Reads the whole
/// file. Fault::not_found; corrupt if it is no database at all; unavailable if it cannot be read.
Result<std::vector<std::string>> check_integrity(const std::filesystem::path& path);

}  // namespace nacelle::storage
