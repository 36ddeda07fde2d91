#include "domain/deployment/manifest.h"

#include <gtest/gtest.h>

namespace nacelle::deployment {
namespace {

json::Value doc(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value) << text << (value ? "" : value.error().message);
  return value ? *std::move(value) : json::Value();
}

// Wire facts 5.4, as published.
constexpr std::string_view published = R"j({"modulesContent":{
  "$edgeAgent":{"properties.desired":{
    "schemaVersion":"1.1",
    "runtime":{"type":"docker","settings":{"minDockerVersion":"v1.25","loggingOptions":"","registryCredentials":{"r1":{"username":"u","password":"p","address":"reg.example.net"}}}},
    "systemModules":{
      "edgeAgent":{"type":"docker","settings":{"image":"agent:1","createOptions":"{}"},"env":{}},
      "edgeHub":{"type":"docker","status":"running","restartPolicy":"always","startupOrder":0,"settings":{"image":"hub:1","createOptions":"{}"},"env":{"OptimizeForPerformance":{"value":"false"}}}},
    "modules":{
      "filter":{"version":"1.0","type":"docker","status":"running","restartPolicy":"always","imagePullPolicy":"on-create","startupOrder":1,
        "env":{"RATE":{"value":"5"}},"settings":{"image":"reg.example.net/filter:2","createOptions":"{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]}}}"}}}}},
  "$edgeHub":{"properties.desired":{
    "schemaVersion":"1.1",
    "routes":{
      "all":"FROM /messages/* INTO $upstream",
      "hot":{"route":"FROM /messages/modules/filter/outputs/alerts WHERE $body.t > 80 INTO BrokeredEndpoint(\"/modules/alarm/inputs/in1\")","priority":0,"timeToLiveSecs":86400}},
    "storeAndForwardConfiguration":{"timeToLiveSecs":7200,"storeLimits":{"maxSizeBytes":1073741824}}}},
  "filter":{"properties.desired":{"threshold":80}}}})j";

TEST(Manifest, the_published_example_is_read_whole) {
  const auto manifest = parse_manifest(doc(published));
  ASSERT_TRUE(manifest) << manifest.error().message;
  const ModuleSpec& filter = manifest->agent.modules.at("filter");
  EXPECT_EQ(filter.image, "reg.example.net/filter:2");
  EXPECT_EQ(filter.startup_order, 1u);
  EXPECT_EQ(filter.env.at("RATE"), "5");
  EXPECT_NE(filter.create_options.at_path({"HostConfig", "PortBindings", "80/tcp"}), nullptr);
  EXPECT_EQ(manifest->agent.system_modules.at("edgeHub").startup_order, 0u);
  EXPECT_EQ(manifest->agent.system_modules.at("edgeAgent").startup_order, 0xffffffffu);
  ASSERT_EQ(manifest->hub.routes.size(), 2u);
  EXPECT_EQ(manifest->hub.routes[0].priority, 2'000'000'000u);
  EXPECT_TRUE(manifest->hub.routes[0].route.sink.upstream);
  EXPECT_EQ(manifest->hub.routes[1].priority, 0u);
  EXPECT_EQ(manifest->hub.routes[1].time_to_live_seconds, 86400);
  EXPECT_EQ(manifest->hub.routes[1].route.sink.module, "alarm");
  EXPECT_EQ(manifest->desired.at("filter"), doc(R"({"threshold":80})"));
}

TEST(Manifest, older_and_wrapped_forms_and_dotted_keys) {
  const auto older = parse_manifest(doc(R"({"moduleContent":{"m":{"properties.desired":{"a":1}}}})"));
  ASSERT_TRUE(older) << older.error().message;
  EXPECT_EQ(older->desired.at("m"), doc(R"({"a":1})"));
  EXPECT_TRUE(older->hub.routes.empty());
  const auto layered = parse_manifest(doc(R"j({"id":"line-a","content":{"modulesContent":{"$edgeHub":{
      "properties.desired":{"schemaVersion":"1.1","routes":{"a":"FROM /* INTO $upstream"}},
      "properties.desired.routes.b":"FROM /messages/* INTO $upstream","properties.desired.x.y":null}}}})j"));
  ASSERT_FALSE(layered);  // x is unknown to the edge hub
  EXPECT_NE(layered.error().message.find("unknown member 'x'"), std::string::npos) << layered.error().message;
  const auto good = parse_manifest(doc(R"j({"$schema-template":"2.0","content":{"modulesContent":{"$edgeHub":{
      "properties.desired":{"schemaVersion":"1.1"},"properties.desired.routes.b":"FROM /messages/* INTO $upstream"}}}})j"));
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->hub.routes.at(0).name, "b");
}

