#pragma once
// Makes sure that devices are in a hub's registry, several at a time.

#include <functional>
#include <string>
#include <vector>

#include "domain/device/identity.h"
#include "foundation/async.h"
#include "service/endpoint/hub_client.h"

namespace nacelle::simulator {

/// A connection to the hub of one's own: each worker makes one.
using MakeHubClient = std::function<Result<endpoint::HubClient>()>;

/// The identities of `ids`, in their order; those missing are made, as children of the edge device `parent` if it is not
/// empty. The first fault ends it; Fault::not_found if `parent` is no edge device.
awaitable<Result<std::vector<device::Identity>>> register_devices(Executor executor, MakeHubClient make_client,
                                                                  std::vector<std::string> ids, std::string parent);

/// `prefix` and at least three digits: Client_001, Client_1000.
std::string device_name(const std::string& prefix, std::int64_t number);

}  // namespace nacelle::simulator
