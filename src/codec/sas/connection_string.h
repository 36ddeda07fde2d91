#pragma once
// Connection strings: `HostName=h;DeviceId=d;SharedAccessKey=k[;ModuleId=m][;GatewayHostName=g]` and the service form.

#include <string>
#include <string_view>

#include "foundation/result.h"

namespace nacelle::sas {

struct ConnectionString {
  std::string host_name;  ///< may be `host:port`
  std::string device_id;  ///< empty in a service string
  std::string module_id;
  std::string gateway_host_name;
  std::string policy_name;  ///< SharedAccessKeyName; empty in a device string
  std::string shared_access_key;
  bool x509 = false;

  bool is_service() const { return !policy_name.empty(); }
};

/// `;` then the first `=`; names are case-sensitive; the last duplicate wins. Fault::invalid_input names the missing or
/// unknown part, never the key.
Result<ConnectionString> parse_connection_string(std::string_view text);
std::string print_connection_string(const ConnectionString& parts);

}  // namespace nacelle::sas
