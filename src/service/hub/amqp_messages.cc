#include "service/hub/amqp_messages.h"

#include <fmt/format.h>

namespace nacelle::hub {
namespace {

void put(telemetry::Message& message, std::string_view name, std::string_view value) {
  if (!value.empty()) message.system.set(name, value);
}

Timestamp time_of(amqp::Instant instant) {
  constexpr std::int64_t last_ms = 253'402'300'799'000;  // the year 9999: what clients mean by never does not fit a Timestamp
  const std::int64_t ms = std::clamp<std::int64_t>(instant.unix_ms, 0, last_ms);
  return Timestamp{std::chrono::milliseconds{ms}};
}

}  // namespace

std::optional<std::string> text_of(const amqp::Value& value) {
  if (value.as<std::string>() || value.as<amqp::Symbol>()) return std::string(value.text());
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* real = value.as<double>()) return fmt::format("{}", *real);
  if (const auto* uuid = value.as<amqp::Uuid>()) return amqp::id_text(*uuid);
  if (const auto* instant = value.as<amqp::Instant>()) return format_iso8601(time_of(*instant));
  if (const auto* natural = value.as<std::uint64_t>()) return std::to_string(*natural);
  if (const auto integer = value.integer()) return std::to_string(*integer);
  return std::nullopt;
}

Result<telemetry::Message> message_of(const amqp::Message& sent) {
  telemetry::Message message;
  put(message, "messageId", amqp::id_text(sent.message_id));
  put(message, "correlationId", amqp::id_text(sent.correlation_id));
  put(message, "userId", sent.user_id);
  put(message, "contentType", sent.content_type);
  put(message, "contentEncoding", sent.content_encoding);
  if (sent.absolute_expiry && sent.absolute_expiry->unix_ms > 0)
    put(message, "expiryTimeUtc", format_iso8601(time_of(*sent.absolute_expiry)));
  for (const auto& [key, value] : sent.application) {
    const auto text = text_of(value);
    if (key.text().empty() || (!text && !value.is_null()))
      return fail(Fault::invalid_input,
                  fmt::format("application property '{}': expected text, a number or a truth value", key.text()));
    if (key.text() == "iothub-ack")
      put(message, "ack", text.value_or(""));
    else if (!telemetry::only_server_sets(key.text()))
      message.application.set(key.text(), text.value_or(""));
  }
  TRY_LET(message.body, body_of(sent));
  return message;
}

Result<Bytes> body_of(const amqp::Message& sent) {
  if (sent.value.is_null()) return sent.data;
  if (auto text = text_of(sent.value)) return *std::move(text);
  if (const auto* binary = sent.value.as<amqp::Binary>()) return binary->bytes;
  return fail(Fault::invalid_input, "the body: expected data or text");
}

Result<telemetry::Message> device_message_of(const amqp::Message& sent) {
  TRY_LET(telemetry::Message message, message_of(sent));
  if (const std::string* output = message.application.find("iothub-outputname")) {
    message.system.set("outputName", std::string(*output));
    message.application.erase("iothub-outputname");
  }
  if (sent.creation) put(message, "iothub-creation-time-utc", format_iso8601(time_of(*sent.creation)));
  for (const char* name : {"iothub-interface-id", "dt-subject", "dt-dataschema"})
    put(message, name, amqp::text_at(sent.annotations, name));
  return message;
}

void put_properties(amqp::Message& to, const telemetry::Message& message) {
  const auto& system = message.system;
  if (const auto id = system.get("messageId"); !id.empty()) to.message_id = id;
  if (const auto id = system.get("correlationId"); !id.empty()) to.correlation_id = id;
  to.user_id = system.get("userId");
  to.to = system.get("to");
  to.content_type = system.get("contentType");
  to.content_encoding = system.get("contentEncoding");
  for (const auto& [name, value] : message.application) to.application.push_back({name, value});
}

amqp::Message devicebound_message(const telemetry::Message& message) {
  amqp::Message sent;
  put_properties(sent, message);
  if (const auto expiry = parse_iso8601(message.system.get("expiryTimeUtc"))) sent.absolute_expiry = instant_of(*expiry);
  if (const auto ack = message.system.get("ack"); !ack.empty()) sent.application.push_back({"iothub-ack", ack});
  sent.annotations = {{amqp::Symbol{"iothub-enqueuedtime"}, instant_of(message.enqueued_at)}};
  sent.data = message.body;
  return sent;
}

amqp::Instant instant_of(Timestamp time) {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count()};
}

net::AmqpCondition too_large() {
  return {conditions::too_large,
          fmt::format("a message has at most {} bytes, body and properties together", telemetry::max_message_bytes)};
}

net::AmqpCondition condition_of(const Error& error) {
  switch (error.fault) {
    case Fault::invalid_input: return {conditions::argument, error.message};
    case Fault::not_found: return {conditions::not_found, error.message};
    case Fault::denied: return {conditions::unauthorized, error.message};
    case Fault::exhausted: return {conditions::full, error.message};
    case Fault::conflict: return {conditions::stolen, error.message};
    case Fault::unavailable:
    case Fault::timed_out:
    case Fault::corrupt: break;
  }
  return {conditions::internal, error.message};
}

}  // namespace nacelle::hub
