#pragma once
// EngineData: the Avro record of one classified reading, `turbofan.EngineData` (docs/formats/engine-data.md).

#include <string>
#include <string_view>

#include "codec/avro/encoder.h"
#include "domain/telemetry/message.h"
#include "service/turbofan/engine_memory.h"

namespace nacelle::turbofan {

struct EngineData {
  std::string correlation_id;
  std::string device;
  std::string created;  ///< ISO 8601, UTC
  std::string enqueued;
  SeenReading reading;  ///< with the prediction

  /// Tells a repeated delivery: the same correlation id and cycle.
  std::uint64_t identity() const { return message_hash(correlation_id + "/" + std::to_string(reading.cycle)); }
};

/// For turbofans as the tutorial has it; for another fleet with its channels in Body, in order.
std::string engine_data_schema(const ReadingForm& form = ReadingForm::turbofan());

/// Out of the router's full-record message. Fault::invalid_input says what is missing.
Result<EngineData> read_engine_data(const telemetry::Message& message, const ReadingForm& form = ReadingForm::turbofan());

void encode(Bytes& out, const EngineData& data);
Result<EngineData> decode_engine_data(avro::Decoder& from, std::size_t channels);

}  // namespace nacelle::turbofan
