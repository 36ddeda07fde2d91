#pragma once
// Capture files: Avro containers of captured messages (domain/telemetry/capture.h) that say which log offsets they hold.
// Format: docs/formats/capture-file.md.

#include "codec/avro/container.h"
#include "storage/log/event_log.h"

namespace nacelle::hub {

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

}  // namespace nacelle::hub
