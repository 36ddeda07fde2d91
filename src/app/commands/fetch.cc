// nacelle data fetch: NASA's data, once, into the cache folder where every command looks for them.

#include <fmt/format.h>

#include <memory>

#include "app/command.h"
#include "codec/json/value.h"
#include "net/socket/runtime.h"
#include "service/workbench/nasa_archive.h"

namespace nacelle::app {
namespace {

struct FetchFlags {
  std::string url = workbench::nasa_archive_url;
  std::string to;
  bool json = false;
};

awaitable<Result<>> fetch_into(std::string url, std::filesystem::path folder, std::vector<std::string>* names) {
  CO_TRY_LET(*names, co_await workbench::fetch_cmapss(std::move(url), std::move(folder)));
  co_return Result<>{};
}

Result<> run_fetch(const FetchFlags& flags) {
  std::filesystem::path folder = flags.to;
  if (flags.to.empty()) {
    TRY_LET(folder, workbench::data_cache_folder());
  }
  fmt::print(stderr, "fetching {}\n", flags.url);
  std::vector<std::string> names;
  net::Runtime runtime;
  TRY(runtime.run(fetch_into(flags.url, folder, &names)));
  if (flags.json) {
    const json::Object told{{"folder", folder.string()}, {"files", std::int64_t(names.size())}};
    fmt::print("{}\n", json::print(told));
  } else {
    fmt::print("{} files, each with the right SHA-256, in {}\n", names.size(), folder.string());
  }
  return {};
}

}  // namespace

void add_data_fetch(CLI::App& data, Outcome& outcome) {
  auto* command = data.add_subcommand("fetch", "Fetch NASA's C-MAPSS data (12 MB) once, and check every file's SHA-256");
  const auto flags = std::make_shared<FetchFlags>();
  command->add_option("--url", flags->url, "The archive, or a copy of it")->capture_default_str();
  command->add_option("--to", flags->to, "Folder (default: the cache folder, where every command looks for data sets)");
  command->add_flag("--json", flags->json, "One line of JSON");
  command->footer("Example:\n  nacelle data fetch\n  nacelle train --data FD001 --out model");
  command->callback([&outcome, flags] { outcome.take(run_fetch(*flags)); });
}

}  // namespace nacelle::app
