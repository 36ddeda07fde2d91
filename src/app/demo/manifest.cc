#include "app/demo/manifest.h"

namespace nacelle::app::demo {
namespace {

json::Value module_of(std::string_view program, int startup_order, json::Object environment) {
  json::Object spec{{"version", "1.0"}, {"type", "process"}, {"status", "running"}, {"restartPolicy", "always"}};
  spec.set("startupOrder", startup_order);
  spec.set("env", std::move(environment));
  spec.set("settings", json::Object{{"image", program}, {"createOptions", "{}"}});
  return spec;
}

json::Value value_of(std::string_view text) { return json::Object{{"value", text}}; }

std::string into(const std::string& module, const std::string& input) {
  return "INTO BrokeredEndpoint(\"/modules/" + module + "/inputs/" + input + "\")";
}
std::string from(const std::string& module, const std::string& output) {
  return "FROM /messages/modules/" + module + "/outputs/" + output + " ";
}

json::Object routes() {
  const std::string router = router_module, classifier = classifier_module, writer = writer_module;
  return json::Object{
      {"leafMessagesToRouter", "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) " + into(router, "deviceInput")},
      {"classifierToRouter", from(classifier, "amlOutput") + into(router, "rulInput")},
      {"routerToClassifier", from(router, "classOutput") + into(classifier, "amlInput")},
      {"routerToHub", from(router, "hubOutput") + "INTO $upstream"},
      {"routerToAvro", from(router, "avroOutput") + into(writer, "avroModuleInput")},
      {"deadLettersToHub", from(router, "deadMessages") + "INTO $upstream"}};
}

json::Value system_modules() {
  const auto system = [](std::string_view name) {
    return json::Value(json::Object{{"type", "process"}, {"settings", json::Object{{"image", name}, {"createOptions", "{}"}}}});
  };
  json::Value hub = system("edgeHub");
  hub.as_object().set("status", "running");
  hub.as_object().set("restartPolicy", "always");
  return json::Object{{"edgeAgent", system("edgeAgent")}, {"edgeHub", std::move(hub)}};
}

}  // namespace

json::Value turbofan_manifest(const std::filesystem::path& avro_folder) {
  json::Object writer_environment{{"AVRO_FOLDER", value_of(avro_folder.string())},
                                  {"SLICE_SECONDS", value_of("5")},
                                  {"IDLE_SECONDS", value_of("2")},
                                  {"UPLOAD_SECONDS", value_of("1")}};
  json::Object modules;
  modules.set(router_module, module_of("turbofan-router", 1, {}));
  modules.set(classifier_module, module_of("rul-classifier", 2, {}));
  modules.set(writer_module, module_of("avro-file-writer", 3, std::move(writer_environment)));

  json::Object agent{{"schemaVersion", "1.1"}, {"runtime", json::Object{{"type", "process"}, {"settings", json::Object{}}}}};
  agent.set("systemModules", system_modules());
  agent.set("modules", std::move(modules));
  json::Object hub{{"schemaVersion", "1.1"}, {"routes", routes()}};
  hub.set("storeAndForwardConfiguration", json::Object{{"timeToLiveSecs", 7200}});

  const auto desired = [](json::Value properties) {
    return json::Value(json::Object{{"properties.desired", std::move(properties)}});
  };
  json::Object content{{"$edgeAgent", desired(std::move(agent))}, {"$edgeHub", desired(std::move(hub))}};
  return json::Object{{"modulesContent", std::move(content)}};
}

}  // namespace nacelle::app::demo
