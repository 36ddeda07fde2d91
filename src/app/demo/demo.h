#pragma once
// The demo: the whole tutorial in minutes (DESIGN.md section 10), every count checked.

#include <filesystem>
#include <string>

#include "foundation/result.h"

namespace nacelle::app::demo {

struct DemoOptions {
  std::string data_set = "FD003";
  bool quick = false;          ///< the first 10 engines of training and test set
  bool keep = false;           ///< leaves the work folder
  bool verbose = false;        ///< prints each command
  bool offline = false;        ///< data that are not here are simulated, not fetched
  std::filesystem::path work;  ///< empty: a temporary folder
};

/// Fault::conflict says which count was wrong. Whatever happens, no process is left behind.
Result<> run_demo(const DemoOptions& options);

}  // namespace nacelle::app::demo
