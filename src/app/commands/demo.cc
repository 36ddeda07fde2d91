// nacelle demo: the whole loop, every count checked.

#include "app/demo/demo.h"

#include <memory>

#include "app/command.h"

namespace nacelle::app {

void add_demo(CLI::App& root, Outcome& outcome) {
  auto options = std::make_shared<demo::DemoOptions>();
  auto* command =
      root.add_subcommand("demo", "The whole loop on one machine: telemetry, training, edge, retraining; every count checked");
  command->add_option("--data-set", options->data_set, "FD001 to FD004")->capture_default_str();
  command->add_flag("--quick", options->quick, "The first 10 engines only");
  command->add_flag("--keep", options->keep,
                    "Leave the work folder, and say what is in it; in a terminal hub and edge stay up until Ctrl-C");
  command->add_option("--work", options->work, "Empty folder to work in (default: a temporary one)");
  command->add_flag("--offline", options->offline, "Do not fetch NASA's data if they are not on this machine: simulate engines");
  command->add_flag("--verbose", options->verbose, "Print each command that is run");
  command->footer(
      "Exit code 1 if a count is not what it must be.\n\nExample:\n  nacelle demo --quick\n  nacelle demo --data-set FD001 --keep "
      "--work ./demo");
  command->callback([&outcome, options] { outcome.take(demo::run_demo(*options)); });
}

}  // namespace nacelle::app
