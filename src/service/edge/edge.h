#pragma once
// Edge: the whole edge runtime put together: local hub, agent, workload API, and the links to the hub.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "foundation/async.h"
#include "foundation/clock.h"
#include "service/edge/local_hub.h"
#include "service/edge/process_runner.h"
#include "service/edge/supervisor.h"

namespace nacelle::edge {

struct EdgeOptions {
  std::filesystem::path data;
  std::string connection;          ///< of an iotEdge device
  std::filesystem::path hub_ca;    ///< empty: the root known from an earlier start, else the system's store
  std::uint16_t mqtts = 8883;      ///< 0: any free one
  std::string host = "localhost";  ///< what modules and leaf devices call this edge
  std::string listen_on = "127.0.0.1";
  std::uint16_t hub_mqtts = 8883;
  std::filesystem::path programs;  ///< where modules' programs lie
  SupervisorRules rules;
};

class Edge {
 public:
  /// Starts everything; back when the local hub listens. A first start waits for the hub, trying again and again; later
  /// ones need no network. Fault::invalid_input: the connection string; denied: the hub does not know this device.
  /// `clock`, `files` and `processes` outlive the edge.
  static awaitable<Result<std::unique_ptr<Edge>>> start(Executor runtime, EdgeOptions options, const Clock& clock,
                                                        storage::FileSystem& files, ProcessRunner& processes);
  virtual ~Edge() = default;  ///< close() first
  virtual std::uint16_t mqtts() const = 0;
  virtual const std::string& device() const = 0;
  virtual bool offline() const = 0;  ///< the hub was not there at the start
  /// Stops modules, connections and stores, in this order.
  virtual awaitable<void> close() = 0;
};

}  // namespace nacelle::edge
