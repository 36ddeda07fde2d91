#include "service/edge/route_table.h"

#include <algorithm>

namespace nacelle::edge {

std::vector<Target> RouteTable::targets(const telemetry::Message& message) const {
  std::vector<Target> found;
  for (const deployment::EdgeRoute& route : config_.routes) {
    if (!route.route.source.matches(message) || !route.route.condition.matches(message)) continue;
    const route::Sink& sink = route.route.sink;
    const EndpointName endpoint = sink.upstream ? EndpointName{} : EndpointName{sink.module, sink.input};
    const std::int64_t life = route.time_to_live_seconds > 0 ? route.time_to_live_seconds : config_.time_to_live_seconds;
    const auto same = std::find_if(found.begin(), found.end(), [&](const Target& t) { return t.queue.endpoint == endpoint; });
    if (same == found.end()) {
      found.push_back({{endpoint, route.priority}, life});
    } else if (route.priority < same->queue.priority) {
      *same = {{endpoint, route.priority}, life};
    }
  }
  return found;
}

}  // namespace nacelle::edge
