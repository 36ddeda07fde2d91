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

std::optional<std::uint64_t> digits(std::string_view text) {
  if (text.empty() || text.size() > 19 || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const auto number = text::parse_integer(text, "an offset");
  if (!number) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

}  // namespace

std::string avro_suffix(const CaptureExtent& extent) { return fmt::format("-{:012}.avro", extent.first); }

std::string json_suffix(const CaptureExtent& extent) {
  return fmt::format("-{:02}-{:012}-{:012}.json", extent.partition, extent.first, extent.next);
}

std::optional<CaptureExtent> read_json_suffix(std::string_view name) {
  if (!name.ends_with(".json")) return std::nullopt;
  const auto parts = text::split(name.substr(0, name.size() - 5), '-');
  if (parts.size() < 4) return std::nullopt;
  const auto last = [&parts](std::size_t back) { return digits(parts[parts.size() - back]); };
  const auto partition = last(3);
  const auto first = last(2);
  const auto next = last(1);
  if (!partition || !first || !next || *partition > 0xffff || *next < *first) return std::nullopt;
  return CaptureExtent{static_cast<storage::Partition>(*partition), *first, *next};
}

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
