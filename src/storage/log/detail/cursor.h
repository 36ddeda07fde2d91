#pragma once
// The cursor file of a spool: the first offset not yet delivered. Format: docs/formats/spool.md.

#include "storage/log/event_log.h"

namespace nacelle::storage::detail {

/// 0 if there is none. A damaged one is put aside as `cursor.quarantined`, and 0 answered: everything comes again.
/// Removes the leftovers of a kill.
Result<Offset> load_cursor(FileSystem& files, const fs::path& directory);
/// Whole or not at all; durable when back.
Result<> store_cursor(FileSystem& files, const fs::path& directory, Offset cursor);

}  // namespace nacelle::storage::detail
