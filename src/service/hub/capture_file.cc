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

/// Avro strings are UTF-8 and readers insist on it; a property that a device percent-encoded from other bytes gets U+FFFD
/// for each of them.
std::string utf8(const std::string& value) {
  std::string_view rest = value;
  std::string mended;
  while (true) {
    const std::size_t good = text::valid_utf8_prefix(rest);
    mended.append(rest.substr(0, good));
    if (good == rest.size()) return mended;
    text::append_utf8(mended, 0xfffd);
    rest.remove_prefix(good + 1);
  }
}

void put_properties(avro::Encoder& record, const telemetry::Properties& properties) {
  if (!properties.empty()) record.put_count(properties.size());
  for (const auto& [name, value] : properties) record.put_string(utf8(name)).put_string(utf8(value));
  record.put_count(0);
}

}  // namespace

const std::string_view capture_schema =
    R"({"type":"record","name":"Message","namespace":"Microsoft.Azure.Devices","fields":[)"
    R"({"name":"EnqueuedTimeUtc","type":"string"},)"
    R"({"name":"Properties","type":{"type":"map","values":"string"}},)"
    R"({"name":"SystemProperties","type":{"type":"map","values":"string"}},)"
    R"({"name":"Body","type":["null","bytes"]}]})";

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

void encode_capture_record(Bytes& out, const telemetry::Message& message) {
  avro::Encoder record(out);
  record.put_string(format_iso8601(message.enqueued_at, 7));
  put_properties(record, message.application);
  put_properties(record, message.system);
  record.put_union(1).put_bytes(message.body);
}

}  // namespace nacelle::hub
