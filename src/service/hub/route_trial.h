#pragma once
// Trying routes: which of them a message would take, why not, and what it would carry. Changes nothing.

#include "service/hub/routes.h"

namespace nacelle::hub {

/// A message from its JSON form, for trying routes: `{"body":..,"properties":{..},"systemProperties":{..}}`; a body that
/// is not a string is JSON, and then contentType and contentEncoding are those of JSON unless given.
Result<telemetry::Message> parse_sample_message(const json::Value& document);

/// `{"message":{..},"twin":{"tags","properties"},"source","route"}`, or the message alone. `route`: the name of one of `routes`, or
/// a route as in routes.json. Without `twin` it is what `twins` has of the message's connectionDeviceId.
///
/// Answers
/// `{"routes":[{"route","endpoint","enabled","matches","result","why","values","enriched"}],"fallback":{"enabled","takes"}}`:
/// `result` is `true`, `false`, `undefined` or `null`; `enriched` the properties the message would carry to that endpoint.
/// Fault::invalid_input for a mistake in the request, the route's own included; not_found for an unknown route.
Result<json::Value> try_routes(const json::Value& request, const Routes& routes, const route::TwinLookup& twins,
                               std::string_view hub);

}  // namespace nacelle::hub
