// Many devices and modules in one call (wire facts 2.3, bulk).
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

/// Puts the item's tags and desired properties in place of what there is, or merges them into it.
Result<> write_twin(Services& services, const device::IdentityName& name, const twin::ServicePatch& patch, bool replace) {
  if (!patch.tags && !patch.desired) return {};
  TRY_LET(twin::Twin twin, services.registry.twin(name));
  TRY_LET(const twin::Twin next, twin::apply(std::move(twin), patch, replace, services.clock.now()));
  if (!patch.desired) return services.registry.put_twin(name, next);
  return store_desired(services, name, next, replace ? next.desired.values : *patch.desired);
}

/// What `importMode` says, without its `IfMatchETag`.
enum class Mode { create, update, either, remove, update_twin };
struct ImportMode {
  Mode mode = Mode::create;
  bool if_match = false;
};
std::optional<ImportMode> read_mode(std::string_view text) {
  constexpr std::pair<std::string_view, Mode> modes[] = {{"create", Mode::create},
                                                         {"update", Mode::update},
                                                         {"createorupdate", Mode::either},
                                                         {"delete", Mode::remove},
                                                         {"updatetwin", Mode::update_twin}};
  std::string wanted = text::to_lower(text);
  constexpr std::string_view condition = "ifmatchetag";
  const bool if_match = wanted.ends_with(condition);
  if (if_match) wanted.resize(wanted.size() - condition.size());
  for (const auto& [name, mode] : modes)
    if (name == wanted && !(if_match && mode == Mode::create)) return ImportMode{mode, if_match};
  return std::nullopt;
}

std::string shown(const device::IdentityName& name) {
  return name.is_module() ? fmt::format("module '{}' of device '{}'", name.module.str(), name.device.str())
                          : fmt::format("device '{}'", name.device.str());
}

Refusal refusal_of(const Error& error, const ErrorKind& known) {
  return {error.fault == Fault::invalid_input ? kinds::argument_invalid : known, error.message};
}

std::optional<Refusal> remove(Services& services, const device::IdentityName& name) {
  const auto names = with_modules(services, name);
  if (const auto removed = services.registry.remove(name); !removed)
    return Refusal{kind_of(removed.error().fault), removed.error().message};
  cut_off(services, names, true, "deleted from the registry");
  return std::nullopt;
}

/// Creates the identity, or makes it what the item says, with tags and desired properties if it has some.
std::optional<Refusal> store(Services& services, const json::Value& item, const device::IdentityName& name,
                             const IdentityPtr& old) {
  auto identity = device::from_json(item, name);
  if (!identity) return Refusal{kinds::argument_invalid, identity.error().message};
  const auto patch = twin::parse_service_patch(item);
  if (!patch) return Refusal{kinds::argument_invalid, patch.error().message};
  if (const auto fits = check_twin(*patch); !fits) return Refusal{kinds::argument_invalid, fits.error().message};
  if (old) keep_credentials(*identity, *old, item);
  const bool enabled = identity->enabled;
  const auto stored = old ? services.registry.update(std::move(*identity)) : services.registry.create(std::move(*identity));
  const bool too_many = !stored && stored.error().fault == Fault::exhausted && name.is_module();
  if (!stored) return refusal_of(stored.error(), too_many ? kinds::too_many_modules : kind_of(stored.error().fault));
  if (old && !enabled) cut_off(services, with_modules(services, name), false, "disabled in the registry");
  if (old && enabled) recheck(services, name, "its credentials were changed in the registry");
  if (const auto written = write_twin(services, name, *patch, true); !written)
    return Refusal{kind_of(written.error().fault), written.error().message};
  return std::nullopt;
}

/// Merges the item's tags and desired properties into what there is; the identity stays as it is.
std::optional<Refusal> update_twin(Services& services, const json::Value& item, const device::IdentityName& name, bool if_match) {
  const auto patch = twin::parse_service_patch(item);
  if (!patch) return Refusal{kinds::argument_invalid, patch.error().message};
  const auto etag = json::get_string_or(item, "twinETag", "", "bulk item");
  if (!etag) return Refusal{kinds::argument_invalid, etag.error().message};
  const auto twin = services.registry.twin(name);
  if (!twin) return Refusal{kind_of(twin.error().fault), twin.error().message};
  if (if_match && !twin::etag_matches(*etag, twin->etag))
    return Refusal{kinds::precondition_failed, "the twin has another etag by now"};
  if (const auto written = write_twin(services, name, *patch, false); !written)
    return refusal_of(written.error(), kind_of(written.error().fault));
  return std::nullopt;
}

