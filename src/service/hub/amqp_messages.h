#pragma once
// Messages of AMQP clients as ours, and ours as they expect them (wire facts 7.3, 7.4).

#include "codec/amqp/message.h"
#include "domain/telemetry/message.h"
#include "net/amqp/server.h"

namespace nacelle::hub {

/// What a client sent: properties, application properties (`iothub-ack` is a system property) and the body. Names that only the
/// server sets are dropped. Fault::invalid_input: a property that has no text, or a body that is neither data nor text.
Result<telemetry::Message> message_of(const amqp::Message& sent);

/// What a device or module sent, likewise; and what only devices say: the output it is for, and annotations that are system
/// properties (wire facts 1.6).
Result<telemetry::Message> device_message_of(const amqp::Message& sent);

/// The body, of data, text or bytes. Fault::invalid_input: another one.
Result<Bytes> body_of(const amqp::Message& sent);

/// Properties of a message on its way to a client.
void put_properties(amqp::Message& to, const telemetry::Message& message);

/// A message to a device, as the device expects it.
amqp::Message devicebound_message(const telemetry::Message& message);

/// Text, numbers and truth values as text; nothing for all else.
std::optional<std::string> text_of(const amqp::Value& value);

amqp::Instant instant_of(Timestamp time);

/// The condition for a fault that nobody knows more about.
net::AmqpCondition condition_of(const Error& error);
net::AmqpCondition too_large();

namespace conditions {
inline constexpr const char* not_found = "amqp:not-found";
inline constexpr const char* unauthorized = "amqp:unauthorized-access";
inline constexpr const char* full = "amqp:resource-limit-exceeded";
inline constexpr const char* too_large = "amqp:link:message-size-exceeded";
inline constexpr const char* internal = "amqp:internal-error";
inline constexpr const char* argument = "com.microsoft:argument-error";
inline constexpr const char* unavailable = "com.microsoft:timeout";  ///< SDKs read it as HTTP's 503, and try again
inline constexpr const char* stolen = "amqp:link:stolen";
}  // namespace conditions

}  // namespace nacelle::hub
