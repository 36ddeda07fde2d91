#pragma once
// Check: what stands in a hub's way, found in its folder and at its ports, each with the mend. For `nacelle check`.

#include <string>
#include <vector>

#include "foundation/async.h"
#include "foundation/clock.h"
#include "service/endpoint/hub_file.h"
#include "storage/file/file.h"

namespace nacelle::hub {

struct Finding {
  enum class State { good, warning, problem };
  std::string subject;  ///< `certificate server`, `disk`, `port mqtts`, ..
  State state = State::good;
  std::string what;
  std::string mend;  ///< empty if it is good
};
using Findings = std::vector<Finding>;

/// Whether a hub has the folder open.
bool runs_on(const storage::fs::path& directory, storage::FileSystem& files);

/// Folder, permissions, configuration, certificates, clock, disk, registry, event log. Changes nothing; blocks. The folder may be
/// a running hub's or a stopped one's.
Findings check_folder(const storage::fs::path& directory, const Clock& clock, storage::FileSystem& files);

/// The ports of hub.json: of a running hub each must answer; of a stopped one none may.
awaitable<Findings> check_ports(endpoint::HubFile hub, bool running);

/// Disk space below which the hub is near refusing data, and inodes.
struct DiskSpace {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t free_inodes = 0;
  std::uint64_t total_inodes = 0;  ///< 0: the file system does not count them
};
Finding judge_disk(const DiskSpace& space);

}  // namespace nacelle::hub
