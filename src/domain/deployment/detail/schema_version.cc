#include "domain/deployment/detail/schema_version.h"

#include <fmt/format.h>

namespace nacelle::deployment {

Result<std::string> read_schema_version(const Reader& section) {
  TRY_LET(const std::string version, section.text("schemaVersion", ""));
  if (version.empty()) return section.wrong("schemaVersion", "\"1.0\" or \"1.1\"", "none");
  if (version != "1" && !version.starts_with("1."))
    return fail(Fault::conflict, fmt::format("{}: expected a version 1.x, found '{}'", section.path("schemaVersion"), version));
  return version;
}

}  // namespace nacelle::deployment
