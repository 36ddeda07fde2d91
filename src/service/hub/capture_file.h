#pragma once
// Capture files: Avro containers with the IoT Hub envelope (wire facts 6) and the log offsets they hold.
// Format: docs/formats/capture-file.md.

#include <string_view>

#include "codec/avro/container.h"
#include "domain/telemetry/message.h"
#include "storage/log/event_log.h"

namespace nacelle::hub {

extern const std::string_view capture_schema;

/// What a file says of itself: it holds every message of the partition, from `first` to before `next`, that its route
/// took.
struct CaptureExtent {
  storage::Partition partition = 0;
  storage::Offset first = 0;
  storage::Offset next = 0;
};

avro::Metadata to_metadata(const CaptureExtent& extent);
/// Fault::corrupt if one of the three is missing or no number.
Result<CaptureExtent> read_extent(const avro::ContainerHeader& header);

/// Appends the message as one record.
void encode_capture_record(Bytes& out, const telemetry::Message& message);

}  // namespace nacelle::hub
