// Many devices in one call (wire facts 2.3, bulk).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

constexpr std::size_t most_items = 100;

struct Refusal {
  ErrorKind kind;
  std::string text;
};

/// Before anything is written: an item is taken whole or not at all.
Result<> check_twin(const twin::ServicePatch& patch) {
  if (patch.tags) TRY(twin::check_limits(*patch.tags, "tags"));
  if (patch.desired) TRY(twin::check_limits(*patch.desired, "desired"));
  return {};
}

/// Puts the item's tags and desired properties in place of what there is.
Result<> write_twin(Services& services, const device::IdentityName& name, const twin::ServicePatch& patch) {
  if (!patch.tags && !patch.desired) return {};
  TRY_LET(twin::Twin twin, services.registry.twin(name));
  TRY_LET(const twin::Twin next, twin::apply(std::move(twin), patch, true, services.clock.now()));
  return patch.desired ? store_desired(services, name, next, next.desired.values) : services.registry.put_twin(name, next);
}

/// Creates, updates or deletes one device as its `importMode` says.
std::optional<Refusal> run_item(Services& services, const json::Value& item, const device::DeviceId& id, const std::string& mode) {
  const device::IdentityName name{id, {}};
  const IdentityPtr old = services.registry.identities().find(name);
  const bool deletes = mode == "delete" || mode == "deleteifmatchetag";
  const bool updates = mode == "update" || mode == "updateifmatchetag";
  const bool either = mode == "createorupdate" || mode == "createorupdateifmatchetag";
  if (!deletes && !updates && !either && mode != "create")
    return Refusal{kinds::argument_invalid, fmt::format("importMode '{}' is not known", mode)};
  if (!old && (deletes || updates)) return Refusal{kinds::device_not_found, fmt::format("device '{}' is not registered", id.str())};
  if (old && mode == "create") return Refusal{kinds::device_exists, fmt::format("device '{}' exists", id.str())};
  const auto etag = json::get_string_or(item, "eTag", "", "bulk item");
  if (old && mode.ends_with("ifmatchetag") && (!etag || !twin::etag_matches(*etag, old->etag)))
    return Refusal{kinds::precondition_failed, "the identity has another etag by now"};

  if (deletes) {
    const auto names = with_modules(services, name);
    if (const auto removed = services.registry.remove(name); !removed)
      return Refusal{kind_of(removed.error().fault), removed.error().message};
    cut_off(services, names, true, "deleted from the registry");
    return std::nullopt;
  }
  auto identity = device::from_json(item, name);
  if (!identity) return Refusal{kinds::argument_invalid, identity.error().message};
  const auto patch = twin::parse_service_patch(item);
  if (!patch) return Refusal{kinds::argument_invalid, patch.error().message};
  if (const auto fits = check_twin(*patch); !fits) return Refusal{kinds::argument_invalid, fits.error().message};
  const bool enabled = identity->enabled;
  const auto stored = old ? services.registry.update(std::move(*identity)) : services.registry.create(std::move(*identity));
  if (!stored) return Refusal{kind_of(stored.error().fault), stored.error().message};
  if (old && !enabled) cut_off(services, with_modules(services, name), false, "disabled in the registry");
  if (old && enabled) services.endpoint.recheck(name, "its credentials were changed in the registry");
  if (const auto written = write_twin(services, name, *patch); !written)
    return Refusal{kind_of(written.error().fault), written.error().message};
  return std::nullopt;
}

}  // namespace

std::optional<json::Object> import_item(Services& services, const json::Value& item) {
  const auto id_text = json::get_string(item, "id", "bulk item");
  const auto mode = json::get_string_or(item, "importMode", "create", "bulk item");
  const auto id = id_text ? device::parse_device_id(*id_text) : Result<device::DeviceId>(fail(id_text.error()));
  std::optional<Refusal> refusal;
  if (!id)
    refusal = Refusal{kinds::argument_invalid, id.error().message};
  else if (!mode)
    refusal = Refusal{kinds::argument_invalid, mode.error().message};
  else
    refusal = run_item(services, item, *id, text::to_lower(*mode));
  if (!refusal) return std::nullopt;
  return json::Object{{"deviceId", id_text ? *id_text : std::string()},
                      {"moduleId", nullptr},
                      {"errorCode", refusal->kind.name},
                      {"errorStatus", refusal->text},
                      {"operation", mode ? *mode : std::string()}};
}

net::HttpResponse bulk_devices(Services& services, const Call& call) {
  const auto document = call.json();
  if (!document) return services.error(document.error());
  if (!document->is_array() || document->as_array().empty() || document->as_array().size() > most_items)
    return services.error(kinds::argument_invalid, fmt::format("request body: expected an array of 1 to {} devices", most_items));
  json::Array errors;
  for (const auto& item : document->as_array())
    if (auto error = import_item(services, item)) errors.emplace_back(*std::move(error));
  const bool well = errors.empty();
  return json_answer(well ? 200 : 400,
                     json::Object{{"isSuccessful", well}, {"errors", std::move(errors)}, {"warnings", json::Array{}}});
}

}  // namespace nacelle::hub
