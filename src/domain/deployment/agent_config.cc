// `$edgeAgent`'s desired properties (wire facts 5.4).
#include <limits>

#include <fmt/format.h>

#include "domain/deployment/detail/reader.h"
#include "domain/deployment/detail/schema_version.h"
#include "domain/deployment/manifest.h"

namespace nacelle::deployment {
namespace {

constexpr std::string_view agent_members[] = {"schemaVersion", "runtime", "systemModules", "modules", "integrity"};
constexpr std::string_view module_members[] = {"version",      "type", "status",   "restartPolicy", "imagePullPolicy",
                                               "startupOrder", "env",  "settings", "configuration"};
constexpr std::string_view env_members[] = {"value"};

constexpr std::pair<std::string_view, DesiredStatus> statuses[] = {{"running", DesiredStatus::running},
                                                                   {"stopped", DesiredStatus::stopped}};
constexpr std::pair<std::string_view, RestartPolicy> restarts[] = {{"always", RestartPolicy::always},
                                                                   {"never", RestartPolicy::never},
                                                                   {"on-failure", RestartPolicy::on_failure},
                                                                   {"on-unhealthy", RestartPolicy::on_unhealthy}};
constexpr std::pair<std::string_view, PullPolicy> pulls[] = {{"on-create", PullPolicy::on_create}, {"never", PullPolicy::never}};

/// `createOptions` is JSON as text, perhaps split over `createOptions01` and so on, or an object as it is.
Result<json::Value> create_options(const Reader& settings) {
  const json::Value* whole = settings.find("createOptions");
  if (whole && whole->is_object()) return *whole;
  TRY_LET(std::string text, settings.text("createOptions", ""));
  for (int part = 1; part <= 99; ++part) {
    const std::string key = fmt::format("createOptions{:02}", part);
    if (!settings.find(key)) break;
    TRY_LET(const std::string more, settings.text(key, ""));
    text += more;
  }
  if (text.empty()) return json::Value(json::Object{});
  TRY_LET(json::Value options, in(json::parse(text), settings.path("createOptions")));
  if (!options.is_object()) return settings.wrong("createOptions", "a JSON object as text", json::type_name(options));
  return options;
}

bool is_create_options_part(std::string_view key) {
  constexpr std::string_view stem = "createOptions";
  return key.size() == stem.size() + 2 && key.starts_with(stem) && key[13] >= '0' && key[13] <= '9' && key[14] >= '0' &&
         key[14] <= '9';
}

Result<std::string> env_value(const Reader& env, const std::string& name) {
  TRY_LET(const Reader entry, env.child(name));
  TRY(entry.only(env_members));
  const json::Value* value = entry.find("value");
  if (!value) return std::string();
  if (value->is_string()) return value->as_string();
  if (value->is_object() || value->is_array())
    return entry.wrong("value", "a string, a number or a Boolean", json::type_name(*value));
  return json::print(*value);
}

Result<std::vector<std::string>> arguments_of(const Reader& settings) {
  std::vector<std::string> arguments;
  const json::Value* found = settings.find("arguments");
  if (!found) return arguments;
  if (!found->is_array()) return settings.wrong("arguments", "an array of strings", json::type_name(*found));
  for (const json::Value& argument : found->as_array()) {
    if (!argument.is_string()) return settings.wrong("arguments", "strings", json::type_name(argument));
    arguments.push_back(argument.as_string());
  }
  return arguments;
}

Result<> check_settings_members(const Reader& settings, bool process) {
  std::vector<std::string_view> known = {"image", "createOptions", "auth"};
  if (process) known.emplace_back("arguments");
  for (const auto& [key, value] : settings.object())
    if (is_create_options_part(key)) known.emplace_back(key);
  return settings.only(known);
}

Result<> read_settings(const Reader& module, ModuleSpec& spec, bool needs_image) {
  TRY_LET(const Reader settings, module.child("settings"));
  TRY(check_settings_members(settings, spec.type == "process"));
  TRY_LET(spec.image, settings.text("image", ""));
  if (spec.image.empty() && needs_image)
    return settings.wrong("image", spec.type == "process" ? "a program's name or path" : "an image's name", "none");
  TRY_LET(spec.create_options, create_options(settings));
  TRY_LET(spec.arguments, arguments_of(settings));
  return {};
}

Result<ModuleSpec> read_module(const Reader& modules, const std::string& name, bool system) {
  TRY_LET(const Reader module, modules.child(name));
  TRY(module.only(module_members));
  ModuleSpec spec;
  spec.name = name;
  TRY_LET(spec.type, module.text("type", "docker"));
  if (spec.type != "docker" && spec.type != "process")
    return module.wrong("type", "docker or process", fmt::format("'{}'", spec.type));
  TRY_LET(spec.version, module.text("version", ""));
  TRY_LET(spec.status, module.choice("status", statuses, DesiredStatus::running));
  TRY_LET(spec.restart, module.choice("restartPolicy", restarts, RestartPolicy::always));
  TRY_LET(spec.pull, module.choice("imagePullPolicy", pulls, PullPolicy::on_create));
  constexpr std::int64_t last = std::numeric_limits<std::uint32_t>::max();
  TRY_LET(const std::int64_t order, module.integer("startupOrder", last, 0, last));
  spec.startup_order = static_cast<std::uint32_t>(order);
  TRY_LET(const Reader env, module.child("env"));
  for (const auto& [key, value] : env.object()) {
    if (key.starts_with('$') || value.is_null()) continue;
    TRY_LET(spec.env[key], env_value(env, key));
  }
  TRY(read_settings(module, spec, !system));
  return spec;
}

Result<std::map<std::string, ModuleSpec>> read_modules(const Reader& agent, std::string_view key, bool system) {
  std::map<std::string, ModuleSpec> specs;
  TRY_LET(const Reader modules, agent.child(key));
  for (const auto& [name, value] : modules.object()) {
    if (name.starts_with('$') || value.is_null()) continue;
    TRY_LET(specs[name], read_module(modules, name, system));
  }
  return specs;
}

}  // namespace

Result<AgentConfig> parse_agent_config(const json::Value& desired) {
  TRY_LET(const Reader agent, Reader::of(desired, "$edgeAgent"));
  TRY(agent.only(agent_members));
  AgentConfig config;
  TRY_LET(config.schema_version, read_schema_version(agent));
  TRY_LET(const Reader runtime, agent.child("runtime"));
  config.runtime = runtime.object();
  TRY_LET(const Reader system, agent.child("systemModules"));
  constexpr std::string_view system_names[] = {"edgeAgent", "edgeHub"};
  TRY(system.only(system_names));
  TRY_LET(config.system_modules, read_modules(agent, "systemModules", true));
  TRY_LET(config.modules, read_modules(agent, "modules", false));
  return config;
}

}  // namespace nacelle::deployment
