#include "domain/deployment/configuration.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"
#include "domain/deployment/manifest.h"

namespace nacelle::deployment {
namespace {

constexpr std::string_view desired_key = "properties.desired";
constexpr std::size_t max_id_size = 128;
constexpr std::size_t max_metrics = 20;
constexpr std::pair<std::string_view, ContentKind> kinds[] = {
    {"modulesContent", ContentKind::edge}, {"deviceContent", ContentKind::device}, {"moduleContent", ContentKind::module}};

std::string_view name_of(ContentKind kind) {
  return std::find_if(std::begin(kinds), std::end(kinds), [kind](const auto& one) { return one.second == kind; })->first;
}

bool is_empty(const json::Value* value) { return !value || value->is_null() || (value->is_object() && value->as_object().empty()); }

/// A section's keys are `properties.desired` or paths below it.
Result<> check_section(const json::Value& section, const std::string& where) {
  if (!section.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", where, json::type_name(section)));
  for (const auto& [key, value] : section.as_object()) {
    const bool whole = key == desired_key;
    const bool below = key.starts_with(std::string(desired_key) + ".") && key.size() > desired_key.size() + 1;
    if (!whole && !below)
      return fail(Fault::invalid_input,
                  fmt::format("{}: unknown member '{}', expected properties.desired or a path below it", where, key));
    if (whole && !value.is_object())
      return fail(Fault::invalid_input, fmt::format("{}: {}: expected an object, found {}", where, key, json::type_name(value)));
  }
  return {};
}

Result<> read_content(const json::Value& document, Configuration& configuration) {
  TRY_LET(const json::Object* content, json::get_object_or_null(document, "content", "configuration"));
  int found = 0;
  for (const auto& [name, kind] : kinds) {
    const json::Value* section = content ? content->find(name) : nullptr;
    if (is_empty(section)) continue;
    ++found;
    configuration.kind = kind;
    configuration.content = json::Object{{std::string(name), *section}};
    if (!section->is_object())
      return fail(Fault::invalid_input,
                  fmt::format("configuration: content.{}: expected an object, found {}", name, json::type_name(*section)));
  }
  if (found != 1)
    return fail(
        Fault::invalid_input,
        fmt::format("configuration: content: expected one of modulesContent, deviceContent and moduleContent, found {}", found));
  if (configuration.kind != ContentKind::edge)
    return check_section(configuration.sections(), fmt::format("configuration: content.{}", name_of(configuration.kind)));
  for (const auto& [module, section] : configuration.sections())
    TRY(check_section(section, fmt::format("configuration: content.modulesContent.{}", module)));
  if (!configuration.layered()) TRY(in(parse_manifest(configuration.content), "configuration"));
  return {};
}

Result<> read_metrics(const json::Value& document, Configuration& configuration) {
  TRY(json::get_object_or_null(document, "metrics", "configuration"));
  const json::Value* metrics = document.find("metrics");
  if (!metrics || metrics->is_null()) return {};
  TRY_LET(const json::Object* queries, json::get_object_or_null(*metrics, "queries", "configuration: metrics"));
  if (!queries) return {};
  if (queries->size() > max_metrics)
    return fail(Fault::invalid_input,
                fmt::format("configuration: metrics: {} queries, at most {} are allowed", queries->size(), max_metrics));
  for (const auto& [name, value] : *queries) {
    TRY_LET(const std::string text, json::get_string(*queries, name, "configuration: metrics.queries"));
    TRY(in(query::parse_query(text), fmt::format("configuration: metrics.queries.{}", name)));
    configuration.metrics[name] = text;
  }
  return {};
}

Result<> check_target(const Configuration& configuration) {
  const bool modules = configuration.kind == ContentKind::module;
  if (configuration.target.nobody || modules == (configuration.target.source == query::Source::modules)) return {};
  return fail(Fault::invalid_input,
              modules ? "configuration: targetCondition: moduleContent is for modules: FROM devices.modules WHERE .."
                      : "configuration: targetCondition: expected a condition on devices, found one on modules");
}

std::vector<std::string_view> steps_of(std::string_view key) {
  if (key == desired_key) return {};
  return text::split(key.substr(desired_key.size() + 1), '.');
}

void set_at(json::Value& root, std::string_view key, const json::Value& value) {
  json::Value* node = &root;
  for (const std::string_view step : steps_of(key)) {
    if (!node->is_object()) *node = json::Object{};
    node = &node->as_object()[step];
  }
  *node = value;
}

/// Whether setting `stronger` leaves nothing of what setting `weaker_key` did.
bool covers(std::string_view stronger, std::string_view weaker_key) {
  const auto above = steps_of(stronger);
  const auto below = steps_of(weaker_key);
  return above.size() <= below.size() && std::equal(above.begin(), above.end(), below.begin());
}

/// Names, for people who look at the edge's twin, the configuration each module comes from (wire facts 2.9).
void mark_modules(json::Value& content, const std::map<std::string, std::string>& origins) {
  json::Value* desired = &content.as_object()["$edgeAgent"].as_object()["properties.desired"];
  json::Value* modules = desired->is_object() ? desired->as_object().find("modules") : nullptr;
  if (!modules || !modules->is_object()) return;
  for (auto& [name, module] : modules->as_object()) {
    const auto origin = origins.find(name);
    if (module.is_object() && origin != origins.end())
      module.as_object().set("configuration", json::Object{{"id", origin->second}});
  }
}

/// The modules that one configuration's `$edgeAgent` section speaks of.
std::vector<std::string> modules_named(const Configuration& configuration) {
  std::vector<std::string> names;
  const json::Value* agent = configuration.sections().find("$edgeAgent");
  if (!agent) return names;
  for (const auto& [key, value] : agent->as_object()) {
    const auto steps = steps_of(key);
    const json::Value* modules = steps.empty()                                ? value.find("modules")
                                 : steps.size() == 1 && steps[0] == "modules" ? &value
                                                                              : nullptr;
    if (modules && modules->is_object())
      for (const auto& [name, module] : modules->as_object()) names.push_back(name);
    if (steps.size() >= 2 && steps[0] == "modules") names.emplace_back(steps[1]);
  }
  return names;
}

}  // namespace

const json::Object& Configuration::sections() const { return content.as_object().begin()->second.as_object(); }

bool Configuration::layered() const {
  return kind == ContentKind::edge && std::none_of(sections().begin(), sections().end(), [](const auto& section) {
           return section.first.starts_with("$edge") && section.second.find(desired_key);
         });
}

Result<> check_configuration_id(std::string_view id) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view("-+%_*!'").find(c) != std::string_view::npos;
  };
  if (id.empty() || id.size() > max_id_size || !std::all_of(id.begin(), id.end(), good))
    return fail(Fault::invalid_input,
                fmt::format("configuration id: expected 1 to {} of lower-case letters, digits and -+%_*!'", max_id_size));
  return {};
}

