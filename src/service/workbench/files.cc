#include "service/workbench/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "storage/file/file.h"

namespace nacelle::workbench {

Result<> write_whole(const fs::path& path, BytesView bytes) {
  storage::FileSystem& files = storage::real_file_system();
  if (path.has_parent_path()) TRY(files.make_directories(path.parent_path()));
  return storage::write_file_atomic(files, path.has_parent_path() ? path : fs::path(".") / path, bytes);
}

Result<> write_whole(const fs::path& path, const std::function<void(std::ostream&)>& write) {
  std::ostringstream out;
  write(out);
  return write_whole(path, out.str());
}

Result<std::vector<fs::path>> files_below(const fs::path& folder) {
  std::error_code code;
  const fs::file_status status = fs::status(folder, code);
  if (fs::is_regular_file(status)) return std::vector<fs::path>{folder};
  if (!fs::is_directory(status)) return fail(Fault::not_found, fmt::format("{}: there is no such file or folder", folder.string()));
  std::vector<fs::path> found;
  fs::recursive_directory_iterator walk(folder, fs::directory_options::skip_permission_denied, code);
  for (; !code && walk != fs::recursive_directory_iterator(); walk.increment(code)) {
    const std::string name = walk->path().filename().string();
    if (name.starts_with('.')) {
      walk.disable_recursion_pending();
      continue;
    }
    if (!walk->is_regular_file(code) || name.find(".tmp") != std::string::npos) continue;
    found.push_back(walk->path());
  }
  if (code) return fail(Fault::unavailable, fmt::format("{}: {}", folder.string(), code.message()));
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace nacelle::workbench
