// nacelle devices: the registry from the command line. Keys are shown only when asked for by name.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "codec/text/encoding.h"
#include "net/tls/certificates.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct DeviceSettings {
  std::string hub;
  std::string id;
  std::string module;
  std::string parent;
  std::string gateway;
  std::string certificate;
  std::string key;
  bool edge = false;
  bool by_authority = false;
  bool json = false;
};
using Settings = std::shared_ptr<DeviceSettings>;

device::IdentityName name_of(const DeviceSettings& settings) {
  return {device::DeviceId(settings.id), device::ModuleId(settings.module)};
}

/// The document without its keys.
json::Value without_keys(json::Value document) {
  if (!document.is_object()) return document;
  if (json::Value* authentication = document.as_object().find("authentication"); authentication && authentication->is_object())
    authentication->as_object().erase("symmetricKey");
  return document;
}

std::string text_of(const json::Value& document, std::string_view key) {
  const json::Value* value = document.find(key);
  return value && value->is_string() ? value->as_string() : std::string("-");
}

void print_device(const json::Value& document) {
  const json::Value* edge = document.at_path({"capabilities", "iotEdge"});
  const bool is_edge = edge && edge->is_bool() && edge->as_bool();
  const std::string id = document.find("moduleId") ? text_of(document, "deviceId") + "/" + text_of(document, "moduleId")
                                                   : text_of(document, "deviceId");
  print_line(fmt::format("{:<32} {:<9} {:<13} {}", id, text_of(document, "status"), text_of(document, "connectionState"),
                         is_edge ? "edge" : ""));
}

void print_document(const json::Value& document, bool as_json) {
  if (as_json)
    print_line(json::print(document));
  else
    print_device(document);
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value devices, co_await hub.get("/devices/"));
  if (!devices.is_array()) co_return fail(Fault::unavailable, "the hub's list of devices is not an array");
  json::Array shown;
  for (const auto& device : devices.as_array()) shown.push_back(without_keys(device));
  if (settings->json)
    print_line(json::print(shown));
  else
    for (const auto& device : shown) print_device(device);
  co_return Result<>{};
}

/// With keys, unless it comes with a certificate: of its own, or of an authority's.
Result<> set_certificate(const DeviceSettings& settings, json::Object& document) {
  if (settings.by_authority) document.set("authentication", json::Object{{"type", "certificateAuthority"}});
  if (settings.certificate.empty()) return {};
  TRY_LET(const std::string pem, read_text_file(settings.certificate));
  TRY_LET(const auto facts, in(net::inspect(pem), settings.certificate));
  const json::Object thumbprints{{"primaryThumbprint", facts.sha256_thumbprint}};
  document.set("authentication", json::Object{{"type", "selfSigned"}, {"x509Thumbprint", thumbprints}});
  return {};
}

awaitable<Result<>> create(HubClient& hub, Settings settings) {
  const device::IdentityName name = name_of(*settings);
  json::Object document{{"deviceId", settings->id}};
  if (name.is_module())
    document.set("moduleId", settings->module);
  else
    document.set("capabilities", json::Object{{"iotEdge", settings->edge}});
  CO_TRY(set_certificate(*settings, document));
  if (!settings->parent.empty()) {
    const std::string path = endpoint::device_path({device::DeviceId(settings->parent), {}});
    CO_TRY_LET(const json::Value parent, co_await hub.get(path));
    const json::Value* scope = parent.find("deviceScope");
    if (!scope || !scope->is_string())
      co_return fail(Fault::invalid_input, fmt::format("--parent: '{}' is not an edge device", settings->parent));
    if (settings->edge)
      document.set("parentScopes", json::Array{*scope});
    else
      document.set("deviceScope", *scope);
  }
  const std::string path = endpoint::device_path(name);
  json::Value body(std::move(document));
  CO_TRY_LET(json::Value made, co_await hub.put(path, std::move(body)));
  print_document(without_keys(std::move(made)), settings->json);
  co_return Result<>{};
}

