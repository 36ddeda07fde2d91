#pragma once
// Hub: all of its parts, opened in order, served, and closed.
//
//   TRY_LET(auto hub, Hub::open(runtime.executor(), {.directory = dir, .host = "localhost"}, clock, storage::real_file_system()));
//   ... hub->found_at() ...
//   co_await hub->close();

#include <memory>
#include <optional>

#include "foundation/task_scope.h"
#include "net/http/server.h"
#include "net/tls/context.h"
#include "service/endpoint/hub_file.h"
#include "service/hub/amqp.h"
#include "service/hub/api.h"
#include "service/hub/hub_messages.h"
#include "service/hub/reach.h"
#include "service/hub/twins.h"

namespace nacelle::hub {

/// How much of the event log is kept for those that read it behind; the oldest goes first, read or not, but for what a capture has
/// still to write (docs/decisions/0247-nothing-acked-is-dropped-uncaptured.md).
struct Retention {
  ByteCount bytes = 64_GiB;  ///< of all partitions together; at least least_retained
  std::chrono::hours age{7 * 24};
};
/// With less, a partition would not hold a few of the largest messages.
constexpr ByteCount least_retained = 64_MiB;

inline constexpr storage::Partition usual_partitions = 4;

struct HubOptions {
  storage::fs::path directory;
  std::string host = "localhost";
  std::vector<std::string> aliases;  ///< further names and addresses that clients may spell it by
  std::string bind = "0.0.0.0";      ///< of the three TLS ports; metrics and plain MQTT are on loopback only
  std::uint16_t mqtts = 0;           ///< 0: any free one, as for all ports
  std::uint16_t https = 0;
  std::uint16_t amqps = 0;
  std::uint16_t metrics = 0;
  std::optional<std::uint16_t> mqtt;  ///< nothing: no plain MQTT
  bool open_namespace = false;        ///< any MQTT client, under the rules of `namespace.json` in the folder (docs/mqtt.md)
  bool allow_anonymous = false;       ///< there, clients without a user name too
  std::optional<storage::Partition> partitions;  ///< of the event log; nothing: those there are, of a new one usual_partitions
  UploadLimits uploads{};
  Retention retention{};
};

/// Close it before destroying it. What it has acknowledged survives a kill at any instant, before, during or after.
class Hub {
 public:
  /// Opens the data folder (made if absent), makes what is missing, listens, and writes hub.json. Blocks. Fault::conflict
  /// if another hub runs on the folder; Fault::unavailable names an address that is taken.
  static Result<std::unique_ptr<Hub>> open(Executor executor, HubOptions options, const Clock& clock, storage::FileSystem& files);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  /// What hub.json says.
  const endpoint::HubFile& found_at() const { return file_; }
  Services& services() { return *services_; }

  /// Ends every connection, call and task; with `flush_capture` what is acknowledged is then in complete files, without
  /// it the folder is as after a kill.
  awaitable<void> close(bool flush_capture = true);

 private:
  Hub(Executor executor, HubOptions options, const Clock& clock, storage::FileSystem& files);
  Result<> open_stores();
  Result<> open_parts();
  Result<> listen();
  Result<> open_kept_messages();
  Result<> listen_for_devices(const std::shared_ptr<net::TlsServerContext>& tls);
  Result<endpoint::OpenNamespace> read_open_namespace() const;
  Result<> listen_for_calls(const std::shared_ptr<net::TlsServerContext>& tls);
  Result<> open_fleet();
  std::vector<net::WebSocketRoute> websockets();
  Result<> write_hub_file();
  Result<endpoint::HubFile> describe() const;
  Result<> publish(const endpoint::HubFile& file) const;
  awaitable<void> keep_within_bounds();
  awaitable<void> start_webhooks();
  awaitable<void> sweep_messages();
  awaitable<void> keep_certificate_fresh();
  awaitable<net::HttpResponse> scrape(net::HttpRequest request);

  // In the order of use: what stands below borrows from what stands above.
  const Executor executor_;
  const HubOptions options_;
  const Clock& clock_;
  storage::FileSystem& files_;
  endpoint::HubFile file_;
  Counters counters_;
  std::unique_ptr<storage::FileLock> lock_;
  std::unique_ptr<Authority> authority_;
  std::optional<storage::Database> registry_tables_;
  std::optional<storage::Database> capture_tables_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<DeviceAuthorities> device_authorities_;
  std::unique_ptr<storage::ObjectStore> objects_;
  std::unique_ptr<Uploads> uploads_;
  std::optional<ServiceQueue> service_queue_;
  Reach reach_;
  std::unique_ptr<CloudToDevice> cloud_to_device_;
  Snapshot<Routes> routes_;
  std::unique_ptr<HubMessages> hub_messages_;  // the registry calls it on disk's strand, to the end
  std::unique_ptr<Twins> twins_;               // so is this
  std::unique_ptr<Fleet> fleet_;
  std::optional<Access> access_;
  std::unique_ptr<storage::EventLog> log_;  // its thread counts and answers
  std::optional<CommitSignal> commits_;
  Disk disk_;  // its threads run what is posted to the parts above
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<Webhooks> webhooks_;
  std::unique_ptr<Events> events_;
  std::unique_ptr<Methods> methods_;
  std::shared_ptr<KeptMessages> kept_;  // the log's answers hold it too
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<endpoint::DeviceEndpoint> endpoint_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<Amqp> amqp_;
  std::unique_ptr<Api> api_;
  std::shared_ptr<net::TlsServerContext> tls_;
  std::unique_ptr<net::HttpServer> https_;
  std::unique_ptr<net::HttpServer> metrics_;
  TaskScope tasks_;
};

}  // namespace nacelle::hub
