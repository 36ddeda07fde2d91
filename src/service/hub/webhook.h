#pragma once
// Webhooks: routes that POST batches of messages to an HTTPS address. Each has its own durable cursor, its own health and its
// own back-off; none waits for another. Delivery is at least once, in order within a partition.

#include <memory>
#include <string>
#include <vector>

#include "foundation/snapshot.h"
#include "foundation/task_scope.h"
#include "service/hub/commit_signal.h"
#include "service/hub/disk.h"
#include "service/hub/routes.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// How an endpoint fares; what `GET /endpoints` shows.
struct EndpointStatus {
  enum class Health {
    healthy,   ///< the last attempt went well, or there was none
    degraded,  ///< it fails, and is tried again
    dead,      ///< it has failed for five minutes; still tried, once a minute
  };
  std::string route;
  std::string endpoint;  ///< HubRoute::endpoint_name()
  Health health = Health::healthy;
  std::string why;                 ///< the last failure; empty when healthy
  std::uint64_t delivered = 0;     ///< messages, since the hub's start for a webhook, since ever for storage
  std::uint64_t failures = 0;      ///< attempts since the last one that went well
  std::uint64_t behind = 0;        ///< synced offsets not yet delivered or passed over
  std::uint64_t lost = 0;          ///< offsets that left the log before they were delivered
  std::uint64_t not_enriched = 0;  ///< properties for which messages had no room
};
std::string_view name_of(EndpointStatus::Health health);
/// Failing for longer than this, an endpoint is called dead.
inline constexpr std::chrono::minutes endpoint_dead_after{5};

class Webhooks {
 public:
  struct Parts {
    const storage::EventLog& log;
    storage::Database& tables;  ///< of open_capture_tables; used on disk.capture() only
    Disk& disk;
    CommitSignal& commits;
    const Clock& clock;
    const route::TwinLookup& twins;
    std::string hub;  ///< for `$iothubname`
    std::chrono::milliseconds first_back_off{1000};
  };
  Webhooks(Executor executor, Parts parts);
  ~Webhooks();

  /// Starts what `routes` want and is not running, ends what they want no more. A route new to the hub begins with messages from
  /// now on. Call again after a failure. Fault::conflict while another call is under way.
  awaitable<Result<>> follow(Routes routes);
  std::vector<EndpointStatus> status() const;  ///< Any thread.
  awaitable<void> close();

 private:
  class Stream;
  using Streams = std::vector<std::shared_ptr<Stream>>;
  awaitable<Result<>> change(Routes routes);

  const Executor executor_;
  const Parts parts_;
  std::atomic<bool> following_{false};
  Snapshot<Streams> streams_;
};

}  // namespace nacelle::hub
