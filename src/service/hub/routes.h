#pragma once
// Routes of the hub: which messages go to which storage container (DIR/routes.json; docs/formats/routes.md).

#include <chrono>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "domain/route/route.h"
#include "service/hub/file_name_format.h"
#include "storage/file/file.h"

namespace nacelle::hub {

/// Files of one container.
struct StorageSettings {
  std::string container;
  FileNameFormat file_name_format;
  std::chrono::seconds max_age{100};
  ByteCount max_bytes = 100_MiB;  ///< of messages, before encoding
  bool deflate = true;            ///< encoding `avrodeflate`, else `avro`
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

  bool matches(const telemetry::Message& message) const;  ///< whether or not it is enabled
  bool matches(route::Evaluation& evaluation) const;      ///< the same, where several routes see one message
  /// `storage:CONTAINER`, `webhook:URL without its query`, or `events`.
  std::string endpoint_name() const;
};

using Routes = std::vector<HubRoute>;

/// The two containers of the tutorial, `devicedata` and `ruldata`, and the built-in `events`.
Routes default_routes();

/// `{"routes":[{"name","source","condition","endpoint":{"type":"storage","container",..},"enabled"}]}`.
/// Fault::invalid_input names the route and the member; a container belongs to one route only.
Result<Routes> parse_routes(const json::Value& document);
json::Value to_json(const Routes& routes);

/// The file's routes, or the default ones (which are then written there).
Result<Routes> load_routes(const storage::fs::path& file, storage::FileSystem& files);
Result<> save_routes(const storage::fs::path& file, const Routes& routes, storage::FileSystem& files);

/// A message from its JSON form, for trying routes: `{"body":..,"properties":{..},"systemProperties":{..}}`; a body that
/// is not a string is JSON, and then contentType and contentEncoding are those of JSON unless given.
Result<telemetry::Message> parse_sample_message(const json::Value& document);

}  // namespace nacelle::hub
