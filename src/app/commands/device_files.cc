// nacelle devices import, export: the registry as lines of JSON.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "app/commands/hub_access.h"
#include "codec/text/encoding.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

constexpr std::size_t lines_a_call = 100;  // what POST /devices takes

struct FileSettings {
  std::string hub;
  std::string file;
  std::string mode;
  bool keys = false;
  bool json = false;
};
using Settings = std::shared_ptr<FileSettings>;

Result<> append(std::FILE* out, const std::string& bytes, const std::string& where) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), out) != bytes.size())
    return fail(Fault::unavailable, where + " cannot be written");
  return {};
}

awaitable<Result<>> export_all(HubClient& hub, Settings settings) {
  const bool to_file = settings->file != "-";
  if (to_file && settings->keys) std::fprintf(stderr, "note: %s will hold the devices' keys\n", settings->file.c_str());
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(to_file ? std::fopen(settings->file.c_str(), "wx") : nullptr,
                                                       [](std::FILE* f) { return f ? std::fclose(f) : 0; });
  if (to_file && !file) co_return fail(Fault::conflict, fmt::format("{} exists or cannot be made", settings->file));
  std::string after;
  do {
    net::HttpRequest request;
    request.target = fmt::format("/fleet/export?keys={}&after={}", settings->keys ? "true" : "false", text::percent_encode(after));
    request.headers.set("x-ms-max-item-count", "1000");
    CO_TRY_LET(const net::HttpResponse response, co_await hub.send(request));
    if (response.status >= 300) co_return fail(endpoint::fault_of(response, "GET", "/fleet/export"));
    CO_TRY(append(to_file ? file.get() : stdout, response.body, settings->file));
    after = response.headers.get("x-ms-continuation");
  } while (!after.empty());
  if (to_file && std::fflush(file.get()) != 0) co_return fail(Fault::unavailable, settings->file + " cannot be written");
  co_return Result<>{};
}

Result<std::vector<json::Array>> read_items(const FileSettings& settings) {
  TRY_LET(const std::string text, read_text_file(settings.file));
  std::vector<json::Array> batches;
  std::size_t number = 0;
  for (const std::string_view line : text::split(text, '\n')) {
    ++number;
    if (text::trim(line).empty()) continue;
    TRY_LET(json::Value item, in(json::parse(line), fmt::format("{}, line {}", settings.file, number)));
    if (!item.is_object())
      return fail(Fault::invalid_input,
                  fmt::format("{}, line {}: expected an object, found {}", settings.file, number, json::type_name(item)));
    if (!settings.mode.empty()) item.as_object().set("importMode", settings.mode);
    if (batches.empty() || batches.back().size() == lines_a_call) batches.emplace_back();
    batches.back().push_back(std::move(item));
  }
  return batches;
}

awaitable<Result<>> import_all(HubClient& hub, Settings settings) {
  CO_TRY_LET(const std::vector<json::Array> batches, read_items(*settings));
  json::Array errors;
  std::size_t items = 0;
  for (const json::Array& batch : batches) {
    net::HttpRequest request;
    request.method = "POST";
    request.target = "/devices";
    request.headers.set("content-type", "application/json; charset=utf-8");
    request.body = json::print(batch);
    CO_TRY_LET(const net::HttpResponse response, co_await hub.send(request));
    const auto answer = json::parse(response.body);
    const json::Value* failed = answer ? answer->find("errors") : nullptr;
    if (!failed || !failed->is_array()) co_return fail(endpoint::fault_of(response, "POST", "/devices"));
    errors.insert(errors.end(), failed->as_array().begin(), failed->as_array().end());
    items += batch.size();
  }
  const std::size_t failed = errors.size();
  if (settings->json) {
    print_line(json::print(json::Object{{"imported", static_cast<std::int64_t>(items - failed)}, {"errors", std::move(errors)}}));
  } else {
    for (const json::Value& error : errors) std::fprintf(stderr, "%s\n", json::print(error).c_str());
    print_line(fmt::format("{} of {} lines imported", items - failed, items));
  }
  if (failed > 0) co_return fail(Fault::unavailable, fmt::format("{} lines were refused", failed));
  co_return Result<>{};
}

}  // namespace

void add_device_files(CLI::App& devices, Outcome& outcome) {
  CLI::App* exports = devices.add_subcommand("export", "All devices, with tags and desired properties, one line of JSON each");
  const auto exported = std::make_shared<FileSettings>();
  add_hub_option(*exports, exported->hub);
  exports->add_option("file", exported->file, "a new file, or - for standard output")->required();
  exports->add_flag("--keys", exported->keys, "with the devices' keys: a secret");
  exports->footer("Example:\n  nacelle devices export fleet.ndjson");
  exports->callback(
      [&outcome, exported] { outcome.take(with_hub(exported->hub, [&](HubClient& hub) { return export_all(hub, exported); })); });

  CLI::App* imports = devices.add_subcommand("import", "Make or change devices from lines of JSON");
  const auto imported = std::make_shared<FileSettings>();
  add_hub_option(*imports, imported->hub);
  imports->add_option("file", imported->file, "as export wrote it")->required();
  imports->add_option("--mode", imported->mode, "create, update, createOrUpdate or delete, in place of what the lines say");
  imports->add_flag("--json", imported->json, "one line of JSON");
  imports->footer("Example:\n  nacelle devices import fleet.ndjson");
  imports->callback(
      [&outcome, imported] { outcome.take(with_hub(imported->hub, [&](HubClient& hub) { return import_all(hub, imported); })); });
}

}  // namespace nacelle::app
