#include "service/turbofan/engine_data.h"

#include <fmt/format.h>

#include "service/turbofan/router_logic.h"

namespace nacelle::turbofan {

std::string engine_data_schema(const ReadingForm& form) {
  std::string schema = R"({"type":"record","name":"EngineData","namespace":"turbofan","fields":[)"
                       R"({"name":"CorrelationId","type":"string"},{"name":"ConnectionDeviceId","type":"string"},)"
                       R"({"name":"CreationTimeUtc","type":"string"},{"name":"EnqueuedTimeUtc","type":"string"},)"
                       R"({"name":"Body","type":{"type":"record","name":"EngineBody","fields":[{"name":"CycleTime","type":"long"})";
  for (const std::string& channel : form.channels)
    schema += fmt::format(R"(,{{"name":"{}","type":"double"}})", dataset::avro_name_of(channel));
  return schema + R"(,{"name":"PredictedRul","type":"double"}]}}]})";
}

Result<EngineData> read_engine_data(const telemetry::Message& message, const ReadingForm& form) {
  TRY_LET(const json::Value record, json::parse(message.body, {.max_bytes = telemetry::max_message_bytes}));
  EngineData data;
  TRY_LET(data.reading, read_reading(record, form));
  TRY_LET(data.reading.prediction, json::get_number(record, "PredictedRul", "record"));
  data.device = origin_of(message);
  if (data.device.empty()) return fail(Fault::invalid_input, "record: no device is named by the message's properties");
  data.correlation_id = message.system.get("correlationId");
  data.created = message.application.get(original_created);
  data.enqueued = message.application.get(original_enqueued);
  return data;
}

void encode(Bytes& out, const EngineData& data) {
  avro::Encoder encoder(out);
  encoder.put_string(data.correlation_id).put_string(data.device).put_string(data.created).put_string(data.enqueued);
  encoder.put_long(data.reading.cycle);
  for (const double value : data.reading.values) encoder.put_double(value);
  encoder.put_double(data.reading.prediction);
}

Result<EngineData> decode_engine_data(avro::Decoder& from, std::size_t channels) {
  EngineData data;
  for (std::string* text : {&data.correlation_id, &data.device, &data.created, &data.enqueued}) {
    TRY_LET(const std::string_view value, from.read_string());
    *text = value;
  }
  TRY_LET(data.reading.cycle, from.read_long());
  data.reading.values.resize(channels);
  for (double& value : data.reading.values) {
    TRY_LET(value, from.read_double());
  }
  TRY_LET(data.reading.prediction, from.read_double());
  return data;
}

}  // namespace nacelle::turbofan
