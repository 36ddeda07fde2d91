#include "service/hub/configurations.h"

#include <fmt/format.h>

#include "foundation/log.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

using deployment::Configuration;
using deployment::ContentKind;
using device::IdentityName;

// At a time, so that calls and devices are not kept waiting while a fleet is gone through.
constexpr std::size_t looked_at_once = 20;

Timestamp from_micros(std::int64_t micros) { return Timestamp{std::chrono::microseconds{micros}}; }
std::int64_t micros_of(Timestamp time) { return time.time_since_epoch().count(); }

}  // namespace

Result<std::unique_ptr<Configurations>> Configurations::open(Services& services) {
  std::unique_ptr<Configurations> configurations(new Configurations(services));
  TRY(configurations->load());
  for (const auto& [id, configuration] : configurations->known_) TRY(configurations->changed_targets(configuration));
  return configurations;
}

Result<> Configurations::load() {
  TRY_LET(const auto rows, services_.tables.query("SELECT id, document, created_at, updated_at, etag FROM configuration"));
  for (const storage::Row& row : rows) {
    TRY_LET(const json::Value document, json::parse(storage::text(row[1])));
    TRY_LET(Configuration configuration,
            in(deployment::parse_configuration(document, storage::text(row[0])), "stored configuration"));
    configuration.created_at = from_micros(storage::integer(row[2]));
    configuration.updated_at = from_micros(storage::integer(row[3]));
    configuration.etag = storage::integer(row[4]);
    known_.insert_or_assign(configuration.id, std::move(configuration));
  }
  return {};
}

Result<> Configurations::store(const Configuration& configuration) {
  TRY(services_.tables.run("INSERT OR REPLACE INTO configuration VALUES (?, ?, ?, ?, ?, ?)", configuration.id,
                           json::print(deployment::to_json(configuration)), configuration.priority,
                           micros_of(configuration.created_at), micros_of(configuration.updated_at), configuration.etag));
  return {};
}

const Configuration* Configurations::find(const std::string& id) const {
  const auto at = known_.find(id);
  return at == known_.end() ? nullptr : &at->second;
}

std::vector<const Configuration*> Configurations::all() const {
  std::vector<const Configuration*> all;
  for (const auto& [id, configuration] : known_) all.push_back(&configuration);
  return all;
}

Result<> Configurations::create(Configuration configuration) {
  if (known_.contains(configuration.id)) return fail(Fault::conflict, fmt::format("configuration '{}' exists", configuration.id));
  if (known_.size() >= max_configurations)
    return fail(Fault::exhausted, fmt::format("there are {} configurations, the most there may be", max_configurations));
  configuration.created_at = configuration.updated_at = services_.clock.now();
  TRY(store(configuration));
  const std::string id = configuration.id;
  known_.insert_or_assign(id, std::move(configuration));
  return changed_targets(known_.at(id));
}

Result<> Configurations::update(Configuration configuration) {
  const auto at = known_.find(configuration.id);
  if (at == known_.end()) return fail(Fault::not_found, fmt::format("configuration '{}' is not there", configuration.id));
  if (!(configuration.content == at->second.content))
    return fail(Fault::invalid_input,
                "configuration: content: it cannot be changed; make another configuration with a higher priority");
  configuration.created_at = at->second.created_at;
  configuration.updated_at = services_.clock.now();
  configuration.etag = at->second.etag + 1;
  TRY(store(configuration));
  at->second = std::move(configuration);
  return changed_targets(at->second);
}

Result<> Configurations::remove(const std::string& id) {
  const auto at = known_.find(id);
  if (at == known_.end()) return fail(Fault::not_found, fmt::format("configuration '{}' is not there", id));
  TRY(services_.tables.run("DELETE FROM configuration WHERE id = ?", id));
  const Configuration removed = std::move(at->second);
  known_.erase(at);
  return changed_targets(removed);
}

