// The twin as services see it, as it is stored, and its etags (wire facts 2.2, 2.4).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/twin/twin.h"

namespace nacelle::twin {
namespace {

constexpr std::string_view never = "0001-01-01T00:00:00Z";

json::Value section_document(const Section& section) {
  json::Value document = section.values;
  document.as_object().set("$metadata", section.metadata);
  document.as_object().set("$version", section.version);
  return document;
}

json::Value section_stored(const Section& section) {
  return json::Object{{"values", section.values}, {"metadata", section.metadata}, {"version", section.version}};
}

Result<json::Value> stored_object(const json::Value& document, std::string_view key) {
  TRY_LET(const json::Object* object, json::get_object_or_null(document, key, "stored twin"));
  if (!object) return fail(Fault::corrupt, fmt::format("stored twin: {} is missing", key));
  return json::Value(*object);
}

Result<Section> section_from(const json::Value& document, std::string_view key) {
  TRY_LET(const json::Value stored, stored_object(document, key));
  Section section;
  TRY_LET(section.values, stored_object(stored, "values"));
  TRY_LET(section.metadata, stored_object(stored, "metadata"));
  TRY_LET(section.version, json::get_integer(stored, "version", "stored twin"));
  return section;
}

Result<Twin> twin_from(std::string_view text) {
  TRY_LET(const json::Value document, json::parse(text));
  Twin twin;
  TRY_LET(twin.version, json::get_integer(document, "version", "stored twin"));
  TRY_LET(twin.etag, json::get_integer(document, "etag", "stored twin"));
  TRY_LET(twin.tags, stored_object(document, "tags"));
  TRY_LET(twin.desired, section_from(document, "desired"));
  TRY_LET(twin.reported, section_from(document, "reported"));
  return twin;
}

}  // namespace

json::Value routing_document(const Twin& twin, std::string_view device_id, std::string_view module_id) {
  json::Object document{{"deviceId", device_id}};
  if (!module_id.empty()) document.set("moduleId", module_id);
  document.set("tags", twin.tags);
  document.set("properties",
               json::Object{{"desired", section_document(twin.desired)}, {"reported", section_document(twin.reported)}});
  return document;
}

json::Value to_json(const Twin& twin, const Facts& facts) {
  json::Object out;
  out.set("deviceId", facts.device_id);
  if (!facts.module_id.empty()) out.set("moduleId", facts.module_id);
  out.set("etag", etag_text(twin.etag));
  out.set("deviceEtag", etag_text(facts.device_etag));
  out.set("status", facts.enabled ? "enabled" : "disabled");
  out.set("statusUpdateTime", facts.status_changed_at.empty() ? std::string(never) : facts.status_changed_at);
  out.set("connectionState", facts.connected ? "Connected" : "Disconnected");
  out.set("lastActivityTime", facts.last_activity == Timestamp{} ? std::string(never) : format_iso8601(facts.last_activity));
  out.set("cloudToDeviceMessageCount", facts.cloud_to_device_messages);
  out.set("authenticationType", facts.authentication_type);
  const auto text_or_null = [](const std::string& text) { return text.empty() ? json::Value() : json::Value(text); };
  out.set("x509Thumbprint", json::Object{{"primaryThumbprint", text_or_null(facts.primary_thumbprint)},
                                         {"secondaryThumbprint", text_or_null(facts.secondary_thumbprint)}});
  out.set("modelId", facts.model_id);
  out.set("version", twin.version);
  out.set("tags", twin.tags);
  out.set("properties", json::Object{{"desired", section_document(twin.desired)}, {"reported", section_document(twin.reported)}});
  if (!facts.module_id.empty()) return out;
  out.set("capabilities", json::Object{{"iotEdge", facts.edge}});
  out.set("deviceScope", facts.scope.empty() ? json::Value() : json::Value(facts.scope));
  json::Array parents;
  for (const std::string& scope : facts.parent_scopes) parents.emplace_back(scope);
  if (parents.empty() && !facts.scope.empty() && !facts.edge) parents.emplace_back(facts.scope);  // a leaf's
  out.set("parentScopes", std::move(parents));
  return out;
}

std::string print_stored(const Twin& twin) {
  return json::print(json::Object{{"version", twin.version},
                                  {"etag", twin.etag},
                                  {"tags", twin.tags},
                                  {"desired", section_stored(twin.desired)},
                                  {"reported", section_stored(twin.reported)}});
}

Result<Twin> parse_stored(std::string_view text) {
  auto twin = twin_from(text);
  if (!twin) return fail(Fault::corrupt, std::move(twin).error().message);
  return twin;
}

std::string etag_text(std::int64_t etag) {
  Bytes bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(static_cast<std::uint64_t>(etag) >> shift);
  return text::base64_encode(bytes);
}

bool etag_matches(std::string_view if_match, std::int64_t etag) {
  if_match = text::trim(if_match);
  if (if_match.starts_with("W/")) if_match.remove_prefix(2);
  if (if_match.size() >= 2 && if_match.starts_with('"') && if_match.ends_with('"'))
    if_match = if_match.substr(1, if_match.size() - 2);
  return if_match.empty() || if_match == "*" || if_match == etag_text(etag);
}

}  // namespace nacelle::twin