Result<Configuration> parse_configuration(const json::Value& document, const std::string& id) {
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("configuration: expected an object, found {}", json::type_name(document)));
  TRY(check_configuration_id(id));
  Configuration configuration;
  configuration.id = id;
  TRY_LET(const std::string named, json::get_string_or(document, "id", id, "configuration"));
  if (named != id)
    return fail(Fault::invalid_input, fmt::format("configuration: id: expected '{}' as in the path, found another", id));
  TRY_LET(configuration.schema_version, json::get_string_or(document, "schemaVersion", "1.0", "configuration"));
  TRY_LET(const json::Object* labels, json::get_object_or_null(document, "labels", "configuration"));
  if (labels) configuration.labels = *labels;
  TRY_LET(configuration.target_condition, json::get_string_or(document, "targetCondition", "", "configuration"));
  TRY_LET(configuration.target, query::parse_selection(configuration.target_condition, "configuration: targetCondition"));
  TRY_LET(configuration.priority, json::get_integer_or(document, "priority", 0, "configuration"));
  if (configuration.priority < 0 || configuration.priority > 2147483647)
    return fail(Fault::invalid_input, "configuration: priority: expected 0 to 2147483647");
  TRY(read_content(document, configuration));
  TRY(read_metrics(document, configuration));
  TRY(check_target(configuration));
  return configuration;
}

