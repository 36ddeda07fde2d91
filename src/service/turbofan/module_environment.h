#pragma once
// ModuleEnvironment: how a module learns who it is and where its gateway lies (wire facts 5.1): from the edge's variables
// and workload socket, or from a connection string.

#include <filesystem>
#include <functional>
#include <string>

#include "foundation/result.h"
#include "net/socket/stream.h"

namespace nacelle::turbofan {

struct ModuleEnvironment {
  std::string hub_name;  ///< in user names and tokens
  std::string device;
  std::string module;
  std::string generation;
  net::Endpoint gateway;          ///< MQTT over TLS
  std::string workload_socket;    ///< empty with a connection string
  std::string key;                ///< base64; with a connection string only
  std::filesystem::path ca_file;  ///< with a connection string only
  std::filesystem::path folder;   ///< the module's own, kept over restarts

  std::string client_id() const { return device + "/" + module; }
};

using Variables = std::function<const char*(const char* name)>;

/// `EdgeHubConnectionString` (or `IotHubConnectionString`) with `EdgeModuleCACertificateFile`, else the IOTEDGE_ variables;
/// the folder is NACELLE_MODULE_FOLDER or the working folder. Fault::invalid_input names the variable that is missing.
Result<ModuleEnvironment> read_environment(const Variables& variable);

/// A whole number out of a variable; `fallback` if it is absent or empty.
Result<std::int64_t> number_variable(const Variables& variable, const char* name, std::int64_t fallback, std::int64_t least,
                                     std::int64_t most);

}  // namespace nacelle::turbofan
