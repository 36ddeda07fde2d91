// What changed between two states of a twin.
#include "domain/twin/twin.h"

namespace nacelle::twin {
namespace {

bool is_meta(std::string_view name) { return name.starts_with('$'); }

/// The part of a `$metadata` tree that lies along `patch`.
json::Value metadata_along(const json::Value& metadata, const json::Value& patch) {
  if (!metadata.is_object()) return metadata;
  json::Object part;
  for (const auto& [name, value] : metadata.as_object()) {
    if (is_meta(name)) {
      part.set(name, value);
      continue;
    }
    const json::Value* change = patch.find(name);
    if (!change || change->is_null()) continue;
    part.set(name, change->is_object() ? metadata_along(value, *change) : value);
  }
  return part;
}

json::Value section_change(const Section& before, const Section& after) {
  json::Value change = merge_difference(before.values, after.values);
  json::Value metadata = metadata_along(after.metadata, change);
  change.as_object().set("$metadata", std::move(metadata));
  change.as_object().set("$version", after.version);
  return change;
}

}  // namespace

json::Value merge_difference(const json::Value& from, const json::Value& to) {
  json::Object patch;
  for (const auto& [name, value] : to.as_object()) {
    if (is_meta(name)) continue;
    const json::Value* before = from.find(name);
    if (before && *before == value) continue;
    if (before && before->is_object() && value.is_object())
      patch.set(name, merge_difference(*before, value));
    else
      patch.set(name, value);
  }
  for (const auto& [name, value] : from.as_object())
    if (!is_meta(name) && !to.find(name)) patch.set(name, nullptr);
  return patch;
}

json::Value change_document(const Twin& before, const Twin& after) {
  json::Object document{{"version", after.version}};
  if (before.tags != after.tags) document.set("tags", merge_difference(before.tags, after.tags));
  json::Object properties;
  if (before.desired.version != after.desired.version) properties.set("desired", section_change(before.desired, after.desired));
  if (before.reported.version != after.reported.version)
    properties.set("reported", section_change(before.reported, after.reported));
  if (!properties.empty()) document.set("properties", std::move(properties));
  return document;
}

}  // namespace nacelle::twin
