#pragma once
// What the hub has to tell services (feedback, files that came in), read and completed from the command line.

#include "app/command.h"

namespace nacelle::app {

/// `--peek` gives the records back; without it they are completed once printed. One line a record.
void add_service_queue(CLI::App& command, Outcome& outcome, std::string target);

}  // namespace nacelle::app
