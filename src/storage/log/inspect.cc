#include "storage/log/inspect.h"

#include <algorithm>

#include "storage/log/detail/segment.h"

namespace nacelle::storage {
namespace {

constexpr std::size_t folder_digits = 4;

bool is_partition(const std::string& name) {
  return name.size() == folder_digits && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Of the last segment: all before it were read through when it was begun.
Result<> inspect_last(const fs::path& path, Partition partition, Offset first, const FileSystem& files, LogFindings& found) {
  TRY_LET(const Bytes bytes, read_file(files, path, 1_GiB));
  detail::Standing standing;
  standing.partition = partition;
  standing.first = first;
  standing.last = true;
  const auto scan = detail::scan_segment(bytes, standing);
  if (!scan)
    found.damaged.push_back(path.string() + ": " + scan.error().message);
  else if (scan->damaged)
    found.damaged.push_back(path.string());
  return {};
}

Result<> inspect_partition(const fs::path& folder, Partition partition, const FileSystem& files, LogFindings& found) {
  TRY_LET(const auto names, files.list(folder));
  std::string last;
  for (const std::string& name : names) {  // sorted by name is sorted by offset
    if (name.ends_with(".quarantined")) found.quarantined.push_back((folder / name).string());
    if (!detail::parse_segment_name(name)) continue;
    ++found.segments;
    last = name;
  }
  if (last.empty()) return {};
  const auto inspected = inspect_last(folder / last, partition, *detail::parse_segment_name(last), files, found);
  // Retention may remove a file between the listing and the look.
  if (!inspected && inspected.error().fault != Fault::not_found) return fail(inspected.error());
  return {};
}

}  // namespace

Result<LogFindings> inspect_event_log(const fs::path& directory, const FileSystem& files) {
  LogFindings found;
  TRY_LET(const auto names, files.list(directory));
  for (const std::string& name : names) {
    if (!is_partition(name)) continue;
    ++found.partitions;
    TRY(inspect_partition(directory / name, static_cast<Partition>(std::stoul(name)), files, found));
  }
  return found;
}

}  // namespace nacelle::storage