awaitable<Result<>> show(HubClient& hub, Settings settings) {
  const std::string path = endpoint::device_path(name_of(*settings));
  CO_TRY_LET(json::Value document, co_await hub.get(path));
  print_document(without_keys(std::move(document)), settings->json);
  co_return Result<>{};
}

awaitable<Result<>> remove(HubClient& hub, Settings settings) {
  const std::string path = endpoint::device_path(name_of(*settings));
  CO_TRY(co_await hub.remove(path));
  if (settings->json)
    print_line(json::print(json::Object{{"deleted", name_of(*settings).client_id()}}));
  else
    print_line(fmt::format("deleted {}", name_of(*settings).client_id()));
  co_return Result<>{};
}

awaitable<Result<>> connection_string(HubClient& hub, Settings settings) {
  const device::IdentityName name = name_of(*settings);
  const std::string path = endpoint::device_path(name);
  CO_TRY_LET(const json::Value document, co_await hub.get(path));
  CO_TRY_LET(const device::Identity identity, device::from_json(document, name));
  std::string text = endpoint::connection_string_of(hub.host_name(), identity);
  if (!settings->gateway.empty()) text += ";GatewayHostName=" + settings->gateway;
  print_line(settings->json ? json::print(json::Object{{"connectionString", text}}) : text);
  co_return Result<>{};
}

awaitable<Result<>> list_modules(HubClient& hub, Settings settings) {
  const std::string path = endpoint::device_path({device::DeviceId(settings->id), {}}) + "/modules";
  CO_TRY_LET(const json::Value modules, co_await hub.get(path));
  if (!modules.is_array()) co_return fail(Fault::unavailable, "the hub's list of modules is not an array");
  json::Array shown;
  for (const auto& module : modules.as_array()) shown.push_back(without_keys(module));
  if (settings->json)
    print_line(json::print(shown));
  else
    for (const auto& module : shown) print_device(module);
  co_return Result<>{};
}

awaitable<Result<>> regenerate(HubClient& hub, Settings settings) {
  const std::string path = endpoint::device_path(name_of(*settings)) + "/keys/regenerate";
  json::Value body = json::Object{{"key", settings->key}};
  CO_TRY(co_await hub.post(path, std::move(body)));
  const std::string id = name_of(*settings).client_id();
  if (settings->json)
    print_line(json::print(json::Object{{"id", id}, {"regenerated", settings->key}}));
  else
    print_line(fmt::format("{}: {}", id, settings->key == "swap" ? "keys exchanged" : settings->key + " key is new"));
  co_return Result<>{};
}

using Work = awaitable<Result<>> (*)(HubClient&, Settings);

void add_key_option(CLI::App& command, const Settings& settings) {
  command.add_option("--key", settings->key, "primary, secondary or swap")
      ->required()
      ->check(CLI::IsMember({"primary", "secondary", "swap"}));
}

/// A verb of `modules`: of the device, or of one of its modules.
CLI::App* add_module_verb(CLI::App& parent, Outcome& outcome, const char* verb, const char* help, Work work, bool takes_module,
                          Settings& settings) {
  settings = std::make_shared<DeviceSettings>();
  CLI::App* command = parent.add_subcommand(verb, help);
  add_hub_option(*command, settings->hub);
  command->add_flag("--json", settings->json, "one line of JSON");
  command->add_option("id", settings->id, "the device")->required();
  if (takes_module) command->add_option("module", settings->module, "the module")->required();
  run_on_hub(*command, outcome, settings, work);
  return command;
}

CLI::App* add_verb(CLI::App& parent, Outcome& outcome, const char* verb, const char* help, Work work, bool takes_id,
                   Settings& settings) {
  settings = std::make_shared<DeviceSettings>();
  CLI::App* command = parent.add_subcommand(verb, help);
  add_hub_option(*command, settings->hub);
  command->add_flag("--json", settings->json, "one line of JSON");
  if (takes_id) {
    command->add_option("id", settings->id, "the device")->required();
    command->add_option("--module", settings->module, "one of its modules");
  }
  command->callback(
      [&outcome, settings, work] { outcome.take(with_hub(settings->hub, [&](HubClient& hub) { return work(hub, settings); })); });
  return command;
}

}  // namespace

