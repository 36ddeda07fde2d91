#include "app/commands/hub_access.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "net/socket/runtime.h"

namespace nacelle::app {

void add_hub_option(CLI::App& command, std::string& path) {
  path = endpoint::default_hub_path().string();
  command.add_option("--hub", path, "hub.json or the hub's data folder (default: $NACELLE_HUB, else ./nacelle-data)")
      ->type_name("PATH");
}

Result<> with_hub(const std::string& path, std::function<awaitable<Result<>>(endpoint::HubClient&)> work) {
  TRY_LET(const endpoint::HubFile file, endpoint::read_hub_file(path));
  const SystemClock clock;
  net::Runtime runtime(1);  // outlives the client, whose sockets belong to it
  TRY_LET(endpoint::HubClient client, endpoint::HubClient::make(file, clock));
  return runtime.block_on(work(client));
}

void print_line(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

Result<std::string> read_text_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(Fault::not_found, fmt::format("{} cannot be read", path));
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

Result<json::Value> read_json_file(const std::string& path) {
  TRY_LET(const std::string text, read_text_file(path));
  return in(json::parse(text), path);
}

}  // namespace nacelle::app