/// Whom it is for now, and whom it was for.
Result<> Configurations::changed_targets(const Configuration& configuration) {
  TRY_LET(const auto rows,
          services_.tables.query("SELECT device, module FROM configuration_target WHERE configuration = ?", configuration.id));
  for (const storage::Row& row : rows)
    waiting_.insert({device::DeviceId(storage::text(row[0])), device::ModuleId(storage::text(row[1]))});
  if (known_.contains(configuration.id)) {
    TRY_LET(const auto names, services_.fleet.queries.select(configuration.target));
    waiting_.insert(names.begin(), names.end());
  }
  schedule();
  return {};
}

void Configurations::changed(const IdentityName& name) {
  if (known_.empty()) return;
  waiting_.insert(name);
  schedule();
}

void Configurations::schedule() {
  if (scheduled_ || stopped_ || waiting_.empty()) return;
  scheduled_ = true;
  asio::post(services_.disk.tables(), [this] {
    scheduled_ = false;
    look_at_some(looked_at_once);
    schedule();
  });
}

void Configurations::settle() {
  // Applying changes twins, which are then looked at again: this ends because what is in place is not written again.
  while (!waiting_.empty() && !stopped_) look_at_some(waiting_.size());
}

void Configurations::look_at_some(std::size_t most) {
  for (std::size_t i = 0; i < most && !waiting_.empty() && !stopped_; ++i) {
    const IdentityName name = std::move(waiting_.extract(waiting_.begin()).value());
    if (const auto done = look_at(name); !done)
      log::warn("hub", "configurations of '{}': {}", name.client_id(), done.error().message);
  }
}

Result<std::vector<const Configuration*>> Configurations::matching(const IdentityName& name, ContentKind kind) {
  std::vector<const Configuration*> found;
  for (const auto& [id, configuration] : known_) {
    if (configuration.kind != kind) continue;
    TRY_LET(const auto names, services_.fleet.queries.select(configuration.target, &name));
    if (!names.empty()) found.push_back(&configuration);
  }
  std::sort(found.begin(), found.end(), [](const Configuration* a, const Configuration* b) { return deployment::weaker(*a, *b); });
  return found;
}

Result<> Configurations::look_at(const IdentityName& name) {
  std::map<std::string, bool> states;  // id -> whether it is in effect
  const IdentityPtr identity = services_.registry.identities().find(name);
  if (identity) {
    const ContentKind kind = name.is_module() ? ContentKind::module : ContentKind::device;
    TRY_LET(const auto for_twin, matching(name, kind));
    TRY(apply_to_twin(name, for_twin, states));
    if (identity->edge && !name.is_module()) {
      TRY_LET(const auto for_edge, matching(name, ContentKind::edge));
      TRY(apply_to_edge(name, for_edge, states));
    }
  }
  return record(name, states);
}

Result<> Configurations::apply_to_twin(const IdentityName& name, const std::vector<const Configuration*>& matching,
                                       std::map<std::string, bool>& states) {
  if (matching.empty()) return {};
  TRY_LET(const twin::Twin twin, services_.registry.twin(name));
  const deployment::Effect effect = deployment::effect_on_twin(matching, twin.desired.values);
  const auto applied = bring_desired_to(services_, name, effect.content);
  for (std::size_t i = 0; i < matching.size(); ++i) states[matching[i]->id] = applied && effect.in_effect[i];
  if (!applied) log::warn("hub", "configurations of '{}' were not applied: {}", name.client_id(), applied.error().message);
  return {};
}

Result<> Configurations::apply_to_edge(const IdentityName& name, const std::vector<const Configuration*>& matching,
                                       std::map<std::string, bool>& states) {
  const deployment::Effect effect = deployment::effect_on_edge(matching);
  Result<> applied;
  if (!effect.content.is_null()) applied = deploy(services_, name.device, effect.content);
  for (std::size_t i = 0; i < matching.size(); ++i) states[matching[i]->id] = applied && effect.in_effect[i];
  if (!applied) log::warn("hub", "the deployment for '{}' was not applied: {}", name.client_id(), applied.error().message);
  return {};
}

