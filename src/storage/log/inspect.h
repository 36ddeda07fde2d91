#pragma once
// A look into the files of an event log that changes none of them, whether or not a process has it open.

#include <string>
#include <vector>

#include "storage/file/file.h"

namespace nacelle::storage {

struct LogFindings {
  std::size_t partitions = 0;
  std::size_t segments = 0;
  std::vector<std::string> damaged;      ///< newest segments that cannot be read to their end; a torn last write is none
  std::vector<std::string> quarantined;  ///< put aside by an earlier opening
};

/// Reads the newest segment of each partition, and the names of the others. Fault::not_found if there is no log; unavailable
/// or denied if a file cannot be read. Blocks.
Result<LogFindings> inspect_event_log(const fs::path& directory, const FileSystem& files);

}  // namespace nacelle::storage
