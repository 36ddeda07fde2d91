#pragma once
// Where NASA's files are on this machine.

#include <filesystem>
#include <string>

#include "foundation/result.h"

namespace nacelle::simulator {

/// The folder of C-MAPSS files: NACELLE_DATA, else NACELLE_DATA_HINT, else ../shared/cmapss beside the working folder or
/// beside the folders above `program` (a build lies within its source). Empty if there is none.
std::filesystem::path find_data_folder(const std::filesystem::path& program);

/// `train_FD003.txt`, plain or .gz, or `RUL_FD003.txt`: the file `kind` ("train", "test", "RUL") of a data set.
/// Fault::not_found says where was looked and what data sets are there.
Result<std::filesystem::path> find_data_file(const std::filesystem::path& folder, const std::string& kind, const std::string& data_set);

}  // namespace nacelle::simulator