/// Does to one device or module what its `importMode` says.
std::optional<Refusal> run_item(Services& services, const json::Value& item, const device::IdentityName& name,
                                const std::string& mode_text) {
  const IdentityPtr old = services.registry.identities().find(name);
  const auto mode = read_mode(mode_text);
  if (!mode) return Refusal{kinds::argument_invalid, fmt::format("importMode '{}' is not known", mode_text.substr(0, 64))};
  const bool makes = mode->mode == Mode::create || mode->mode == Mode::either;
  if (name.is_module() && !services.registry.identities().find({name.device, {}}))
    return Refusal{kinds::device_not_found, fmt::format("device '{}' is not registered", name.device.str())};
  if (!old && !makes)
    return Refusal{name.is_module() ? kinds::module_not_found : kinds::device_not_found, shown(name) + " is not registered"};
  if (old && mode->mode == Mode::create)
    return Refusal{name.is_module() ? kinds::module_exists : kinds::device_exists, shown(name) + " exists"};
  if (mode->mode == Mode::update_twin) return update_twin(services, item, name, mode->if_match);
  const auto etag = json::get_string_or(item, "eTag", "", "bulk item");
  if (old && mode->if_match && (!etag || !twin::etag_matches(*etag, old->etag)))
    return Refusal{kinds::precondition_failed, "the identity has another etag by now"};
  return mode->mode == Mode::remove ? remove(services, name) : store(services, item, name, old);
}

Result<device::IdentityName> name_of(const json::Value& item) {
  device::IdentityName name;
  TRY_LET(const std::string device, json::get_string(item, "id", "bulk item"));
  TRY_LET(name.device, device::parse_device_id(device));
  const json::Value* module = item.find("moduleId");
  if (!module || module->is_null()) return name;
  TRY_LET(const std::string module_id, json::get_string(item, "moduleId", "bulk item"));
  TRY_LET(name.module, device::parse_module_id(module_id));
  return name;
}

}  // namespace

void keep_credentials(device::Identity& identity, const device::Identity& old, const json::Value& document) {
  const json::Value* authentication = document.find("authentication");
  if (!authentication || authentication->is_null()) {
    identity.authentication = old.authentication;
    identity.primary_key = old.primary_key;
    identity.secondary_key = old.secondary_key;
    identity.primary_thumbprint = old.primary_thumbprint;
    identity.secondary_thumbprint = old.secondary_thumbprint;
    return;
  }
  const auto given = [&](std::string_view key) {
    const json::Value* value = document.at_path({"authentication", "symmetricKey", key});
    return value && value->is_string() && !value->as_string().empty();
  };
  if (identity.authentication != device::Authentication::sas || old.authentication != device::Authentication::sas) return;
  if (!given("primaryKey")) identity.primary_key = old.primary_key;
  if (!given("secondaryKey")) identity.secondary_key = old.secondary_key;
}

std::optional<json::Object> import_item(Services& services, const json::Value& item) {
  const auto name = name_of(item);
  const auto mode = json::get_string_or(item, "importMode", "create", "bulk item");
  std::optional<Refusal> refusal;
  if (!name)
    refusal = Refusal{kinds::argument_invalid, name.error().message};
  else if (!mode)
    refusal = Refusal{kinds::argument_invalid, mode.error().message};
  else
    refusal = run_item(services, item, *name, *mode);
  if (!refusal) return std::nullopt;
  const auto device = json::get_string_or(item, "id", "", "bulk item");
  return json::Object{{"deviceId", device ? *device : std::string()},
                      {"moduleId", name && name->is_module() ? json::Value(name->module.str()) : json::Value()},
                      {"errorCode", refusal->kind.name},
                      {"errorStatus", std::to_string(refusal->kind.code)},
                      {"errorMessage", refusal->text},  // ours
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
