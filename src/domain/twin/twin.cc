#include "domain/twin/twin.h"

#include <fmt/format.h>

namespace nacelle::twin {
namespace {

/// How a change marks the metadata it touches. The desired section alone carries $lastUpdatedVersion (wire facts 2.4).
struct Stamp {
  std::string time;
  std::optional<std::int64_t> version;

  void on(json::Object& metadata) const {
    metadata.set("$lastUpdated", time);
    if (version) metadata.set("$lastUpdatedVersion", *version);
  }
};

Stamp stamp_of(Timestamp now, std::optional<std::int64_t> version) { return {format_iso8601(now, 7), version}; }

/// Brings the metadata tree in line with the values after `patch` was merged: touched levels are stamped, deleted ones go.
void stamp_patch(json::Value& metadata, const json::Object& patch, const Stamp& stamp) {
  if (!metadata.is_object()) metadata = json::Object{};
  stamp.on(metadata.as_object());
  for (const auto& [key, value] : patch) {
    if (value.is_null()) {
      metadata.as_object().erase(key);
      continue;
    }
    json::Value& below = metadata.as_object()[key];
    if (value.is_object()) {
      stamp_patch(below, value.as_object(), stamp);
    } else {
      below = json::Object{};  // what was an object before has no members any more
      stamp.on(below.as_object());
    }
  }
}

json::Value without_server_members(const json::Value& values) {
  json::Value copy = values;
  if (copy.is_object()) {
    copy.as_object().erase("$metadata");
    copy.as_object().erase("$version");
  }
  return copy;
}

/// `patch` merged into nothing: what a replacement leaves, without its nulls.
json::Value without_nulls(const json::Value& patch) {
  json::Value result = json::Object{};
  json::merge_patch(result, patch);
  return result;
}

Result<> change_section(Section& section, const json::Value& patch, bool replace, std::string_view name, Timestamp now) {
  if (!patch.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", name, json::type_name(patch)));
  if (replace) section = Section{json::Object{}, json::Object{}, section.version};
  json::merge_patch(section.values, patch);
  TRY(check_limits(section.values, name));
  ++section.version;
  const bool versioned = name == "desired";
  stamp_patch(section.metadata, patch.as_object(), stamp_of(now, versioned ? std::optional(section.version) : std::nullopt));
  return {};
}

Result<std::optional<json::Value>> object_member(const json::Value& body, std::string_view key, std::string_view where) {
  TRY_LET(const json::Object* found, json::get_object_or_null(body, key, where));
  if (!found) return std::optional<json::Value>();
  return std::optional<json::Value>(without_server_members(*found));
}

}  // namespace

Twin make_twin(Timestamp now) {
  Twin twin;
  stamp_of(now, 1).on(twin.desired.metadata.as_object());
  stamp_of(now, std::nullopt).on(twin.reported.metadata.as_object());
  return twin;
}

Result<ServicePatch> parse_service_patch(const json::Value& body) {
  if (!body.is_object())
    return fail(Fault::invalid_input, fmt::format("twin: expected an object, found {}", json::type_name(body)));
  ServicePatch patch;
  TRY_LET(patch.tags, object_member(body, "tags", "twin"));
  TRY_LET(const json::Object* properties, json::get_object_or_null(body, "properties", "twin"));
  if (!properties) return patch;
  TRY_LET(patch.desired, object_member(*properties, "desired", "twin: properties"));
  return patch;
}

Result<Twin> apply(Twin twin, const ServicePatch& patch, bool replace, Timestamp now) {
  if (!patch.tags && !patch.desired) return twin;
  if (patch.tags) {
    if (replace)
      twin.tags = without_nulls(*patch.tags);
    else
      json::merge_patch(twin.tags, *patch.tags);
    TRY(check_limits(twin.tags, "tags"));
  }
  if (patch.desired) TRY(change_section(twin.desired, *patch.desired, replace, "desired", now));
  ++twin.version;
  ++twin.etag;
  return twin;
}

Result<Twin> apply_reported(Twin twin, const json::Value& patch, std::optional<std::int64_t> base_version, Timestamp now) {
  if (base_version && *base_version != twin.reported.version)
    return fail(Fault::conflict,
                fmt::format("reported properties are at version {}, the patch is for {}", twin.reported.version, *base_version));
  TRY(change_section(twin.reported, without_server_members(patch), false, "reported", now));
  ++twin.version;
  return twin;
}

json::Value desired_notification(const json::Value& patch, std::int64_t version) {
  json::Value notification = patch.is_object() ? patch : json::Object{};
  notification.as_object().set("$version", version);
  return notification;
}

json::Value device_view(const Twin& twin) {
  return json::Object{{"desired", desired_notification(twin.desired.values, twin.desired.version)},
                      {"reported", desired_notification(twin.reported.values, twin.reported.version)}};
}

}  // namespace nacelle::twin
