#pragma once
// The demo's data: NASA's files where they are, else simulated engines.

#include <filesystem>
#include <memory>
#include <string>

#include "foundation/result.h"
#include "ml/dataset/fleet_table.h"

namespace nacelle::app::demo {

struct DemoData {
  std::filesystem::path train, test, rul;  ///< files a user could name on a command line
  std::shared_ptr<const dataset::FleetTable> train_table, test_table;
  std::string description;  ///< "NASA C-MAPSS FD003 from ..", or that it is simulated
};

/// The data set's files; with `max_engines` not 0 copies of them in `folder` that hold the first engines only. If they are
/// not on this machine, simulated engines of the same conditions and fault modes. Fault::invalid_input for a name that is
/// no data set.
Result<DemoData> find_data(const std::string& data_set, std::size_t max_engines, const std::filesystem::path& folder);

}  // namespace nacelle::app::demo
