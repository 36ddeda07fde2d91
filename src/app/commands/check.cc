// nacelle check: what stands in a hub's way, each with the mend.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "net/socket/runtime.h"
#include "service/hub/check.h"

namespace nacelle::app {
namespace {

using hub::Finding;

struct CheckSettings {
  std::string hub;
  bool json = false;
};

const char* word_of(Finding::State state) {
  switch (state) {
    case Finding::State::good: return "good";
    case Finding::State::warning: return "warning";
    case Finding::State::problem: return "problem";
  }
  return "problem";
}

void print_findings(const hub::Findings& findings, bool running, bool as_json) {
  if (!as_json) {
    print_line(running ? "a hub runs on the folder" : "no hub runs on the folder");
    for (const Finding& one : findings) {
      print_line(fmt::format("{:<8} {}: {}", word_of(one.state), one.subject, one.what));
      if (!one.mend.empty()) print_line(fmt::format("         mend: {}", one.mend));
    }
    return;
  }
  json::Array list;
  for (const Finding& one : findings)
    list.emplace_back(
        json::Object{{"subject", one.subject}, {"state", word_of(one.state)}, {"what", one.what}, {"mend", one.mend}});
  print_line(json::print(json::Object{{"running", running}, {"findings", std::move(list)}}));
}

/// Exit code 1 with a problem; a warning is none.
int run_check(const CheckSettings& settings) {
  auto& files = storage::real_file_system();
  const SystemClock clock;
  std::filesystem::path directory = settings.hub;
  if (directory.filename() == "hub.json") directory = directory.parent_path();
  const bool running = hub::runs_on(directory, files);
  hub::Findings findings = hub::check_folder(directory, clock, files);
  if (const auto file = endpoint::read_hub_file(directory)) {
    net::Runtime runtime(1);
    const hub::Findings ports = runtime.block_on(hub::check_ports(*file, running));
    findings.insert(findings.end(), ports.begin(), ports.end());
  }
  print_findings(findings, running, settings.json);
  for (const Finding& one : findings)
    if (one.state == Finding::State::problem) return 1;
  return 0;
}

}  // namespace

void add_check(CLI::App& root, Outcome& outcome) {
  CLI::App* command = root.add_subcommand(
      "check", "Look at a hub, running or stopped: permissions, certificates, clock, disk, tables, event log, ports");
  const auto settings = std::make_shared<CheckSettings>();
  add_hub_option(*command, settings->hub);
  command->add_flag("--json", settings->json, "one line of JSON");
  command->footer(
      "Each problem is printed with its mend; exit code 1 if there is one. Nothing is changed.\n\n"
      "Example:\n  nacelle check --hub ./nacelle-data");
  command->callback([&outcome, settings] { outcome.exit_code = run_check(*settings); });
}

}  // namespace nacelle::app
