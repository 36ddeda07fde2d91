#pragma once
// A message as an HTTP request or response carries it: system and application properties in headers (wire facts 2.11).

#include "domain/telemetry/message.h"
#include "net/http/message.h"

namespace nacelle::hub {

/// Takes one header, or one property of a batch, into the message; what is neither system nor application property is
/// HTTP's own.
void take_property(telemetry::Message& message, std::string_view name, std::string_view value);

/// The message of a request: properties from its headers, its body moved. `iothub-to` is the call's own address.
telemetry::Message take_message(net::HttpRequest& request);

/// A response that carries `message`: the headers that take_property reads. Application properties whose names cannot be
/// header names (RFC 9110 section 5.6.2) are left out.
net::HttpResponse message_response(const telemetry::Message& message);

}  // namespace nacelle::hub
