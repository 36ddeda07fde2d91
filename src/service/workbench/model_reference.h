#pragma once
// From what a person calls a model to its artifact's file: the one place where that is decided.

#include <filesystem>
#include <string>

#include "foundation/result.h"

namespace nacelle::workbench {

struct ResolvedModel {
  std::filesystem::path artifact;  ///< a file: Estimator::load() takes it
  std::string name;                ///< registered name, or the file's own; may be empty for a path
  std::int64_t version = 0;        ///< 0: not registered
};

/// `reference`: an artifact file, a folder with model.nacelle, NAME:VERSION, NAME@alias, NAME (champion, else newest) or an alias.
/// What exists as a path is a path. `workbench` as in workbench_folder(); it is not made if absent. Fault::not_found.
Result<ResolvedModel> resolve_model(const std::string& reference, const std::string& workbench = {});

}  // namespace nacelle::workbench
