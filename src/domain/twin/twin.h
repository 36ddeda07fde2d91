#pragma once
// Twins: tags, desired and reported properties with versions, etags and metadata. Pure rules; hub and edge share them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::twin {

/// Desired or reported properties: the values, their `$metadata` tree, and a version that rises with every change.
struct Section {
  json::Value values = json::Object{};
  json::Value metadata = json::Object{};
  std::int64_t version = 1;
};

struct Twin {
  std::int64_t version = 1;  ///< of the whole twin
  std::int64_t etag = 1;     ///< changes with tags and desired, not with reported
  json::Value tags = json::Object{};
  Section desired;
  Section reported;
};

/// A new twin's state. `now` fills the metadata.
Twin make_twin(Timestamp now);

/// What a service writes: any of the two sections may be missing.
struct ServicePatch {
  std::optional<json::Value> tags;
  std::optional<json::Value> desired;
};
/// Takes `tags` and `properties.desired` out of a PATCH or PUT body; drops `$metadata` and `$version`. What else a twin
/// document holds is ignored (wire facts 2.4). Fault::invalid_input names the member that is not an object.
Result<ServicePatch> parse_service_patch(const json::Value& body);

/// `twin` with `patch` merged in (RFC 7396), or, with `replace`, put in place of each section given. Versions rise by one,
/// also when nothing changed. Fault::invalid_input if a section would break the limits (wire facts 2.4).
Result<Twin> apply(Twin twin, const ServicePatch& patch, bool replace, Timestamp now);

/// `twin` with a device's reported patch merged in. `base_version`: the reported version the device thinks it patches;
/// Fault::conflict (412) if it is another; Fault::invalid_input if the patch is no object or breaks the limits.
Result<Twin> apply_reported(Twin twin, const json::Value& patch, std::optional<std::int64_t> base_version, Timestamp now);

/// Checks names, depth, lengths, integers and the section's size; `section` is "tags", "desired" or "reported". The
/// size is that of the compact JSON text. Fault::invalid_input names the place: "desired.rate: ...".
Result<> check_limits(const json::Value& values, std::string_view section);

/// What the device sees: `{"desired":{..,"$version":n},"reported":{..,"$version":m}}`.
json::Value device_view(const Twin& twin);
/// What a desired change sends: the patch (or, after a replacement, the whole) with `$version`.
json::Value desired_notification(const json::Value& patch, std::int64_t version);

/// The merge patch (RFC 7396) that makes `to` out of `from`; both objects. Members that begin with `$` are left out.
json::Value merge_difference(const json::Value& from, const json::Value& to);
/// What became of a twin, as a notice about it says (wire facts 7.4): the new version, and of each section that changed its patch
/// with `$version` and, of desired and reported, the `$metadata` of what the patch names.
json::Value change_document(const Twin& before, const Twin& after);
/// What routes and enrichments see as `$twin`: `{"deviceId","tags","properties":{"desired","reported"}}`.
json::Value routing_document(const Twin& twin, std::string_view device_id, std::string_view module_id);

/// Header of the REST document that does not belong to the twin itself.
struct Facts {
  std::string device_id;
  std::string module_id;
  std::int64_t device_etag = 1;
  bool enabled = true;
  bool connected = false;
  Timestamp last_activity{};
  std::string authentication_type = "sas";
  bool edge = false;
  std::string scope;
  std::vector<std::string> parent_scopes;
  std::string status_changed_at;  ///< ISO 8601; empty: never
  std::string primary_thumbprint;
  std::string secondary_thumbprint;
  std::string model_id;
  int cloud_to_device_messages = 0;
};
/// The REST document (wire facts 2.4).
json::Value to_json(const Twin& twin, const Facts& facts);

/// The twin as stored, and back. Fault::corrupt if it is not what print made.
std::string print_stored(const Twin& twin);
Result<Twin> parse_stored(std::string_view text);

/// The bare tag for an etag number, as in the JSON member `etag`: base64 of its 8 bytes big-endian (`AAAAAAAAAAE=`).
std::string etag_text(std::int64_t etag);
/// Whether an If-Match header value (`*`, `"*"`, `"tag"`, `tag` or empty) lets a change of this etag pass.
bool etag_matches(std::string_view if_match, std::int64_t etag);

}  // namespace nacelle::twin
