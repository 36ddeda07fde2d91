// nacelle files: what devices have uploaded.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "app/commands/service_queue.h"
#include "app/commands/terminal.h"
#include "codec/text/encoding.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct FileListSettings {
  std::string hub;
  std::string device;
  std::string name;
  bool json = false;
};
using Settings = std::shared_ptr<FileListSettings>;

std::string cell(const json::Value& file, std::string_view member) {
  const json::Value* value = file.find(member);
  if (!value) return "-";
  return value->is_string() ? value->as_string() : json::print(*value);
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  std::string target = "/files";
  if (!settings->device.empty()) target += "?device=" + text::percent_encode(settings->device);
  CO_TRY_LET(const json::Array files, co_await all_pages(hub, "GET", target, ""));
  if (settings->json) {
    print_line(json::print(files));
    co_return Result<>{};
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::Value& file : files)
    rows.push_back({cell(file, "blobName"), cell(file, "blobSizeInBytes"), cell(file, "lastUpdatedTime")});
  print_table({"file", "bytes", "written"}, rows);
  co_return Result<>{};
}

awaitable<Result<>> remove(HubClient& hub, Settings settings) {
  std::string target = "/files";
  for (const std::string_view segment : text::split(settings->name, '/')) target += "/" + text::percent_encode(segment);
  CO_TRY(co_await hub.remove(target));
  print_line(settings->json ? json::print(json::Object{{"deleted", settings->name}}) : "deleted " + settings->name);
  co_return Result<>{};
}

}  // namespace

void add_files(CLI::App& root, Outcome& outcome) {
  CLI::App* files = root.add_subcommand("files", "Files that devices have uploaded");
  files->require_subcommand(1);
  files->footer("Example:\n  nacelle files list --device Client_001\n  nacelle files notifications --json");

  CLI::App* lists = files->add_subcommand("list", "Uploaded files, all or of one device");
  const auto listed = std::make_shared<FileListSettings>();
  add_hub_option(*lists, listed->hub);
  lists->add_option("--device", listed->device, "of this device only");
  lists->add_flag("--json", listed->json, "one line of JSON");
  run_on_hub(*lists, outcome, listed, list);
  lists->footer("Example:\n  nacelle files list --device Client_001 --json");

  CLI::App* removes = files->add_subcommand("delete", "Delete an uploaded file, which makes room in the quota");
  const auto removed = std::make_shared<FileListSettings>();
  add_hub_option(*removes, removed->hub);
  removes->add_option("file", removed->name, "as list shows it: DEVICE/NAME")->required();
  removes->add_flag("--json", removed->json, "one line of JSON");
  run_on_hub(*removes, outcome, removed, remove);
  removes->footer("Example:\n  nacelle files delete Client_001/log.txt");

  CLI::App* notifications = files->add_subcommand("notifications", "Files that have come in since they were last asked about");
  add_service_queue(*notifications, outcome, "/messages/serviceBound/filenotifications");
  notifications->footer("Example:\n  nacelle files notifications --json");
}

}  // namespace nacelle::app
