#include "service/endpoint/hub_file.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

namespace nacelle::endpoint {
namespace {

Result<std::uint16_t> port_member(const json::Value& document, std::string_view key, const std::string& where) {
  TRY_LET(const std::int64_t port, json::get_integer_or(document, key, 0, where));
  if (port < 0 || port > 65535)
    return fail(Fault::invalid_input, fmt::format("{}: {}: expected a port, found {}", where, key, port));
  return static_cast<std::uint16_t>(port);
}

Result<HubFile> read_document(const json::Value& document, const std::filesystem::path& file) {
  const std::string where = file.string();
  HubFile hub;
  TRY_LET(hub.host, json::get_string_or(document, "host", "localhost", where));
  TRY_LET(hub.mqtts, port_member(document, "mqtts", where));
  TRY_LET(hub.https, port_member(document, "https", where));
  TRY_LET(hub.metrics, port_member(document, "metrics", where));
  TRY_LET(hub.mqtt, port_member(document, "mqtt", where));
  TRY_LET(hub.amqps, port_member(document, "amqps", where));
  TRY_LET(const std::string ca, json::get_string_or(document, "ca", "certs/ca.pem", where));
  hub.ca_path = std::filesystem::path(ca).is_absolute() ? std::filesystem::path(ca) : file.parent_path() / ca;
  TRY_LET(hub.connection_string, json::get_string(document, "connectionString", where));
  if (hub.https == 0) return fail(Fault::invalid_input, fmt::format("{}: expected the member https, the hub's HTTPS port", where));
  return hub;
}

}  // namespace

Result<HubFile> read_hub_file(const std::filesystem::path& path) {
  std::error_code ignored;  // a path that cannot be asked about is reported below, when it does not open
  const std::filesystem::path file = std::filesystem::is_directory(path, ignored) ? path / "hub.json" : path;
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    return fail(Fault::not_found,
                fmt::format("{} cannot be read: is a hub running there? Start one with `nacelle hub --data DIR`, or name its "
                            "folder with --hub or NACELLE_HUB",
                            file.string()));
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  TRY_LET(const json::Value document, in(json::parse(text), file.string()));
  if (!document.is_object()) return fail(Fault::invalid_input, fmt::format("{}: expected an object", file.string()));
  return read_document(document, file);
}

std::filesystem::path default_hub_path() {
  const char* named = std::getenv("NACELLE_HUB");
  return named && *named ? named : "nacelle-data";
}

json::Value ready_line_document(const HubFile& hub) {
  return json::Object{
      {"host", hub.host},      {"mqtts", int{hub.mqtts}}, {"https", int{hub.https}},   {"metrics", int{hub.metrics}},
      {"mqtt", int{hub.mqtt}}, {"amqps", int{hub.amqps}}, {"ca", hub.ca_path.string()}};
}

json::Value hub_file_document(const HubFile& hub) {
  json::Value document = ready_line_document(hub);
  document.as_object().set("connectionString", hub.connection_string);
  return document;
}

}  // namespace nacelle::endpoint
