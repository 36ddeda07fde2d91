#pragma once
// RouteTable: the edge hub's routes, compiled: which endpoints get a message, at which priority, for how long.
// Pure; shared as a snapshot.

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "domain/deployment/manifest.h"
#include "domain/telemetry/message.h"

namespace nacelle::edge {

/// Where a message waits: `$upstream`, or one input of one module.
struct EndpointName {
  std::string module;  ///< empty: $upstream
  std::string input;
  bool upstream() const { return module.empty(); }
  std::string text() const { return upstream() ? "$upstream" : module + "/inputs/" + input; }
  auto operator<=>(const EndpointName&) const = default;
};

/// One queue of the store: an endpoint's messages of one priority (0 goes first).
struct QueueName {
  EndpointName endpoint;
  std::uint32_t priority = 0;
  auto operator<=>(const QueueName&) const = default;
};

struct Target {
  QueueName queue;
  std::int64_t time_to_live_seconds = 0;  ///< -1: for ever
};

class RouteTable {
 public:
  RouteTable() = default;
  explicit RouteTable(deployment::HubConfig config) : config_(std::move(config)) {}

  /// Each endpoint at most once, at the best priority among the routes that match (wire facts 5.8).
  std::vector<Target> targets(const telemetry::Message& message) const;
  const deployment::HubConfig& config() const { return config_; }

 private:
  deployment::HubConfig config_;
};

}  // namespace nacelle::edge