Result<> Configurations::record(const IdentityName& name, const std::map<std::string, bool>& states) {
  TRY_LET(const auto rows,
          services_.tables.query("SELECT configuration, status FROM configuration_target WHERE device = ? AND module = ?",
                                 name.device.str(), name.module.str()));
  std::map<std::string, bool> recorded;
  for (const storage::Row& row : rows) recorded[storage::text(row[0])] = storage::text(row[1]) == "Applied";
  if (recorded == states) return {};
  const auto write = [&]() -> Result<> {
    TRY(services_.tables.run("DELETE FROM configuration_target WHERE device = ? AND module = ?", name.device.str(),
                             name.module.str()));
    for (const auto& [id, applied] : states)
      TRY(services_.tables.run("INSERT INTO configuration_target VALUES (?, ?, ?, ?)", id, name.device.str(), name.module.str(),
                               applied ? "Applied" : "Targeted"));
    return {};
  };
  return services_.tables.transaction(write);
}

Result<std::int64_t> Configurations::count(std::string_view sql, const std::string& id) {
  TRY_LET(const auto rows, services_.tables.query(sql, id));
  return storage::integer(rows[0][0]);
}

Result<json::Value> Configurations::document(const Configuration& configuration) {
  json::Object out = deployment::to_json(configuration);
  json::Object results;
  for (const auto& [name, text] : configuration.metrics) {
    TRY_LET(const std::int64_t rows, services_.fleet.queries.count(text));
    results.set(name, rows);
  }
  out["metrics"].as_object().set("results", std::move(results));

  struct SystemMetric {
    const char* name;
    const char* condition;  // of the query that people may run themselves
    const char* sql;
  };
  // An edge has reported on a deployment when its agent has seen the desired properties as they are now (wire facts 5.5).
  constexpr const char* agents =
      " FROM configuration_target c JOIN twin a ON a.device = c.device AND a.module = '$edgeAgent' WHERE c.configuration = ? AND "
      "c.status = 'Applied' AND a.document ->> '$.reported.values.lastDesiredVersion' = a.document ->> '$.desired.version' AND "
      "a.document ->> '$.reported.values.lastDesiredStatus.code' ";
  const std::string well = std::string("SELECT count(*)") + agents + "= 200";
  const std::string badly = std::string("SELECT count(*)") + agents + "<> 200";
  const SystemMetric metrics[] = {
      {"targetedCount", "status IN ['Targeted', 'Applied']", "SELECT count(*) FROM configuration_target WHERE configuration = ?"},
      {"appliedCount", "status = 'Applied'",
       "SELECT count(*) FROM configuration_target WHERE configuration = ? AND status = 'Applied'"},
      {"reportedSuccessfulCount", nullptr, well.c_str()},
      {"reportedFailedCount", nullptr, badly.c_str()}};
  json::Object queries;
  json::Object counts;
  const char* source = configuration.kind == ContentKind::module ? "devices.modules" : "devices";
  for (const SystemMetric& metric : metrics) {
    if (!metric.condition && configuration.kind != ContentKind::edge) continue;
    queries.set(metric.name, metric.condition
                                 ? fmt::format("SELECT deviceId FROM {} WHERE configurations.[[{}]].{}", source, configuration.id,
                                               metric.condition)
                                 : std::string("SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' AND "
                                               "properties.reported.lastDesiredStatus.code ") +
                                       (std::string_view(metric.name) == "reportedFailedCount" ? "!= 200" : "= 200"));
    TRY_LET(const std::int64_t rows, count(metric.sql, configuration.id));
    counts.set(metric.name, rows);
  }
  out.set("systemMetrics", json::Object{{"queries", std::move(queries)}, {"results", std::move(counts)}});
  out.set("etag", twin::etag_text(configuration.etag));
  return json::Value(std::move(out));
}

}  // namespace nacelle::hub