AgentConfig agent(std::string_view module) {
  auto config = parse_agent_config(doc(R"({"schemaVersion":"1.0","modules":{"m":)" + std::string(module) + "}}"));
  EXPECT_TRUE(config) << (config ? "" : config.error().message);
  return config ? *std::move(config) : AgentConfig();
}

TEST(AgentConfigReading, defaults_processes_and_env_of_every_type) {
  const ModuleSpec m = agent(R"({"type":"process","settings":{"image":"turbofan-router","arguments":["--verbose","x y"]},
      "env":{"S":{"value":"t"},"N":{"value":1.5},"I":{"value":7},"B":{"value":true},"E":{},"G":null}})")
                           .modules.at("m");
  EXPECT_EQ(m.type, "process");
  EXPECT_EQ(m.arguments, (std::vector<std::string>{"--verbose", "x y"}));
  EXPECT_EQ(m.restart, RestartPolicy::always);
  EXPECT_EQ(m.status, DesiredStatus::running);
  EXPECT_EQ(m.env, (std::map<std::string, std::string>{{"S", "t"}, {"N", "1.5"}, {"I", "7"}, {"B", "true"}, {"E", ""}}));
}

TEST(AgentConfigReading, create_options_as_object_text_parts_or_nothing) {
  const auto options = [](std::string_view settings) {
    return agent(R"({"settings":{"image":"i",)" + std::string(settings) + "}}").modules.at("m").create_options;
  };
  const json::Value wanted = doc(R"({"Env":["a=b"]})");
  EXPECT_EQ(options(R"("createOptions":{"Env":["a=b"]})"), wanted);
  EXPECT_EQ(options(R"("createOptions":"{\"Env\":[\"a=b\"]}")"), wanted);
  EXPECT_EQ(options(R"("createOptions":"{\"Env\":","createOptions01":"[\"a=","createOptions02":"b\"]}")"), wanted);
  EXPECT_EQ(options(R"("createOptions":"")"), doc("{}"));
}

TEST(AgentConfigReading, a_module_deleted_by_null_and_twin_metadata_are_passed_over) {
  const auto config = parse_agent_config(doc(R"({"schemaVersion":"1.1","modules":{"gone":null},"$version":3,"$metadata":{}})"));
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->modules.empty());
}

TEST(AgentConfigReading, mistakes_name_the_member_and_the_nearest_name) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {R"([])", "$edgeAgent: expected an object, found array"},
      {R"({})", "$edgeAgent.schemaVersion: expected \"1.0\" or \"1.1\", found none"},
      {R"({"schemaVersion":1})", "$edgeAgent.schemaVersion: expected a string, found number"},
      {R"({"schemaVersion":"1.1","module":{}})", "$edgeAgent: unknown member 'module', did you mean 'modules'?"},
      {R"({"schemaVersion":"1.1","modules":[]})", "$edgeAgent.modules: expected an object, found array"},
      {R"({"schemaVersion":"1.1","modules":{"m":"x"}})", "$edgeAgent.modules.m: expected an object, found string"},
      {R"({"schemaVersion":"1.1","modules":{"m":{}}})",
       "$edgeAgent.modules.m.settings.image: expected an image's name, found none"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"type":"process"}}})",
       "settings.image: expected a program's name or path, found none"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"type":"podman"}}})", "m.type: expected docker or process, found 'podman'"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"restartpolicy":"always"}}})",
       "m: unknown member 'restartpolicy', did you mean 'restartPolicy'?"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"restartPolicy":"sometimes"}}})",
       "m.restartPolicy: expected one of always, never, on-failure, on-unhealthy, found 'sometimes'"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"status":"Running"}}})",
       "m.status: expected one of running, stopped, found 'Running'"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"startupOrder":-1}}})",
       "m.startupOrder: expected an integer from 0 to 4294967295, found -1"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"startupOrder":1.5}}})", "m.startupOrder: expected an integer"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"env":{"A":"5"}}}})", "m.env.A: expected an object, found string"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"env":{"A":{"val":"5"}}}}})",
       "m.env.A: unknown member 'val', did you mean 'value'?"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"env":{"A":{"value":[1]}}}}})",
       "m.env.A.value: expected a string, a number or a Boolean, found array"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"settings":{"imge":"x"}}}})",
       "m.settings: unknown member 'imge', did you mean 'image'?"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"settings":{"image":"x","createOptions":"{"}}}})", "m.settings.createOptions: "},
      {R"({"schemaVersion":"1.1","modules":{"m":{"settings":{"image":"x","createOptions":"[]"}}}})",
       "createOptions: expected a JSON object as text, found array"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"settings":{"image":"x","arguments":["a"]}}}})", "unknown member 'arguments'"},
      {R"({"schemaVersion":"1.1","modules":{"m":{"type":"process","settings":{"image":"x","arguments":"a"}}}})",
       "arguments: expected an array of strings, found string"},
      {R"({"schemaVersion":"1.1","systemModules":{"edgehub":{}}})",
       "$edgeAgent.systemModules: unknown member 'edgehub', did you mean 'edgeHub'?"},
  };
  for (const auto& c : cases) {
    const auto config = parse_agent_config(doc(c.text));
    ASSERT_FALSE(config) << c.text;
    EXPECT_EQ(config.error().fault, Fault::invalid_input);
    EXPECT_NE(config.error().message.find(c.message), std::string::npos) << config.error().message;
  }
}

