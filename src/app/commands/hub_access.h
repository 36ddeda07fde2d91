#pragma once
// What the commands that talk to a hub share: `--hub`, and a client of the hub it names.

#include <functional>
#include <memory>
#include <string>

#include "app/command.h"
#include "codec/json/value.h"
#include "service/endpoint/hub_client.h"

namespace nacelle::app {

/// Adds `--hub FILE_OR_DIR` (default: NACELLE_HUB, else ./nacelle-data).
void add_hub_option(CLI::App& command, std::string& path);

/// Runs `work` with a client of that hub, to its end.
Result<> with_hub(const std::string& path, std::function<awaitable<Result<>>(endpoint::HubClient&)> work);

/// The command's callback: `work` with the hub its settings name (a member `hub`).
template <class Settings>
void run_on_hub(CLI::App& command, Outcome& outcome, const std::shared_ptr<Settings>& settings,
                awaitable<Result<>> (*work)(endpoint::HubClient&, std::shared_ptr<Settings>)) {
  command.callback([&outcome, settings, work] {
    outcome.take(with_hub(settings->hub, [&](endpoint::HubClient& hub) { return work(hub, settings); }));
  });
}

/// All rows of a call that answers in pages (x-ms-continuation).
awaitable<Result<json::Array>> all_pages(endpoint::HubClient& hub, std::string method, std::string target, std::string body);

/// One line on standard output, flushed.
void print_line(std::string_view line);

/// A whole text file. Fault::not_found.
Result<std::string> read_text_file(const std::string& path);
/// A whole file as JSON. Fault::invalid_input names file, line and column.
Result<json::Value> read_json_file(const std::string& path);

}  // namespace nacelle::app
