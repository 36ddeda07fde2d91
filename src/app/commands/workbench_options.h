#pragma once
// Options that commands on models and experiments share.

#include <CLI/CLI.hpp>
#include <string>

namespace nacelle::app {

void add_workbench_option(CLI::App& command, std::string& folder);
void add_model_option(CLI::App& command, std::string& model);
void add_json_flag(CLI::App& command, bool& json, const char* text = "Print as one line of JSON");

}  // namespace nacelle::app
