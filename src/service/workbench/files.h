#pragma once
// The workbench's way to files: whole results or none, and one sentence for what went wrong.

#include <filesystem>
#include <functional>
#include <ostream>
#include <string>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::workbench {

namespace fs = std::filesystem;

/// Writes `path` by way of a temporary file beside it, synced and renamed. Folders are made.
Result<> write_whole(const fs::path& path, BytesView bytes);
/// The same for what is written as a stream; nothing is left behind if `write` or the disk fails.
Result<> write_whole(const fs::path& path, const std::function<void(std::ostream&)>& write);

/// Every regular file below `folder` (or `folder` itself if it is one), sorted by path. Hidden and temporary files are left out.
/// Fault::not_found.
Result<std::vector<fs::path>> files_below(const fs::path& folder);

}  // namespace nacelle::workbench
