#pragma once
// IoT Edge deployment manifests (wire facts 5.4): read, checked, and split into what agent and hub of an edge obey.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "domain/route/route.h"
#include "foundation/result.h"

namespace nacelle::deployment {

enum class DesiredStatus { running, stopped };
enum class RestartPolicy { never, on_failure, on_unhealthy, always };
enum class PullPolicy { on_create, never };

struct ModuleSpec {
  std::string name;
  std::string type = "docker";  ///< `docker`, or our `process`
  std::string version;
  DesiredStatus status = DesiredStatus::running;
  RestartPolicy restart = RestartPolicy::always;
  PullPolicy pull = PullPolicy::on_create;
  std::uint32_t startup_order = 0xffffffff;
  std::map<std::string, std::string> env;
  std::string image;  ///< settings.image; of a process: the program's name or path
  json::Value create_options = json::Object{};
  std::vector<std::string> arguments;  ///< of a process: settings.arguments
  bool operator==(const ModuleSpec&) const = default;
};

/// `$edgeAgent`'s desired properties.
struct AgentConfig {
  std::string schema_version;
  json::Value runtime = json::Object{};  ///< as it stands: registry credentials (secrets) and what the agent reports back
  std::map<std::string, ModuleSpec> system_modules;
  std::map<std::string, ModuleSpec> modules;
};

struct EdgeRoute {
  std::string name;
  std::string text;
  route::Route route;
  std::uint32_t priority = 2'000'000'000;  ///< 0 first
  std::int64_t time_to_live_seconds = 0;   ///< 0: the global one
};

/// `$edgeHub`'s desired properties.
struct HubConfig {
  std::string schema_version;
  std::vector<EdgeRoute> routes;
  std::int64_t time_to_live_seconds = 7200;  ///< -1: never expires
  std::uint64_t max_store_bytes = 1ull << 30;
};

/// Fault::invalid_input names the member and what was expected: a typo in a manifest is one clear sentence. Unknown members
/// are refused with the nearest known name; null members count as absent (a twin patch deletes with them). Fault::conflict
/// for a schemaVersion of another major number than 1 (lastDesiredStatus 412).
Result<AgentConfig> parse_agent_config(const json::Value& desired);
Result<HubConfig> parse_hub_config(const json::Value& desired);

/// A whole manifest file: `{"modulesContent":{"$edgeAgent":{"properties.desired":{..}},..}}` (or `moduleContent`).
struct Manifest {
  std::map<std::string, json::Value> desired;  ///< module id -> desired properties, `$edgeAgent` and `$edgeHub` among them
  AgentConfig agent;                           ///< as by default, if the manifest has no `$edgeAgent`; likewise hub
  HubConfig hub;
};
/// Also `{"content":{"modulesContent":..}}`, and content keys that are dotted paths (`properties.desired.routes.r1`), laid
/// over `properties.desired`. Unknown members at the places the product reads are refused with the nearest known name;
/// modules' own desired properties are theirs. At least one module must be named.
Result<Manifest> parse_manifest(const json::Value& document);

}  // namespace nacelle::deployment
