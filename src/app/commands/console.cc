// nacelle console: the address of the hub's console in the browser, with what signs in.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "codec/text/encoding.h"
#include "service/endpoint/hub_file.h"

namespace nacelle::app {
namespace {

struct ConsoleSettings {
  std::string hub;
  bool address_only = false;
  bool json = false;
};

/// What stands behind the `#` is not sent to any server.
Result<> print_address(const ConsoleSettings& settings) {
  TRY_LET(const endpoint::HubFile hub,
          endpoint::read_hub_file(settings.hub.empty() ? endpoint::default_hub_path() : std::filesystem::path(settings.hub)));
  if (hub.https == 0) return fail(Fault::invalid_input, "hub.json names no HTTPS port");
  std::string address = fmt::format("https://{}:{}/console/", hub.host, hub.https);
  if (!settings.address_only) address += "#connect=" + text::percent_encode(hub.connection_string);
  print_line(settings.json ? json::print(json::Object{{"url", address}, {"ca", hub.ca_path.string()}}) : address);
  return {};
}

}  // namespace

void add_console(CLI::App& root, Outcome& outcome) {
  CLI::App* command =
      root.add_subcommand("console", "Print the link to a hub's console that signs in as its owner: a secret (docs/console.md)");
  auto settings = std::make_shared<ConsoleSettings>();
  add_hub_option(*command, settings->hub);
  command->add_flag("--address-only", settings->address_only, "without what signs in");
  command->add_flag("--json", settings->json, "with the certificate to trust, as one line of JSON");
  command->footer("Example:\n  xdg-open \"$(nacelle console)\"");
  command->callback([&outcome, settings] { outcome.take(print_address(*settings)); });
}

}  // namespace nacelle::app
