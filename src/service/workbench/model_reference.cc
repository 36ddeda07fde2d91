#include "service/workbench/model_reference.h"

#include <fmt/format.h>

#include "ml/model/artifact.h"
#include "service/workbench/store.h"

namespace nacelle::workbench {

namespace fs = std::filesystem;

Result<ResolvedModel> resolve_model(const std::string& reference, const std::string& workbench) {
  std::error_code code;
  if (fs::is_regular_file(reference, code)) return ResolvedModel{.artifact = reference, .name = {}, .version = 0};
  if (fs::is_directory(reference, code)) {
    fs::path inside = fs::path(reference) / model::artifact_file_name;
    if (fs::is_regular_file(inside, code)) return ResolvedModel{.artifact = std::move(inside), .name = {}, .version = 0};
  }
  if (reference.find('/') != std::string::npos)
    return fail(Fault::not_found, fmt::format("model {}: there is no such file or folder", reference));
  TRY_LET(const registry::ModelReference parsed, registry::parse_reference(reference));
  const fs::path folder = workbench_folder(workbench);
  if (!fs::exists(folder / "workbench.db", code))
    return fail(Fault::not_found,
                fmt::format("model '{}': there is no such file, and no workbench at {}", reference, folder.string()));
  const SystemClock clock;
  TRY_LET(const WorkbenchStore store, WorkbenchStore::open(folder, clock));
  TRY_LET(const ModelVersion version, store.resolve(parsed));
  return ResolvedModel{.artifact = store.artifact_path(version.artifact_sha256), .name = version.name, .version = version.version};
}

}  // namespace nacelle::workbench