json::Object to_json(const Configuration& configuration) {
  json::Object queries;
  for (const auto& [name, text] : configuration.metrics) queries.set(name, text);
  return json::Object{{"id", configuration.id},
                      {"schemaVersion", configuration.schema_version},
                      {"labels", configuration.labels},
                      {"targetCondition", configuration.target_condition},
                      {"priority", configuration.priority},
                      {"content", configuration.content},
                      {"metrics", json::Object{{"queries", std::move(queries)}}},
                      {"createdTimeUtc", format_iso8601(configuration.created_at)},
                      {"lastUpdatedTimeUtc", format_iso8601(configuration.updated_at)}};
}

bool weaker(const Configuration& a, const Configuration& b) {
  return a.priority != b.priority ? a.priority < b.priority : std::pair(a.created_at, a.id) < std::pair(b.created_at, b.id);
}

json::Value with_section(json::Value desired, const json::Object& section) {
  // The whole first: a path beside it means a change to it.
  if (const json::Value* whole = section.find(desired_key)) desired = *whole;
  for (const auto& [key, value] : section)
    if (key != desired_key) set_at(desired, key, value);
  return desired;
}

Effect effect_on_twin(const std::vector<const Configuration*>& matching, json::Value desired) {
  Effect effect;
  effect.in_effect.assign(matching.size(), false);
  if (matching.empty()) return effect;
  for (const Configuration* one : matching) desired = with_section(std::move(desired), one->sections());
  for (std::size_t i = 0; i < matching.size(); ++i)
    for (const auto& [key, value] : matching[i]->sections()) {
      bool covered = false;
      for (std::size_t j = i + 1; j < matching.size(); ++j)
        for (const auto& [stronger, ignored] : matching[j]->sections()) covered = covered || covers(stronger, key);
      effect.in_effect[i] = effect.in_effect[i] || !covered;
    }
  // A null deletes, as in a twin patch.
  effect.content = json::Object{};
  json::merge_patch(effect.content, desired);
  return effect;
}

Effect effect_on_edge(const std::vector<const Configuration*>& matching) {
  Effect effect;
  effect.in_effect.assign(matching.size(), false);
  std::size_t base = matching.size();
  for (std::size_t i = 0; i < matching.size(); ++i)
    if (!matching[i]->layered()) base = i;
  if (base == matching.size()) return effect;
  json::Value content = json::Object{};
  std::map<std::string, std::string> origins;
  for (std::size_t i = base; i < matching.size(); ++i) {
    effect.in_effect[i] = true;
    for (const auto& [module, section] : matching[i]->sections()) {
      json::Value& desired = content.as_object()[module];
      if (!desired.is_object()) desired = json::Object{{"properties.desired", json::Object{}}};
      json::Value& values = desired.as_object()["properties.desired"];
      values = with_section(std::move(values), section.as_object());
    }
    for (std::string& name : modules_named(*matching[i])) origins[std::move(name)] = matching[i]->id;
  }
  if (content.find("$edgeAgent")) mark_modules(content, origins);
  effect.content = json::Object{{"modulesContent", std::move(content)}};
  return effect;
}

json::Object difference(const json::Object& from, const json::Object& to) {
  json::Object patch;
  for (const auto& [key, value] : from)
    if (!to.contains(key)) patch.set(key, nullptr);
  for (const auto& [key, value] : to) {
    const json::Value* old = from.find(key);
    if (old && *old == value) continue;
    if (old && old->is_object() && value.is_object())
      patch.set(key, difference(old->as_object(), value.as_object()));
    else
      patch.set(key, value);
  }
  return patch;
}

}  // namespace nacelle::deployment
