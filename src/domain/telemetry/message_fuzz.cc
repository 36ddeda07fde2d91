// Any bytes as a record, a bag, a captured line, a topic and a user name: no crash, and what decodes encodes to the same record
// again.
#include <cstddef>
#include <cstdint>

#include "domain/telemetry/capture.h"
#include "domain/telemetry/message.h"
#include "domain/telemetry/record.h"
#include "domain/telemetry/topic.h"
#include "foundation/invariant.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacelle;
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  if (const auto message = telemetry::decode_record(bytes)) {
    const auto again = telemetry::decode_record(telemetry::encode_record(*message));
    INVARIANT(again && again->system == message->system && again->application == message->application &&
                  again->body == message->body && again->published == message->published,
              "a decoded record survives a round trip");
  }
  telemetry::RecordDecoder decoder;
  for (const BytesView record : {bytes, bytes.substr(0, size / 2), bytes, bytes}) {
    const auto alone = telemetry::decode_record(record);
    const auto in_turn = decoder.decode(record);
    INVARIANT(alone.has_value() == in_turn.has_value() &&
                  (!alone || telemetry::encode_record(*alone) == telemetry::encode_record(**in_turn)),
              "what was decoded before makes no difference");
  }
  telemetry::Message message;
  if (telemetry::read_property_bag(bytes, message)) {
    telemetry::Message again;
    const auto read = telemetry::read_property_bag(telemetry::print_property_bag(message, false), again);
    INVARIANT(read && again.application == message.application, "a printed bag reads back");
  }
  if (const auto captured = telemetry::read_capture_line(bytes)) {
    const std::string line = telemetry::print_capture_line(*captured);
    const auto again = telemetry::read_capture_line(line);
    INVARIANT(again && telemetry::print_capture_line(*again) == line, "a captured line prints to itself");
  }
  (void)telemetry::parse_publish_topic(bytes).has_value();
  (void)telemetry::parse_subscribe_topic(bytes).has_value();
  (void)telemetry::parse_user_name(bytes).has_value();
  return 0;
}