void add_devices(CLI::App& root, Outcome& outcome) {
  CLI::App* devices = root.add_subcommand("devices", "List, create, show and delete devices and modules");
  devices->require_subcommand(1);
  devices->footer(
      "Example:\n  nacelle devices create edge-1 --edge\n  nacelle devices create Client_001 --parent edge-1\n"
      "  nacelle devices connection-string Client_001");
  Settings settings;
  add_verb(*devices, outcome, "list", "All devices", list, false, settings)->footer("Example:\n  nacelle devices list --json");
  CLI::App* creates = add_verb(*devices, outcome, "create", "A new device or module, with random keys", create, true, settings);
  creates->add_flag("--edge", settings->edge, "an edge device");
  creates->add_option("--parent", settings->parent, "the edge device it connects through");
  creates->add_option("--certificate", settings->certificate, "PEM: it comes with this certificate instead of keys")
      ->excludes(creates->add_flag("--by-authority", settings->by_authority,
                                   "it comes with a certificate of an authority that the hub trusts (nacelle certs)"));
  creates->footer("Example:\n  nacelle devices create Client_001 --parent edge-1\n  nacelle devices create press-7 --by-authority");
  add_verb(*devices, outcome, "show", "One device or module, without its keys", show, true, settings)
      ->footer("Example:\n  nacelle devices show Client_001");
  add_verb(*devices, outcome, "delete", "Delete a device with its modules, or a module", remove, true, settings)
      ->footer("Example:\n  nacelle devices delete Client_001");
  CLI::App* tells = add_verb(*devices, outcome, "connection-string", "Print a device's connection string: a secret",
                             connection_string, true, settings);
  tells->add_option("--gateway", settings->gateway, "adds GatewayHostName");
  tells->footer("Example:\n  nacelle devices connection-string Client_001");
  CLI::App* regenerates =
      add_verb(*devices, outcome, "regenerate-key",
               "A new random key, or the two exchanged; ends a connection made with the old one", regenerate, true, settings);
  add_key_option(*regenerates, settings);
  regenerates->footer("Example:\n  nacelle devices regenerate-key Client_001 --key secondary");
  add_device_files(*devices, outcome);
}

void add_modules(CLI::App& root, Outcome& outcome) {
  CLI::App* modules = root.add_subcommand("modules", "List, create, show and delete modules of a device");
  modules->require_subcommand(1);
  modules->footer("Example:\n  nacelle modules create edge-1 filter\n  nacelle modules list edge-1");
  Settings settings;
  add_module_verb(*modules, outcome, "list", "All modules of a device", list_modules, false, settings)
      ->footer("Example:\n  nacelle modules list edge-1 --json");
  add_module_verb(*modules, outcome, "create", "A new module, with random keys", create, true, settings)
      ->footer("Example:\n  nacelle modules create edge-1 filter");
  add_module_verb(*modules, outcome, "show", "One module, without its keys", show, true, settings)
      ->footer("Example:\n  nacelle modules show edge-1 '$edgeHub'");
  add_module_verb(*modules, outcome, "delete", "Delete a module", remove, true, settings)
      ->footer("Example:\n  nacelle modules delete edge-1 filter");
  CLI::App* tells = add_module_verb(*modules, outcome, "connection-string", "Print a module's connection string: a secret",
                                    connection_string, true, settings);
  tells->add_option("--gateway", settings->gateway, "adds GatewayHostName");
  tells->footer("Example:\n  nacelle modules connection-string edge-1 filter");
  CLI::App* regenerates = add_module_verb(*modules, outcome, "regenerate-key",
                                          "A new random key, or the two exchanged; ends a connection made with the old one",
                                          regenerate, true, settings);
  add_key_option(*regenerates, settings);
  regenerates->footer("Example:\n  nacelle modules regenerate-key edge-1 filter --key primary");
}

}  // namespace nacelle::app
