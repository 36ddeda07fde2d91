// nacelle: the one command line over hub, edge, scoring service and workbench.

#include <fmt/format.h>

#include <cstdlib>

#include "app/command.h"

int main(int argc, char** argv) {
  // Two spinning OpenMP threads on a shared machine are slower than one; must be set before libxgboost starts its pool.
  ::setenv("OMP_WAIT_POLICY", "passive", 0);

  CLI::App root{"Nacelle: predictive maintenance on the edge, from telemetry to rolled-out model", "nacelle"};
  root.require_subcommand(1);
  root.fallthrough();  // --config may stand behind the command, too
  root.set_config("--config", "", "File of options, TOML: a section [command], then option = value (docs/configuration.md)");
  root.allow_config_extras(CLI::config_extras_mode::error);
  root.set_version_flag("--version", std::string("nacelle ") + NACELLE_VERSION);

  root.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("error: {}\n'--help' behind a command shows its options, with an example.\n", error.what());
  });

  nacelle::app::Outcome outcome;
  for (const auto add :
       {nacelle::app::add_hub,         nacelle::app::add_edge,     nacelle::app::add_score,     nacelle::app::add_simulate,
        nacelle::app::add_data,        nacelle::app::add_train,    nacelle::app::add_trial,     nacelle::app::add_experiments,
        nacelle::app::add_models,      nacelle::app::add_evaluate, nacelle::app::add_predict,   nacelle::app::add_advise,
        nacelle::app::add_package,     nacelle::app::add_deploy,   nacelle::app::add_devices,   nacelle::app::add_twins,
        nacelle::app::add_events,      nacelle::app::add_routes,   nacelle::app::add_endpoints, nacelle::app::add_top,
        nacelle::app::add_avro,        nacelle::app::add_query,    nacelle::app::add_jobs,      nacelle::app::add_configurations,
        nacelle::app::add_enrollments, nacelle::app::add_modules,  nacelle::app::add_methods,   nacelle::app::add_messages,
        nacelle::app::add_policies,    nacelle::app::add_files,    nacelle::app::add_check,     nacelle::app::add_certs,
        nacelle::app::add_console,     nacelle::app::add_demo})
    add(root, outcome);

  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = root.exit(error);
    return code == 0 ? 0 : 2;
  }
  return outcome.exit_code;
}
