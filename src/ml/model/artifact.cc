#include "ml/model/artifact.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "codec/digest/digest.h"
#include "foundation/binary.h"

namespace nacelle::model {

using binary::put;

namespace {

constexpr std::string_view magic = "NACMODEL";
constexpr std::uint32_t format_version = 1;
constexpr std::array<std::string_view, 3> part_names = {"manifest", "pipeline", "model"};
constexpr std::size_t name_bytes = 16;
constexpr std::size_t hash_bytes = 32;
constexpr std::size_t max_bins = 64;

Failure corrupt(std::string_view part, std::string_view what) {
  return fail(Fault::corrupt, fmt::format("model artifact: {}: {}", part, what));
}

json::Value to_array(const std::vector<double>& values) {
  json::Array array;
  for (const double value : values) array.emplace_back(value);
  return array;
}

/// To six digits, which come back to the same bits once they have been written.
json::Value to_rows(const Background& background) {
  json::Array rows;
  for (std::size_t r = 0; r < background.rows(); ++r) {
    json::Array row;
    for (const float value : background.row(r)) {
      const std::string text = fmt::format("{:.6g}", value);
      double number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      row.emplace_back(number);
    }
    rows.emplace_back(std::move(row));
  }
  return rows;
}

json::Value manifest_of(const Artifact& artifact) {
  json::Object manifest{{"name", artifact.name},
                        {"kind", kind_of(artifact.regressor)},
                        {"cap", artifact.cap},
                        {"intervals", json::Object{{"coverage", artifact.intervals.coverage},
                                                   {"edges", to_array(artifact.intervals.edges)},
                                                   {"low", to_array(artifact.intervals.low)},
                                                   {"high", to_array(artifact.intervals.high)}}},
                        {"provenance", artifact.provenance}};
  if (artifact.background.rows() > 0) manifest.set("background", to_rows(artifact.background));
  return manifest;
}

Result<std::vector<double>> read_numbers(const json::Value& object, std::string_view key) {
  const json::Value* found = object.find(key);
  if (!found || !found->is_array() || found->as_array().size() > max_bins)
    return corrupt("manifest", fmt::format("{}: expected numbers", key));
  std::vector<double> numbers;
  for (const json::Value& item : found->as_array()) {
    if (!item.is_number() || !std::isfinite(item.as_number())) return corrupt("manifest", fmt::format("{}: expected numbers", key));
    numbers.push_back(item.as_number());
  }
  return numbers;
}

Result<ConformalBins> read_intervals(const json::Value& manifest) {
  ConformalBins bins;
  const json::Value* found = manifest.find("intervals");
  if (!found || !found->is_object()) return corrupt("manifest", "intervals: expected an object");
  TRY_LET(bins.coverage, json::get_number(*found, "coverage", "manifest"));
  TRY_LET(bins.edges, read_numbers(*found, "edges"));
  TRY_LET(bins.low, read_numbers(*found, "low"));
  TRY_LET(bins.high, read_numbers(*found, "high"));
  const bool none = bins.edges.empty() && bins.low.empty() && bins.high.empty();
  if (!none && (bins.low.size() != bins.edges.size() + 1 || bins.high.size() != bins.low.size()))
    return corrupt("manifest", "intervals: expected one pair a bin");
  if (!std::is_sorted(bins.edges.begin(), bins.edges.end())) return corrupt("manifest", "intervals: expected ascending edges");
  return bins;
}

/// None in artifacts of before, and of models that need none.
Result<Background> read_background(const json::Value& manifest, std::size_t features) {
  Background background{.features = features, .values = {}};
  const json::Value* found = manifest.find("background");
  if (!found) return background;
  const auto wrong = [&] {
    return corrupt("manifest", fmt::format("background: expected 1 to {} rows of {} numbers", Background::max_rows, features));
  };
  if (!found->is_array() || found->as_array().empty() || found->as_array().size() > Background::max_rows) return wrong();
  for (const json::Value& row : found->as_array()) {
    if (!row.is_array() || row.as_array().size() != features) return wrong();
    for (const json::Value& item : row.as_array()) {
      const auto value = item.is_number() ? static_cast<float>(item.as_number()) : std::numeric_limits<float>::infinity();
      if (!std::isfinite(value)) return wrong();
      background.values.push_back(value);
    }
  }
  return background;
}

/// The three parts' bytes, their hashes checked.
Result<std::array<BytesView, 3>> split(BytesView bytes) {
  binary::Reader in{bytes};
  if (in.take_bytes(magic.size()) != magic) return corrupt("header", "this is not a Nacelle model");
  const auto version = in.take<std::uint32_t>();
  if (in.good && version != format_version)
    return corrupt("header", fmt::format("expected format version {}, found {}; a newer program made it", format_version, version));
  const auto count = in.take<std::uint32_t>();
  if (!in.good || count != part_names.size()) return corrupt("header", "it is cut off or damaged");
  if (bytes.size() < hash_bytes ||
      digest::sha256(bytes.substr(0, bytes.size() - hash_bytes)) != bytes.substr(bytes.size() - hash_bytes))
    return corrupt("file", "its SHA-256 does not match: it is cut off or damaged");
  std::array<BytesView, 3> parts;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const BytesView name = in.take_bytes(name_bytes);
    const auto offset = in.take<std::uint64_t>();
    const auto length = in.take<std::uint64_t>();
    const BytesView hash = in.take_bytes(hash_bytes);
    if (!in.good || name.substr(0, name.find('\0')) != part_names[p])
      return corrupt("header", fmt::format("expected the part '{}'", part_names[p]));
    if (offset > bytes.size() || length > bytes.size() - offset) return corrupt(part_names[p], "it lies outside the file");
    parts[p] = bytes.substr(offset, length);
    if (digest::sha256(parts[p]) != hash) return corrupt(part_names[p], "its SHA-256 does not match");
  }
  return parts;
}

Result<json::Value> parse_part(std::string_view name, BytesView bytes) {
  auto document = json::parse(bytes);
  if (!document) return corrupt(name, document.error().message);
  return document;
}

}  // namespace

