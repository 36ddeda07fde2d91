#pragma once
// Capture files: captured messages (domain/telemetry/capture.h), in Avro containers or as lines of JSON, that say which log
// offsets they hold: Avro files in their header, JSON files, which have none, in their name. Format: docs/formats/capture-file.md.

#include <optional>

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

/// What stands behind the name that the format gives: `-{first}.avro`, or `-{partition}-{first}-{next}.json`.
std::string avro_suffix(const CaptureExtent& extent);
std::string json_suffix(const CaptureExtent& extent);
/// From a name that ends in json_suffix(); nothing if it does not.
std::optional<CaptureExtent> read_json_suffix(std::string_view name);

avro::Metadata to_metadata(const CaptureExtent& extent);
/// Fault::corrupt if one of the three is missing or no number.
Result<CaptureExtent> read_extent(const avro::ContainerHeader& header);

}  // namespace nacelle::hub
