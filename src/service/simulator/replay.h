#pragma once
// Replays a fleet's recorded readings as telemetry: one MQTT connection an engine, in order, until every message is
// acknowledged; lost connections are taken up again where they were.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "foundation/async.h"
#include "foundation/clock.h"
#include "ml/dataset/fleet_table.h"
#include "net/socket/stream.h"
#include "net/tls/context.h"

namespace nacelle::simulator {

/// One engine's device: its identity and which rows of the table it sends.
struct Feed {
  std::string device_id;
  std::string key_base64;
  dataset::EngineRows rows;
};

/// Where the devices connect. Through a gateway, `endpoint` is the gateway's and `hub_name` still the hub's (wire facts 5.6).
struct Target {
  net::Endpoint endpoint;
  std::string server_name;  ///< for the TLS check; empty: endpoint.host
  std::shared_ptr<net::TlsClientContext> tls;
  std::string hub_name;
};

struct Progress {
  std::uint64_t total = 0;
  std::uint64_t sent = 0;
  std::uint64_t acked = 0;
  std::uint64_t reconnects = 0;
};

struct ReplayOptions {
  double messages_per_second = 0;                    ///< of each engine; 0: as fast as they are acknowledged
  std::chrono::seconds give_up_after{300};           ///< without a single acknowledgement
  std::function<void(const Progress&)> on_progress;  ///< some times a second
};

struct ReplaySummary {
  std::size_t engines = 0;
  Progress counts;
  double seconds = 0;
  bool complete() const { return counts.acked == counts.total; }
};

/// Fault::denied if a device is refused; Fault::timed_out if nothing is acknowledged for too long; Fault::unavailable if
/// cancelled. Each says how many messages were acknowledged.
awaitable<Result<ReplaySummary>> replay(Executor executor, const Clock& clock, Target target, std::vector<Feed> feeds,
                                        std::shared_ptr<const dataset::FleetTable> table, ReplayOptions options);

/// The JSON body of one row: CycleTime, OperationalSetting1..3, Sensor1..21; numbers in the shortest form that reads back
/// to the same bits; a silent value is left out.
std::string reading_body(const dataset::FleetTable& table, std::size_t row);

}  // namespace nacelle::simulator
