#pragma once
// Trials as processes of their own: this program run again as `nacelle trial`, so that a crash, a limit of memory or of time ends
// one trial and not the experiment.

#include <filesystem>
#include <memory>

#include "service/workbench/trial.h"

namespace nacelle::app {

/// At most `parallel` at once. Requests and answers go through files in `folder`, which is made, and removed at the end. While it
/// lives, SIGINT and SIGTERM make next() answer Fault::unavailable; what runs then is ended.
std::unique_ptr<workbench::TrialWorkers> make_process_workers(std::filesystem::path folder, std::size_t parallel);

/// The other side: reads a request, keeps to its limits, writes the answer. The process' exit code.
int do_trial(const std::filesystem::path& request, const std::filesystem::path& answer);

}  // namespace nacelle::app
