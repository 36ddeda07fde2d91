#pragma once
// Where pumps send: a module's input, over the local endpoint, and the hub, on behalf of whoever said it.

#include <memory>

#include "service/edge/pump.h"
#include "service/edge/scope_cache.h"
#include "service/edge/twin_link.h"
#include "service/endpoint/device_endpoint.h"

namespace nacelle::edge {

std::unique_ptr<Sink> input_sink(endpoint::DeviceEndpoint& endpoint, device::IdentityName module, std::string input);

/// Through the connection of {edge}/$edgeHub. A message of an identity that has left the scope is dropped and logged: the
/// hub would refuse it for ever, and everything behind it would wait.
std::unique_ptr<Sink> upstream_sink(std::shared_ptr<TwinLink> link, const ScopeCache& scope, device::DeviceId edge);

/// The message as a module gets it: with its time of arrival at the edge (property `iothub-enqueuedtime`).
telemetry::Message for_module(telemetry::Message message);
/// The message as the hub gets it: with `$.ctime`, the time of arrival at the edge, unless an earlier hop has set it.
telemetry::Message for_hub(telemetry::Message message);

}  // namespace nacelle::edge
