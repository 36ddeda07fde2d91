#include "service/hub/capture_file.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view partition_key = "nacelle.partition";
constexpr std::string_view first_key = "nacelle.first_offset";
constexpr std::string_view next_key = "nacelle.next_offset";

Result<std::uint64_t> read_number(const avro::ContainerHeader& header, std::string_view name) {
  const Bytes* found = header.find(name);
  if (!found) return fail(Fault::corrupt, fmt::format("capture file: {} is missing in the header", name));
  const auto number = text::parse_integer(*found, name);
  if (!number || *number < 0) return fail(Fault::corrupt, fmt::format("capture file: {} is not a number", name));
  return static_cast<std::uint64_t>(*number);
}

}  // namespace

avro::Metadata to_metadata(const CaptureExtent& extent) {
  return {{std::string(partition_key), std::to_string(extent.partition)},
          {std::string(first_key), std::to_string(extent.first)},
          {std::string(next_key), std::to_string(extent.next)}};
}

Result<CaptureExtent> read_extent(const avro::ContainerHeader& header) {
  CaptureExtent extent;
  TRY_LET(const std::uint64_t partition, read_number(header, partition_key));
  extent.partition = static_cast<storage::Partition>(partition);
  TRY_LET(extent.first, read_number(header, first_key));
  TRY_LET(extent.next, read_number(header, next_key));
  return extent;
}

}  // namespace nacelle::hub
