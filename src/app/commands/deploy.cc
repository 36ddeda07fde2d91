// nacelle deploy: a manifest, a model, or both, to one edge device.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "domain/deployment/manifest.h"
#include "service/workbench/model_reference.h"
#include "service/workbench/store.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct DeploySettings {
  std::string hub;
  std::string device;
  std::string manifest;
  std::string model;
  std::string module;
  std::string workbench;
  bool json = false;
};
using Settings = std::shared_ptr<DeploySettings>;

// The module program that loads a model by its hash from its desired properties.
constexpr std::string_view classifier_program = "rul-classifier";

/// The object of a manifest that maps module ids to their content.
Result<json::Object*> content_of(json::Value& manifest) {
  json::Value* root = &manifest;
  if (json::Value* inner = manifest.as_object().find("content"); inner && inner->is_object()) root = inner;
  for (const char* key : {"modulesContent", "moduleContent"})
    if (json::Value* content = root->as_object().find(key); content && content->is_object()) return &content->as_object();
  return fail(Fault::invalid_input, "manifest: expected the member modulesContent");
}

/// Which module gets the model: the one named, else the one that runs the classifier.
Result<std::string> classifier_in(const deployment::AgentConfig& agent, const std::string& named) {
  if (!named.empty()) {
    if (agent.modules.contains(named)) return named;
    return fail(Fault::invalid_input, fmt::format("--module: the device's deployment has no module '{}'", named));
  }
  std::string found;
  for (const auto& [name, spec] : agent.modules) {
    if (spec.image.find(classifier_program) == std::string::npos) continue;
    if (!found.empty())
      return fail(Fault::invalid_input,
                  fmt::format("both '{}' and '{}' run {}; say which with --module", found, name, classifier_program));
    found = name;
  }
  if (found.empty())
    return fail(Fault::invalid_input,
                fmt::format("no module of the deployment runs {}; name one with --module", classifier_program));
  return found;
}

struct Model {
  json::Value desired;  ///< `{"name","version","sha256"}`
  std::string sha256;
  bool registered = false;
};

awaitable<Result<Model>> upload_model(HubClient& hub, Settings settings) {
  CO_TRY_LET(const workbench::ResolvedModel model, workbench::resolve_model(settings->model, settings->workbench));
  CO_TRY_LET(std::string bytes, read_text_file(model.artifact.string()));
  CO_TRY_LET(const std::string sha256, co_await hub.put_artifact(std::move(bytes)));
  const std::string version = model.version == 0 ? std::string() : std::to_string(model.version);
  Model uploaded{json::Object{{"name", model.name}, {"version", version}, {"sha256", sha256}}, sha256, model.version != 0};
  co_return uploaded;
}

/// The registry is told what is where, so that it refuses to delete a model that is deployed. A model that no registry holds needs
/// none.
Result<> mark_deployed(const DeploySettings& settings, const std::string& module, const Model& model) {
  if (!model.registered) return {};
  const SystemClock clock;
  TRY_LET(auto store, workbench::WorkbenchStore::open(workbench::workbench_folder(settings.workbench), clock));
  return store.mark_deployed(model.sha256, settings.device, module);
}

void tell(const DeploySettings& settings, const std::string& module, const std::string& sha256, std::size_t modules) {
  if (settings.json) {
    json::Object answer{{"device", settings.device}};
    if (!settings.manifest.empty()) answer.set("modules", static_cast<std::uint64_t>(modules));
    if (!sha256.empty()) answer.set("model", json::Object{{"module", module}, {"sha256", sha256}});
    return print_line(json::print(answer));
  }
  if (!settings.manifest.empty()) print_line(fmt::format("{} modules deployed to {}", modules, settings.device));
  if (!sha256.empty()) print_line(fmt::format("model {} given to {}/{}", sha256.substr(0, 12), settings.device, module));
}

