#pragma once
// The hub's tables: DIR/registry.db (what must not be lost), DIR/sessions.db, DIR/broker.db and
// DIR/capture.db (what can be made anew).
// Format: docs/formats/hub-tables.md.

#include <filesystem>

#include "storage/tables/database.h"

namespace nacelle::hub {

/// A damaged registry is Fault::corrupt: keys cannot be made up, so the hub does not start without it.
Result<storage::Database> open_registry_tables(const std::filesystem::path& directory);
/// A damaged file is put aside as `*.quarantined` and a new one begun.
Result<storage::Database> open_session_tables(const std::filesystem::path& directory);
Result<storage::Database> open_broker_tables(const std::filesystem::path& directory);
Result<storage::Database> open_capture_tables(const std::filesystem::path& directory);

}  // namespace nacelle::hub
