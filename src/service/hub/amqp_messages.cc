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
  if (sent.value.is_null())
    message.body = sent.data;
  else if (const auto text = text_of(sent.value))
    message.body = *text;
  else if (const auto* binary = sent.value.as<amqp::Binary>())
    message.body = binary->bytes;
  else
    return fail(Fault::invalid_input, "the body: expected data or text");
  return message;
}

amqp::Instant instant_of(Timestamp time) {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count()};
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
