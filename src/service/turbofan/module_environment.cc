#include "service/turbofan/module_environment.h"

#include <fmt/format.h>

#include "codec/sas/connection_string.h"
#include "codec/text/encoding.h"

namespace nacelle::turbofan {

namespace {

constexpr std::uint16_t mqtts_port = 8883;

std::string text_of(const Variables& variable, const char* name) {
  const char* value = variable(name);
  return value ? value : "";
}

Result<std::string> needed(const Variables& variable, const char* name) {
  std::string value = text_of(variable, name);
  if (value.empty())
    return fail(Fault::invalid_input, fmt::format("environment: {} is not set; this program is started by an edge", name));
  return value;
}

Result<ModuleEnvironment> from_connection_string(const std::string& text, const Variables& variable) {
  TRY_LET(const sas::ConnectionString parts, sas::parse_connection_string(text));
  if (parts.device_id.empty() || parts.module_id.empty() || parts.shared_access_key.empty())
    return fail(Fault::invalid_input, "EdgeHubConnectionString: expected HostName, DeviceId, ModuleId and SharedAccessKey");
  ModuleEnvironment found;
  found.hub_name = parts.host_name;
  found.device = parts.device_id;
  found.module = parts.module_id;
  found.key = parts.shared_access_key;
  found.ca_file = text_of(variable, "EdgeModuleCACertificateFile");
  const std::string& gateway = parts.gateway_host_name.empty() ? parts.host_name : parts.gateway_host_name;
  TRY_LET(found.gateway, in(net::parse_endpoint(gateway, mqtts_port), "EdgeHubConnectionString"));
  return found;
}

Result<ModuleEnvironment> from_edge(const Variables& variable) {
  ModuleEnvironment found;
  TRY_LET(const std::string workload, needed(variable, "IOTEDGE_WORKLOADURI"));
  constexpr std::string_view unix_scheme = "unix://";
  if (!workload.starts_with(unix_scheme))
    return fail(Fault::invalid_input, "environment: IOTEDGE_WORKLOADURI: expected unix:///path");
  found.workload_socket = workload.substr(unix_scheme.size());
  TRY_LET(found.device, needed(variable, "IOTEDGE_DEVICEID"));
  TRY_LET(found.module, needed(variable, "IOTEDGE_MODULEID"));
  TRY_LET(found.generation, needed(variable, "IOTEDGE_MODULEGENERATIONID"));
  TRY_LET(found.hub_name, needed(variable, "IOTEDGE_IOTHUBHOSTNAME"));
  TRY_LET(const std::string gateway, needed(variable, "IOTEDGE_GATEWAYHOSTNAME"));
  TRY_LET(found.gateway, in(net::parse_endpoint(gateway, mqtts_port), "environment: IOTEDGE_GATEWAYHOSTNAME"));
  TRY_LET(const std::string scheme, needed(variable, "IOTEDGE_AUTHSCHEME"));
  if (!text::equal_ignoring_case(scheme, "sasToken"))
    return fail(Fault::invalid_input, "environment: IOTEDGE_AUTHSCHEME: expected sasToken");
  return found;
}

}  // namespace

Result<ModuleEnvironment> read_environment(const Variables& variable) {
  std::string connection = text_of(variable, "EdgeHubConnectionString");
  if (connection.empty()) connection = text_of(variable, "IotHubConnectionString");
  auto found = connection.empty() ? from_edge(variable) : from_connection_string(connection, variable);
  if (!found) return found;
  found->folder = text_of(variable, "NACELLE_MODULE_FOLDER");
  if (found->folder.empty()) found->folder = ".";
  return found;
}

Result<std::int64_t> number_variable(const Variables& variable, const char* name, std::int64_t fallback, std::int64_t least,
                                     std::int64_t most) {
  const std::string value = text_of(variable, name);
  if (value.empty()) return fallback;
  TRY_LET(const std::int64_t number, in(text::parse_integer(value, name), "environment"));
  if (number < least || number > most)
    return fail(Fault::invalid_input, fmt::format("environment: {}: expected {} to {}, found {}", name, least, most, number));
  return number;
}

}  // namespace nacelle::turbofan
