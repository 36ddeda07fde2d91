#include "app/commands/workbench_options.h"

namespace nacelle::app {

void add_workbench_option(CLI::App& command, std::string& folder) {
  command.add_option("--workbench", folder, "Workbench folder (default NACELLE_WORKBENCH, else ./nacelle-workbench)");
}

void add_model_option(CLI::App& command, std::string& model) {
  command.add_option("--model", model, "NAME:VERSION, NAME@alias, NAME, an artifact file or its folder")->required();
}

void add_json_flag(CLI::App& command, bool& json, const char* text) { command.add_flag("--json", json, text); }

}  // namespace nacelle::app
