#pragma once
// Routes of the hub: which messages go to which storage container (DIR/routes.json; docs/formats/routes.md).

#include <chrono>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "domain/route/enrichment.h"
#include "domain/route/route.h"
#include "service/hub/file_name_format.h"
#include "storage/file/file.h"

namespace nacelle::hub {

enum class CaptureEncoding { avro, avro_deflate, json };
std::string_view name_of(CaptureEncoding encoding);  ///< `avro`, `avrodeflate`, `json`

/// Files of one container.
struct StorageSettings {
  std::string container;
  FileNameFormat file_name_format;
  std::chrono::seconds max_age{100};
  ByteCount max_bytes = 100_MiB;  ///< of messages, before encoding
  CaptureEncoding encoding = CaptureEncoding::avro_deflate;
};

/// Where batches of messages are POSTed.
struct WebhookSettings {
  std::string url;  ///< https; http to this machine only
  std::size_t max_batch = 100;
  std::chrono::seconds timeout{30};

  struct Place {
    bool tls = true;
    std::string host;
    std::uint16_t port = 443;
    std::string target;  ///< path and query
  };
  /// Fault::invalid_input for another scheme, or http to another machine.
  Result<Place> place() const;
};

struct HubRoute {
  enum class Source { device_messages, twin_changes, device_lifecycle, connection_state };
  enum class Endpoint { events, storage, webhook };

  std::string name;
  Source source = Source::device_messages;
  route::Condition condition;
  Endpoint endpoint = Endpoint::events;
  StorageSettings storage;  ///< of a storage endpoint
  WebhookSettings webhook;  ///< of a webhook endpoint
  bool enabled = true;
  std::vector<route::Enrichment> enrichments;  ///< those of its endpoint

  bool takes_from(telemetry::Source from) const;          ///< whether messages of that source are its own
  bool matches(const telemetry::Message& message) const;  ///< whether or not it is enabled; without a twin
  bool matches(route::Evaluation& evaluation) const;      ///< the same, where several routes see one message
  /// `storage:CONTAINER`, `webhook:URL without its query`, or `events`.
  std::string endpoint_name() const;
  /// Puts its enrichments on a message it took. Answers how many there was no room for.
  std::size_t enrich(telemetry::Message& message, const route::TwinLookup* twins, std::string_view hub) const;
};

HubRoute::Source source_of(telemetry::Source from);  ///< what a route must name to have messages of that kind
std::string_view name_of(HubRoute::Source source);   ///< `DeviceMessages`, ..
/// Fault::invalid_input begins with `where`.
Result<HubRoute::Source> parse_hub_source(const std::string& name, const std::string& where);

/// All that says where messages go. Reads like the list of its routes.
struct Routes {
  std::vector<HubRoute> list;
  /// A device's message that no enabled route takes goes to the built-in endpoint.
  bool fallback = true;
  std::vector<route::Enrichment> enrichments;

  auto begin() const { return list.begin(); }
  auto end() const { return list.end(); }
  std::size_t size() const { return list.size(); }
  const HubRoute& operator[](std::size_t i) const { return list[i]; }

  /// Whether an enabled route takes messages of that source, or the fallback does.
  bool take_from(telemetry::Source from) const;
  /// Whether the fallback takes it: a device's or module's message that no enabled route takes.
  bool falls_back(route::Evaluation& evaluation) const;
  /// Whether the built-in endpoint has it: by a route of its own, or by the fallback.
  bool events_have(route::Evaluation& evaluation) const;
  std::vector<route::Enrichment> enrichments_of(std::string_view endpoint) const;
};

/// The two containers of the tutorial, `devicedata` and `ruldata`, and the built-in `events`.
Routes default_routes();

/// `{"routes":[{"name","source","condition","endpoint":{"type":"storage","container",..},"enabled"}],"fallbackRoute":{"enabled"},
/// "enrichments":[{"key","value","endpointNames"}]}`. Fault::invalid_input names the route and the member; a container belongs to
/// one route only.
Result<Routes> parse_routes(const json::Value& document);
json::Value to_json(const Routes& routes);
/// One route of such a document. `index`: its place, for messages, as long as it has no name.
Result<HubRoute> parse_hub_route(const json::Value& document, std::size_t index = 0);
/// Fault::invalid_input if it is no object or has a member that is not known.
Result<> check_members(const json::Value& object, std::initializer_list<std::string_view> known, const std::string& where);

/// The file's routes, or the default ones (which are then written there).
Result<Routes> load_routes(const storage::fs::path& file, storage::FileSystem& files);
Result<> save_routes(const storage::fs::path& file, const Routes& routes, storage::FileSystem& files);

}  // namespace nacelle::hub
