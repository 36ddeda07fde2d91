#include "service/turbofan/router_logic.h"

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/json/value.h"

namespace nacelle::turbofan {

namespace {

/// The record in a body: the object, or the one element of an array.
struct Record {
  json::Value value;
  bool stripped = false;
};

Result<Record> read_record(const Bytes& body) {
  TRY_LET(json::Value value, json::parse(body, {.max_bytes = telemetry::max_message_bytes}));
  bool stripped = false;
  if (value.is_array()) {
    if (value.as_array().size() != 1)
      return fail(Fault::invalid_input, fmt::format("the body is an array of {} records; expected one", value.as_array().size()));
    json::Value only = std::move(value.as_array().front());
    value = std::move(only);
    stripped = true;
  }
  if (!value.is_object())
    return fail(Fault::invalid_input, fmt::format("the body is {}; expected an object", json::type_name(value)));
  return Record{std::move(value), stripped};
}

/// Shaped like a (version 8, RFC 9562) UUID, made from what was said, by whom, and its number, or else when it arrived.
std::string content_id(const telemetry::Message& message) {
  digest::Sha256 hash;
  hash.update(origin_of(message));
  hash.update("\n");
  const std::string_view number = message.system.get("messageId");
  hash.update(number.empty() ? message.application.get(enqueued_at_edge) : number);
  hash.update("\n");
  hash.update(message.body);
  std::string hex = hash.hex();
  hex[12] = '8';
  hex[16] = "89ab"[hex[16] & 3];
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20, 12));
}

/// The properties every message of this reading carries from here on.
telemetry::Message next_hop(const telemetry::Message& from) {
  telemetry::Message to;
  const std::string_view correlation = from.system.get("correlationId");
  to.system.set("correlationId", correlation.empty() ? content_id(from) : std::string(correlation));
  if (const std::string* id = from.system.find("messageId")) to.system.set("messageId", *id);
  to.system.set("contentType", "application/json");
  to.system.set("contentEncoding", "utf-8");
  for (const auto& [name, value] : from.application)
    if (name != enqueued_at_edge) to.application.set(name, value);
  if (!to.application.find(original_device)) {
    const std::string_view enqueued = from.application.get(enqueued_at_edge);
    const std::string_view created = from.system.get("iothub-creation-time-utc");
    to.application.set(original_device, from.device_id());
    to.application.set(original_enqueued, enqueued);
    to.application.set(original_created, created.empty() ? enqueued : created);
  }
  return to;
}

}  // namespace

std::string origin_of(const telemetry::Message& message) {
  // Only a module may speak for another: a leaf device that says it is someone else is not believed.
  const std::string_view said = message.module_id().empty() ? std::string_view() : message.application.get(original_device);
  return std::string(said.empty() ? message.device_id() : said);
}

Outgoing dead_letter(const telemetry::Message& message, std::string_view why) {
  telemetry::Message letter = next_hop(message);
  letter.body = message.body;
  const std::string* type = message.system.find("contentType");
  const std::string* encoding = message.system.find("contentEncoding");
  if (type)
    letter.system.set("contentType", *type);
  else
    letter.system.erase("contentType");
  if (encoding)
    letter.system.set("contentEncoding", *encoding);
  else
    letter.system.erase("contentEncoding");
  letter.application.set("DeadLetter", "true");
  letter.application.set("DeadLetterReason", why);
  return {std::string(output::dead), std::move(letter)};
}

Outgoing route_reading(const telemetry::Message& received) {
  telemetry::Message message = received;
  if (message.module_id().empty()) message.application.erase(original_device);
  auto record = read_record(message.body);
  if (!record) return dead_letter(message, record.error().message);
  if (record->value.find("PredictedRul"))
    return dead_letter(message, "the record has been classified already: it has a PredictedRul");
  telemetry::Message out = next_hop(message);
  out.body = record->stripped ? json::print(record->value) : message.body;
  return {std::string(output::classify), std::move(out)};
}

std::vector<Outgoing> route_prediction(const telemetry::Message& message, const ReadingForm& form) {
  auto record = read_record(message.body);
  if (!record) return {dead_letter(message, record.error().message)};
  const json::Value* rul = record->value.find("PredictedRul");
  if (!rul || !rul->is_number()) {
    const std::string_view why = message.application.get("ClassifierError");
    return {dead_letter(message, why.empty() ? "the classifier's answer has no PredictedRul" : why)};
  }
  telemetry::Message full = next_hop(message);
  full.body = record->stripped ? json::print(record->value) : message.body;
  const json::Value* cycle = form.cycle_in(record->value);
  telemetry::Message brief = next_hop(message);
  brief.body = json::print(json::Object{{"ConnectionDeviceId", origin_of(message)},
                                        {"CorrelationId", brief.system.get("correlationId")},
                                        {form.time, cycle ? *cycle : json::Value{}},
                                        {"PredictedRul", *rul}});
  std::vector<Outgoing> out;
  out.push_back({std::string(output::hub), std::move(brief)});
  out.push_back({std::string(output::avro), std::move(full)});
  return out;
}

}  // namespace nacelle::turbofan
