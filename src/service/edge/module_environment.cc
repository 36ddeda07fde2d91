#include "service/edge/module_environment.h"

#include <cstdlib>

namespace nacelle::edge {

std::map<std::string, std::string> environment_of(const deployment::ModuleSpec& spec, const ModuleSurroundings& around) {
  std::map<std::string, std::string> all;
  for (const char* name : {"PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "NACELLE_LOG"})
    if (const char* value = std::getenv(name)) all[name] = value;
  all["HOME"] = around.folder.string();
  all["NACELLE_MODULE_FOLDER"] = around.folder.string();
  all["RuntimeLogLevel"] = "info";
  for (const auto& [name, value] : spec.env) all[name] = value;
  all["IOTEDGE_WORKLOADURI"] = around.workload_uri;
  all["IOTEDGE_DEVICEID"] = around.edge;
  all["IOTEDGE_MODULEID"] = spec.name;
  all["IOTEDGE_MODULEGENERATIONID"] = around.generation_id;
  all["IOTEDGE_IOTHUBHOSTNAME"] = around.hub;
  all["IOTEDGE_GATEWAYHOSTNAME"] = around.gateway;
  all["IOTEDGE_AUTHSCHEME"] = "sasToken";
  all["IOTEDGE_APIVERSION"] = "2020-07-07";
  return all;
}

}  // namespace nacelle::edge
