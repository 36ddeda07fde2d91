#pragma once
// hub.json: where a running hub is found and how it is trusted. The hub writes it (0600); commands, edge and simulator
// read it. The hub's ready line holds the same members except connectionString.
//
//   {"host":"localhost","mqtts":8883,"https":8443,"metrics":9600,"mqtt":0,"amqps":5671,"ca":"certs/ca.pem","connectionString":"HostName=..."}

#include <cstdint>
#include <filesystem>
#include <string>

#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::endpoint {

struct HubFile {
  std::string host = "localhost";
  std::uint16_t mqtts = 0;  ///< MQTT over TLS; 0: not served, as for all ports
  std::uint16_t https = 0;
  std::uint16_t metrics = 0;
  std::uint16_t mqtt = 0;         ///< MQTT without TLS, off by default
  std::uint16_t amqps = 0;        ///< AMQP over TLS
  std::filesystem::path ca_path;  ///< PEM of the hub's root; read_hub_file makes it absolute or relative to the caller
  std::string connection_string;  ///< of policy iothubowner: a secret, never logged
};

/// `path`: hub.json or the folder that holds it. Fault::not_found if there is none, saying how to start a hub;
/// Fault::invalid_input names the member that is missing or wrong.
Result<HubFile> read_hub_file(const std::filesystem::path& path);

/// Where commands look when no `--hub` is given: the environment's NACELLE_HUB, else ./nacelle-data.
std::filesystem::path default_hub_path();

/// The document as read_hub_file reads it; `ca_path` as it stands.
json::Value hub_file_document(const HubFile& hub);
/// The same without the connection string.
json::Value ready_line_document(const HubFile& hub);

}  // namespace nacelle::endpoint
