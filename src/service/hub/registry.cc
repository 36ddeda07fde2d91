#include "service/hub/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/json/value.h"
#include "foundation/random.h"

namespace nacelle::hub {
namespace {

using device::Authentication;
using device::Identity;
using device::IdentityName;
using storage::Row;
using telemetry::Source;

constexpr std::string_view identity_columns =
    "device, module, generation, etag, enabled, status_reason, authentication, primary_key, secondary_key, "
    "primary_thumbprint, secondary_thumbprint, edge, scope, parent_scopes, managed_by, status_changed_at, model";

constexpr std::pair<Authentication, std::string_view> authentication_names[] = {
    {Authentication::sas, "sas"},
    {Authentication::self_signed, "selfSigned"},
    {Authentication::certificate_authority, "certificateAuthority"},
    {Authentication::none, "none"}};

std::string_view name_of(Authentication authentication) {
  for (const auto& [value, name] : authentication_names)
    if (value == authentication) return name;
  return "none";
}
Authentication authentication_of(std::string_view text) {
  for (const auto& [value, name] : authentication_names)
    if (name == text) return value;
  return Authentication::none;  // an unknown word lets nobody in
}

std::string print_scopes(const std::vector<std::string>& scopes) {
  json::Array array;
  for (const auto& scope : scopes) array.emplace_back(scope);
  return json::print(array);
}
Result<std::vector<std::string>> parse_scopes(const std::string& text) {
  TRY_LET(const json::Value array, json::parse(text));
  std::vector<std::string> scopes;
  if (array.is_array())
    for (const auto& scope : array.as_array())
      if (scope.is_string()) scopes.push_back(scope.as_string());
  return scopes;
}

Result<Identity> read_identity(const Row& row) {
  Identity identity;
  identity.name = {device::DeviceId(storage::text(row[0])), device::ModuleId(storage::text(row[1]))};
  identity.generation_id = storage::text(row[2]);
  identity.etag = storage::integer(row[3]);
  identity.enabled = storage::integer(row[4]) != 0;
  identity.status_reason = storage::text(row[5]);
  identity.authentication = authentication_of(storage::text(row[6]));
  identity.primary_key = storage::text(row[7]);
  identity.secondary_key = storage::text(row[8]);
  identity.primary_thumbprint = storage::text(row[9]);
  identity.secondary_thumbprint = storage::text(row[10]);
  identity.edge = storage::integer(row[11]) != 0;
  identity.scope = storage::text(row[12]);
  TRY_LET(identity.parent_scopes, parse_scopes(storage::text(row[13])));
  identity.managed_by = storage::text(row[14]);
  identity.status_changed_at = storage::text(row[15]);
  identity.model = storage::text(row[16]);
  return identity;
}

constexpr std::size_t longest_model = 256;  // the original takes 128 characters

Identity make_system_module(const Identity& edge, std::string_view module, std::string generation) {
  Identity made;
  made.name = {edge.name.device, device::ModuleId(module)};
  made.generation_id = std::move(generation);
  made.primary_key = sas::random_key();
  made.secondary_key = sas::random_key();
  made.managed_by = "IotEdge";
  return made;
}

std::string shown(const IdentityName& name) {
  return name.is_module() ? fmt::format("module '{}' of device '{}'", name.module.str(), name.device.str())
                          : fmt::format("device '{}'", name.device.str());
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(storage::Database& tables, const Clock& clock) {
  std::unique_ptr<Registry> registry(new Registry(tables, clock));
  TRY(registry->load());
  TRY_LET(registry->policies_, Policies::open(tables));
  TRY(registry->load_secret());
  return registry;
}

Result<> Registry::load() {
  TRY_LET(const auto rows, tables_.query(fmt::format("SELECT {} FROM identity", identity_columns)));
  for (const Row& row : rows) {
    TRY_LET(Identity identity, read_identity(row));
    identities_.put(std::move(identity));
  }
  return {};
}

Result<> Registry::load_secret() {
  TRY_LET(auto rows, tables_.query("SELECT value FROM meta WHERE name = 'secret'"));
  if (rows.empty()) {
    TRY(tables_.run("INSERT INTO meta VALUES ('secret', ?)", storage::Blob{secure_random(32)}));
    TRY_LET(rows, tables_.query("SELECT value FROM meta WHERE name = 'secret'"));
  }
  secret_ = storage::blob(rows[0][0]);
  return {};
}

/// Rises with time and never repeats: a device deleted and made again is another device.
std::string Registry::next_generation() {
  last_generation_ = std::max(last_generation_ + 1, static_cast<std::int64_t>(clock_.now().time_since_epoch().count()));
  return std::to_string(last_generation_);
}

Result<> Registry::insert(const Identity& identity) {
  TRY(tables_.run(
      fmt::format("INSERT INTO identity ({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", identity_columns),
      identity.name.device.str(), identity.name.module.str(), identity.generation_id, identity.etag, identity.enabled,
      identity.status_reason, name_of(identity.authentication), identity.primary_key, identity.secondary_key,
      identity.primary_thumbprint, identity.secondary_thumbprint, identity.edge, identity.scope,
      print_scopes(identity.parent_scopes), identity.managed_by, identity.status_changed_at, identity.model));
  TRY(tables_.run("INSERT INTO twin VALUES (?, ?, ?)", identity.name.device.str(), identity.name.module.str(),
                  twin::print_stored(twin::make_twin(clock_.now()))));
  return {};
}

Result<Identity> Registry::create(Identity identity) {
  if (identities_.find(identity.name)) return fail(Fault::conflict, shown(identity.name) + " exists already");
  if (identity.name.is_module()) {
    if (!identities_.find({identity.name.device, {}}))
      return fail(Fault::not_found, shown({identity.name.device, {}}) + " is not registered");
    if (identities_.modules_of(identity.name.device).size() >= max_modules)
      return fail(Fault::exhausted,
                  fmt::format("device '{}' has {} modules, the most a device may have", identity.name.device.str(), max_modules));
  }
  identity.generation_id = next_generation();
  identity.etag = 1;
  std::vector<Identity> made;
  if (identity.edge) {
    identity.scope = edge_scope(identity);
    for (const char* module : {"$edgeAgent", "$edgeHub"}) made.push_back(make_system_module(identity, module, next_generation()));
  }
  made.insert(made.begin(), identity);
  const auto write = [&]() -> Result<> {
    for (const Identity& one : made) TRY(insert(one));
    return {};
  };
  TRY(tables_.transaction(write));
  for (Identity& one : made) {
    const IdentityName name = one.name;
    if (watched(Source::device_lifecycle)) watcher_->created(one);
    identities_.put(std::move(one));
    tell(name);
  }
  return identity;
}

Result<Identity> Registry::update(Identity identity) {
  const IdentityPtr old = identities_.find(identity.name);
  if (!old) return fail(Fault::not_found, shown(identity.name) + " is not registered");
  identity.generation_id = old->generation_id;
  identity.etag = old->etag + 1;
  identity.status_changed_at = identity.enabled == old->enabled ? old->status_changed_at : format_iso8601(clock_.now());
  identity.model = old->model;
  std::vector<Identity> made;
  if (identity.edge) {
    identity.scope = edge_scope(identity);
    for (const char* module : {"$edgeAgent", "$edgeHub"})
      if (!identities_.find({identity.name.device, device::ModuleId(module)}))
        made.push_back(make_system_module(identity, module, next_generation()));
  }
  const auto write = [&]() -> Result<> {
    TRY(tables_.run(
        "UPDATE identity SET etag = ?, enabled = ?, status_reason = ?, authentication = ?, primary_key = ?, secondary_key = ?, "
        "primary_thumbprint = ?, secondary_thumbprint = ?, edge = ?, scope = ?, parent_scopes = ?, managed_by = ?, "
        "status_changed_at = ? "
        "WHERE device = ? AND module = ?",
        identity.etag, identity.enabled, identity.status_reason, name_of(identity.authentication), identity.primary_key,
        identity.secondary_key, identity.primary_thumbprint, identity.secondary_thumbprint, identity.edge, identity.scope,
        print_scopes(identity.parent_scopes), identity.managed_by, identity.status_changed_at, identity.name.device.str(),
        identity.name.module.str()));
    for (const Identity& one : made) TRY(insert(one));
    return {};
  };
  TRY(tables_.transaction(write));
  identities_.put(identity);
  for (Identity& one : made) {
    if (watched(Source::device_lifecycle)) watcher_->created(one);
    identities_.put(std::move(one));
  }
  tell(identity.name);
  return identity;
}

Result<> Registry::note_model(const IdentityName& name, const std::string& model) {
  const IdentityPtr old = identities_.find(name);
  if (!old || old->model == model) return {};
  if (model.size() > longest_model)
    return fail(Fault::invalid_input, fmt::format("a model id of {} bytes, at most {} are kept", model.size(), longest_model));
  TRY(tables_.run("UPDATE identity SET model = ? WHERE device = ? AND module = ?", model, name.device.str(), name.module.str()));
  Identity next = *old;
  next.model = model;
  identities_.put(std::move(next));
  tell(name);
  return {};
}

Result<> Registry::remove(const IdentityName& name) {
  const IdentityPtr removed = identities_.find(name);
  if (!removed) return fail(Fault::not_found, shown(name) + " is not registered");
  std::vector<std::pair<IdentityPtr, twin::Twin>> last;  // for whoever watches
  if (watched(Source::device_lifecycle)) {
    std::vector<IdentityPtr> going;
    if (!name.is_module()) going = identities_.modules_of(name.device);
    going.push_back(removed);
    for (const IdentityPtr& one : going) {
      auto twin = this->twin(one->name);  // a damaged one must not keep its device from being removed
      last.emplace_back(one, twin ? *std::move(twin) : twin::Twin());
    }
  }
  const std::string condition = name.is_module() ? " WHERE device = ? AND module = ?" : " WHERE device = ? AND ? = ''";
  const auto write = [&]() -> Result<> {
    for (const char* table : {"identity", "twin"})
      TRY(tables_.run(std::string("DELETE FROM ") + table + condition, name.device.str(), name.module.str()));
    if (!name.is_module()) TRY(tables_.run("DELETE FROM cloud_message WHERE device = ?", name.device.str()));
    return {};
  };
  TRY(tables_.transaction(write));
  if (!name.is_module())
    for (const IdentityPtr& module : identities_.modules_of(name.device)) {
      presence_.erase(module->name);
      identities_.erase(module->name);
      tell(module->name);
    }
  presence_.erase(name);
  identities_.erase(name);
  tell(name);
  for (const auto& [identity, twin] : last) watcher_->removed(*identity, twin);
  return {};
}

Result<std::vector<IdentityPtr>> Registry::devices(std::size_t limit) const {
  TRY_LET(const auto rows, tables_.query("SELECT device FROM identity WHERE module = '' ORDER BY device LIMIT ?", limit));
  std::vector<IdentityPtr> devices;
  for (const Row& row : rows)
    if (auto found = identities_.find({device::DeviceId(storage::text(row[0])), {}})) devices.push_back(std::move(found));
  return devices;
}

Result<std::vector<IdentityName>> Registry::names_after(const std::string& device, std::size_t limit) const {
  TRY_LET(const auto rows,
          tables_.query("SELECT device FROM identity WHERE module = '' AND device > ? ORDER BY device LIMIT ?", device, limit));
  std::vector<IdentityName> names;
  for (const Row& row : rows) names.push_back({device::DeviceId(storage::text(row[0])), {}});
  return names;
}

Result<std::vector<IdentityPtr>> Registry::children_of(const Identity& edge) const {
  const std::string scope = edge.scope;
  TRY_LET(const auto rows, tables_.query("SELECT device FROM identity WHERE module = '' AND device <> ? AND (scope = ? OR EXISTS "
                                         "(SELECT 1 FROM json_each(parent_scopes) WHERE value = ?)) ORDER BY device",
                                         edge.name.device.str(), scope, scope));
  std::vector<IdentityPtr> children;
  for (const Row& row : rows)
    if (auto found = identities_.find({device::DeviceId(storage::text(row[0])), {}})) children.push_back(std::move(found));
  return children;
}

Result<Registry::Counts> Registry::counts() const {
  TRY_LET(const auto rows, tables_.query("SELECT count(*), coalesce(sum(enabled), 0) FROM identity WHERE module = ''"));
  return Counts{storage::integer(rows[0][0]), storage::integer(rows[0][1])};
}

Result<twin::Twin> Registry::twin(const IdentityName& name) const {
  TRY_LET(const auto rows,
          tables_.query("SELECT document FROM twin WHERE device = ? AND module = ?", name.device.str(), name.module.str()));
  if (rows.empty()) return fail(Fault::not_found, shown(name) + " is not registered");
  return in(twin::parse_stored(storage::text(rows[0][0])), "the twin of " + shown(name));
}

Result<> Registry::put_twin(const IdentityName& name, const twin::Twin& twin) {
  std::optional<twin::Twin> before;
  if (watched(Source::twin_changes)) {
    TRY_LET(before, this->twin(name));
  }
  TRY_LET(const auto changed, tables_.run("UPDATE twin SET document = ? WHERE device = ? AND module = ?", twin::print_stored(twin),
                                          name.device.str(), name.module.str()));
  if (changed == 0) return fail(Fault::not_found, shown(name) + " is not registered");
  tell(name);
  if (before) watcher_->twin_changed(name, *before, twin);
  return {};
}

void Registry::note_connection(const IdentityName& name, bool connected) {
  if (!identities_.find(name)) return;
  auto& facts = presence_[name];
  const bool changes = facts.connected != connected;
  facts.connected = connected;
  facts.changed_at = facts.last_activity = clock_.now();
  if (changes && watched(Source::connection_state)) watcher_->connection_changed(name, connected);
}

void Registry::note_messages(const IdentityName& name, int waiting) {
  if (identities_.find(name)) presence_[name].cloud_to_device_messages = waiting;
}

void Registry::note_activity(const IdentityName& name) {
  if (identities_.find(name)) presence_[name].last_activity = clock_.now();
}

device::ConnectionFacts Registry::facts(const IdentityName& name) const {
  const auto at = presence_.find(name);
  return at == presence_.end() ? device::ConnectionFacts{} : at->second;
}

std::size_t Registry::connected_devices() const {
  return std::count_if(presence_.begin(), presence_.end(),
                       [](const auto& one) { return one.second.connected && !one.first.is_module(); });
}

}  // namespace nacelle::hub