std::size_t ConformalBins::bin_of(double predicted) const {
  return static_cast<std::size_t>(std::upper_bound(edges.begin(), edges.end(), predicted) - edges.begin());
}

Bytes encode_artifact(const Artifact& artifact) {
  const std::array<Bytes, 3> parts = {json::print(manifest_of(artifact)), json::print(artifact.pipeline.to_json()),
                                      encode(artifact.regressor)};
  Bytes out(magic);
  put(out, format_version);
  put(out, static_cast<std::uint32_t>(parts.size()));
  std::uint64_t offset = out.size() + parts.size() * (name_bytes + 2 * sizeof(std::uint64_t) + hash_bytes);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    Bytes name(part_names[p]);
    name.resize(name_bytes, '\0');
    out += name;
    put(out, offset);
    put(out, static_cast<std::uint64_t>(parts[p].size()));
    out += digest::sha256(parts[p]);
    offset += parts[p].size();
  }
  for (const Bytes& part : parts) out += part;
  out += digest::sha256(out);
  return out;
}

Result<Artifact> decode_artifact(BytesView bytes) {
  TRY_LET(const auto parts, split(bytes));
  TRY_LET(const json::Value manifest, parse_part(part_names[0], parts[0]));
  TRY_LET(const json::Value pipeline_document, parse_part(part_names[1], parts[1]));
  const auto as_corrupt = [](Error error) { return corrupt("manifest", error.message); };
  auto name = json::get_string(manifest, "name", "manifest");
  auto kind = json::get_string(manifest, "kind", "manifest");
  auto cap = json::get_number(manifest, "cap", "manifest");
  if (!name) return as_corrupt(name.error());
  if (!kind) return as_corrupt(kind.error());
  if (!cap) return as_corrupt(cap.error());
  if (!(*cap > 0 && std::isfinite(*cap))) return corrupt("manifest", "cap: expected a number above 0");
  auto intervals = read_intervals(manifest);
  if (!intervals) return as_corrupt(intervals.error());
  const json::Value* provenance = manifest.find("provenance");
  auto pipeline = feature::Pipeline::from_json(pipeline_document);
  if (!pipeline) return corrupt("pipeline", pipeline.error().message);
  auto regressor = decode(*kind, parts[2]);
  if (!regressor) return corrupt("model", regressor.error().message);
  if (feature_count(*regressor) != pipeline->feature_count())
    return corrupt(
        "model", fmt::format("it takes {} features, the pipeline makes {}", feature_count(*regressor), pipeline->feature_count()));
  TRY_LET(Background background, read_background(manifest, pipeline->feature_count()));
  return Artifact{.name = *name,
                  .cap = *cap,
                  .intervals = std::move(intervals).value(),
                  .provenance = provenance ? *provenance : json::Value(json::Object{}),
                  .pipeline = std::move(pipeline).value(),
                  .regressor = std::move(regressor).value(),
                  .background = std::move(background)};
}

}  // namespace nacelle::model
