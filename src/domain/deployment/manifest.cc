#include "domain/deployment/manifest.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/deployment/detail/reader.h"

namespace nacelle::deployment {
namespace {

constexpr std::string_view content_keys[] = {"modulesContent", "moduleContent"};
constexpr std::string_view manifest_members[] = {"modulesContent", "moduleContent",   "content",  "id",     "schemaVersion",
                                                 "labels",         "targetCondition", "priority", "metrics"};
constexpr std::string_view desired_key = "properties.desired";

/// The object that maps module ids to their content.
Result<Reader> find_content(const Reader& document) {
  TRY(document.only(manifest_members));
  const Reader* at = &document;
  TRY_LET(const Reader inner, document.child("content"));
  if (document.find("content")) {
    TRY(inner.only(content_keys));
    at = &inner;
  }
  for (const std::string_view key : content_keys)
    if (at->find(key)) return at->child(key);
  return fail(Fault::invalid_input, fmt::format("{}: expected the member modulesContent", at->where()));
}

/// Sets `value` at a dotted path below `root`, making objects on the way.
void set_at(json::Value& root, std::string_view path, const json::Value& value) {
  json::Value* node = &root;
  for (const std::string_view step : text::split(path, '.')) {
    if (!node->is_object()) *node = json::Object{};
    node = &node->as_object()[step];
  }
  *node = value;
}

Result<json::Value> desired_of(const Reader& content, const std::string& module) {
  TRY_LET(const Reader section, content.child(module));
  json::Value desired = json::Object{};
  if (const json::Value* whole = section.find(desired_key)) {
    TRY_LET(const Reader object, Reader::of(*whole, section.path(desired_key)));
    desired = object.object();
  }
  for (const auto& [key, value] : section.object()) {
    if (key == desired_key) continue;
    const std::string prefix = std::string(desired_key) + '.';
    if (!key.starts_with(prefix) || key.size() == prefix.size())
      return fail(Fault::invalid_input,
                  fmt::format("{}: unknown member '{}', expected properties.desired or a path below it", section.where(), key));
    set_at(desired, std::string_view(key).substr(prefix.size()), value);
  }
  return desired;
}

}  // namespace

Result<Manifest> parse_manifest(const json::Value& document) {
  TRY_LET(const Reader whole, Reader::of(document, "manifest"));
  TRY_LET(const Reader content, find_content(whole));
  Manifest manifest;
  for (const auto& [module, value] : content.object()) {
    TRY_LET(manifest.desired[module], desired_of(content, module));
  }
  if (manifest.desired.empty())
    return fail(Fault::invalid_input, fmt::format("{}: expected modules such as $edgeAgent, found none", content.where()));
  if (const auto agent = manifest.desired.find("$edgeAgent"); agent != manifest.desired.end()) {
    TRY_LET(manifest.agent, in(parse_agent_config(agent->second), "manifest"));
  }
  if (const auto hub = manifest.desired.find("$edgeHub"); hub != manifest.desired.end()) {
    TRY_LET(manifest.hub, in(parse_hub_config(hub->second), "manifest"));
  }
  return manifest;
}

}  // namespace nacelle::deployment
