// nacelle trial: one trial of an experiment, started by the experiment. Not for people.

#include <memory>

#include "app/command.h"
#include "app/trial_workers.h"

namespace nacelle::app {

void add_trial(CLI::App& root, Outcome& outcome) {
  struct Flags {
    std::string request, answer;
  };
  auto flags = std::make_shared<Flags>();
  auto* command = root.add_subcommand("trial", "One trial of an experiment")->group("");  // hidden
  command->add_option("request", flags->request)->required();
  command->add_option("answer", flags->answer)->required();
  command->callback([&outcome, flags] { outcome.exit_code = do_trial(flags->request, flags->answer); });
}

}  // namespace nacelle::app