/// The manifest as a whole, with the model put into the classifier's desired properties.
awaitable<Result<>> deploy_manifest(HubClient& hub, Settings settings) {
  CO_TRY_LET(json::Value manifest, read_json_file(settings->manifest));
  CO_TRY_LET(const deployment::Manifest checked, in(deployment::parse_manifest(manifest), settings->manifest));
  std::string module;
  Model model;
  if (!settings->model.empty()) {
    CO_TRY_LET(module, classifier_in(checked.agent, settings->module));
    CO_TRY_LET(model, co_await upload_model(hub, settings));
    CO_TRY(mark_deployed(*settings, module, model));
    json::Value desired = checked.desired.contains(module) ? checked.desired.at(module) : json::Value(json::Object{});
    desired.as_object().set("model", std::move(model.desired));
    CO_TRY_LET(json::Object * content, content_of(manifest));
    content->set(module, json::Object{{"properties.desired", std::move(desired)}});
  }
  const std::string path = endpoint::device_path({device::DeviceId(settings->device), {}}) + "/applyConfigurationContent";
  CO_TRY(co_await hub.post(path, std::move(manifest)));
  tell(*settings, module, model.sha256, checked.agent.modules.size());
  co_return Result<>{};
}

/// Another model for the classifier that is deployed already.
awaitable<Result<>> deploy_model(HubClient& hub, Settings settings) {
  const std::string agent_path = endpoint::twin_path({device::DeviceId(settings->device), device::ModuleId("$edgeAgent")});
  CO_TRY_LET(const json::Value agent_twin, co_await hub.get(agent_path));
  const json::Value* desired = agent_twin.at_path({"properties", "desired"});
  if (!desired || !desired->find("modules"))
    co_return fail(Fault::invalid_input, fmt::format("nothing is deployed to '{}' yet; give a --manifest", settings->device));
  json::Value agent_desired = *desired;
  for (const char* ours : {"$version", "$metadata"}) agent_desired.as_object().erase(ours);
  CO_TRY_LET(const deployment::AgentConfig agent, deployment::parse_agent_config(agent_desired));
  CO_TRY_LET(const std::string module, classifier_in(agent, settings->module));
  CO_TRY_LET(Model model, co_await upload_model(hub, settings));
  CO_TRY(mark_deployed(*settings, module, model));
  const std::string path = endpoint::twin_path({device::DeviceId(settings->device), device::ModuleId(module)});
  json::Value patch = json::Object{{"properties", json::Object{{"desired", json::Object{{"model", std::move(model.desired)}}}}}};
  CO_TRY(co_await hub.patch(path, std::move(patch)));
  tell(*settings, module, model.sha256, 0);
  co_return Result<>{};
}

awaitable<Result<>> deploy(HubClient& hub, Settings settings) {
  if (settings->manifest.empty() && settings->model.empty())
    co_return fail(Fault::invalid_input, "nothing to deploy: give --manifest, --model or both");
  auto deployed = settings->manifest.empty() ? deploy_model(hub, settings) : deploy_manifest(hub, settings);
  auto done = co_await std::move(deployed);
  co_return done;
}

}  // namespace

void add_deploy(CLI::App& root, Outcome& outcome) {
  CLI::App* command = root.add_subcommand("deploy", "Deploy modules, a model, or both to an edge device");
  const auto settings = std::make_shared<DeploySettings>();
  add_hub_option(*command, settings->hub);
  command->add_option("--device", settings->device, "the edge device")->required();
  command->add_option("--manifest", settings->manifest, "deployment manifest (IoT Edge's shape)");
  command->add_option("--model", settings->model,
                      "NAME:VERSION, an alias, or an artifact's path: uploaded, and given to the classifier");
  command->add_option("--module", settings->module, "the module that gets the model (default: the one that runs rul-classifier)");
  command->add_option("--workbench", settings->workbench, "folder of the model registry");
  command->add_flag("--json", settings->json, "one line of JSON");
  command->footer("Example:\n  nacelle deploy --device edge-1 --manifest examples/manifests/turbofan.json --model turbofan-rul:3");
  command->callback(
      [&outcome, settings] { outcome.take(with_hub(settings->hub, [&](HubClient& hub) { return deploy(hub, settings); })); });
}

}  // namespace nacelle::app
