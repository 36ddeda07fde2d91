#pragma once
// What a module finds in its environment (wire facts 5.1), and nothing else of the edge's own.

#include <filesystem>
#include <map>
#include <string>

#include "domain/deployment/manifest.h"

namespace nacelle::edge {

struct ModuleSurroundings {
  std::string edge, hub;      ///< device id of the edge; the hub's name
  std::string gateway;        ///< host, or host:port, at which the local hub listens
  std::string workload_uri;   ///< of the module's own socket
  std::string generation_id;  ///< of its identity
  std::filesystem::path folder;
};

/// The manifest's `env`, then what the runtime says: that wins.
std::map<std::string, std::string> environment_of(const deployment::ModuleSpec& spec, const ModuleSurroundings& around);

}  // namespace nacelle::edge
