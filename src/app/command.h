#pragma once
// The command line: every command is one function in app/commands/ that adds itself to the root.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "foundation/result.h"

namespace nacelle::app {

/// Exit codes: 0 well; 1 it ran and failed; 2 bad usage, input or a thing that is not there.
struct Outcome {
  int exit_code = 0;

  /// Prints "error: .." for a failure and sets the code.
  void take(const Result<>& result) {
    if (result) return;
    const Fault fault = result.error().fault;
    const bool asked_wrongly =
        fault == Fault::invalid_input || fault == Fault::not_found || fault == Fault::denied || fault == Fault::corrupt;
    exit_code = asked_wrongly ? 2 : 1;
    std::fprintf(stderr, "error: %s\n", result.error().message.c_str());
  }
};

void add_hub(CLI::App& root, Outcome& outcome);
void add_edge(CLI::App& root, Outcome& outcome);
void add_score(CLI::App& root, Outcome& outcome);
void add_simulate(CLI::App& root, Outcome& outcome);
void add_data(CLI::App& root, Outcome& outcome);
void add_data_fetch(CLI::App& data, Outcome& outcome);  // below `data`
void add_train(CLI::App& root, Outcome& outcome);
void add_trial(CLI::App& root, Outcome& outcome);
void add_experiments(CLI::App& root, Outcome& outcome);
void add_models(CLI::App& root, Outcome& outcome);
void add_model_files(CLI::App& models, Outcome& outcome);  // below `models`
void add_evaluate(CLI::App& root, Outcome& outcome);
void add_predict(CLI::App& root, Outcome& outcome);
void add_advise(CLI::App& root, Outcome& outcome);
void add_package(CLI::App& root, Outcome& outcome);
void add_deploy(CLI::App& root, Outcome& outcome);
void add_devices(CLI::App& root, Outcome& outcome);
void add_twins(CLI::App& root, Outcome& outcome);
void add_events(CLI::App& root, Outcome& outcome);
void add_routes(CLI::App& root, Outcome& outcome);
void add_endpoints(CLI::App& root, Outcome& outcome);
void add_top(CLI::App& root, Outcome& outcome);
void add_avro(CLI::App& root, Outcome& outcome);
void add_query(CLI::App& root, Outcome& outcome);
void add_jobs(CLI::App& root, Outcome& outcome);
void add_configurations(CLI::App& root, Outcome& outcome);
void add_enrollments(CLI::App& root, Outcome& outcome);
void add_modules(CLI::App& root, Outcome& outcome);
void add_methods(CLI::App& root, Outcome& outcome);
void add_messages(CLI::App& root, Outcome& outcome);
void add_policies(CLI::App& root, Outcome& outcome);
void add_files(CLI::App& root, Outcome& outcome);
void add_check(CLI::App& root, Outcome& outcome);
void add_device_files(CLI::App& devices, Outcome& outcome);
void add_certs(CLI::App& root, Outcome& outcome);
void add_console(CLI::App& root, Outcome& outcome);
void add_demo(CLI::App& root, Outcome& outcome);

}  // namespace nacelle::app
