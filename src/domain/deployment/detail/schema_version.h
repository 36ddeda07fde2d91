#pragma once

#include <string>

#include "domain/deployment/detail/reader.h"

namespace nacelle::deployment {

/// `schemaVersion`: 1.0, 1.1 and later minors; Fault::conflict for another major number.
Result<std::string> read_schema_version(const Reader& section);

}  // namespace nacelle::deployment
