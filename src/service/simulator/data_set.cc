#include "service/simulator/data_set.h"

#include <fmt/format.h>

#include <cstdlib>
#include <set>
#include <vector>

namespace nacelle::simulator {
namespace {

namespace fs = std::filesystem;

bool holds_data(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().filename().string().starts_with("train_FD00")) return true;
  return false;
}

/// "FD001, FD003": what training files are there.
std::string data_sets_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("train_") && name.size() > 11) names.insert(name.substr(6, 5));
  }
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

fs::path find_data_folder(const fs::path& program) {
  std::vector<fs::path> places;
  for (const char* variable : {"NACELLE_DATA", "NACELLE_DATA_HINT"})
    if (const char* value = std::getenv(variable); value && *value) places.emplace_back(value);
  std::error_code ignored;
  places.push_back(fs::current_path(ignored) / "../shared/cmapss");
  for (fs::path folder = program.parent_path(); folder.has_relative_path(); folder = folder.parent_path()) places.push_back(folder / "../shared/cmapss");
  for (const fs::path& place : places)
    if (holds_data(place)) return place.lexically_normal();
  return {};
}

Result<fs::path> find_data_file(const fs::path& folder, const std::string& kind, const std::string& data_set) {
  if (folder.empty())
    return fail(Fault::not_found, "the C-MAPSS files were not found: set NACELLE_DATA to their folder, or make engines with 'nacelle simulate generate'");
  for (const char* ending : {".txt", ".txt.gz"}) {
    fs::path file = folder / fmt::format("{}_{}{}", kind, data_set, ending);
    if (fs::exists(file)) return file;
  }
  return fail(Fault::not_found, fmt::format("{}_{}.txt (or .gz) is not in {}; data sets there: {}", kind, data_set, folder.string(), data_sets_in(folder)));
}

}  // namespace nacelle::simulator