TEST(AgentConfigReading, another_major_schema_version_is_a_conflict) {
  EXPECT_EQ(parse_agent_config(doc(R"({"schemaVersion":"2.0"})")).error().fault, Fault::conflict);
  EXPECT_EQ(parse_hub_config(doc(R"({"schemaVersion":"0.9"})")).error().fault, Fault::conflict);
  EXPECT_TRUE(parse_hub_config(doc(R"({"schemaVersion":"1.3"})")));
}

TEST(HubConfigReading, store_defaults_and_never_expiring) {
  const auto plain = parse_hub_config(doc(R"({"schemaVersion":"1.0"})"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->time_to_live_seconds, 7200);
  EXPECT_EQ(plain->max_store_bytes, 1073741824u);
  EXPECT_EQ(parse_hub_config(doc(R"({"schemaVersion":"1.0","storeAndForwardConfiguration":{"timeToLiveSecs":-1}})"))
                ->time_to_live_seconds,
            -1);
}

TEST(HubConfigReading, mistakes_name_the_route_and_the_place) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {R"({"schemaVersion":"1.1","route":{}})", "$edgeHub: unknown member 'route', did you mean 'routes'?"},
      {R"({"schemaVersion":"1.1","routes":{"r":5}})",
       "$edgeHub.routes.r: expected a route as a text, or an object with the member 'route', found number"},
      {R"({"schemaVersion":"1.1","routes":{"r":"FROM /messages/* INTO upstream"}})",
       "$edgeHub.routes.r: route, line 1, column 23: expected $upstream"},
      {R"({"schemaVersion":"1.1","routes":{"r":{"priority":1}}})", "$edgeHub.routes.r.route: expected a text"},
      {R"({"schemaVersion":"1.1","routes":{"r":{"route":"FROM /* INTO $upstream","priority":10}}})",
       "r.priority: expected an integer from 0 to 9, found 10"},
      {R"({"schemaVersion":"1.1","routes":{"r":{"route":"FROM /* INTO $upstream","timeToLive":1}}})",
       "r: unknown member 'timeToLive'"},
      {R"({"schemaVersion":"1.1","storeAndForwardConfiguration":{"timeToLive":1}})", "unknown member 'timeToLive'"},
      {R"({"schemaVersion":"1.1","storeAndForwardConfiguration":{"timeToLiveSecs":-2}})",
       "timeToLiveSecs: expected an integer from -1"},
      {R"({"schemaVersion":"1.1","storeAndForwardConfiguration":{"storeLimits":{"maxSizeBytes":0}}})",
       "maxSizeBytes: expected an integer from 1"},
  };
  for (const auto& c : cases) {
    const auto config = parse_hub_config(doc(c.text));
    ASSERT_FALSE(config) << c.text;
    EXPECT_NE(config.error().message.find(c.message), std::string::npos) << config.error().message;
  }
}

TEST(Manifest, mistakes_outside_the_modules) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {R"([])", "manifest: expected an object"},
      {R"({})", "manifest: expected the member modulesContent"},
      {R"({"moduleContents":{}})", "did you mean 'moduleContent'?"},
      {R"({"modulesContent":{}})", "manifest.modulesContent: expected modules such as $edgeAgent, found none"},
      {R"({"modulesContent":{"m":{"propertiesDesired":{}}}})",
       "manifest.modulesContent.m: unknown member 'propertiesDesired', expected properties.desired"},
      {R"({"modulesContent":{"m":{"properties.desired":1}}})",
       "manifest.modulesContent.m.properties.desired: expected an object, found number"},
      {R"({"content":{}})", "manifest.content: expected the member modulesContent"},
  };
  for (const auto& c : cases) {
    const auto manifest = parse_manifest(doc(c.text));
    ASSERT_FALSE(manifest) << c.text;
    EXPECT_NE(manifest.error().message.find(c.message), std::string::npos) << manifest.error().message;
  }
}

}  // namespace
}  // namespace nacelle::deployment
