#include "service/hub/route_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace nacelle::hub {
namespace {

Result<> read_properties(const json::Value& document, std::string_view key, telemetry::Properties& into) {
  TRY_LET(const json::Object* properties, json::get_object_or_null(document, key, "sample message"));
  if (!properties) return {};
  for (const auto& [name, value] : *properties) {
    if (!value.is_string())
      return fail(Fault::invalid_input,
                  fmt::format("sample message: {}: {}: expected a string, found a {}", key, name, json::type_name(value)));
    into.set(name, value.as_string());
  }
  return {};
}

Result<> read_source(const json::Value& request, telemetry::Message& message) {
  TRY_LET(const std::string name, json::get_string_or(request, "source", "DeviceMessages", "routes test"));
  TRY_LET(const HubRoute::Source source, parse_hub_source(name, "routes test"));
  switch (source) {
    case HubRoute::Source::device_messages: break;  // or of modules, as its properties say
    case HubRoute::Source::twin_changes: message.source = telemetry::Source::twin_changes; break;
    case HubRoute::Source::device_lifecycle: message.source = telemetry::Source::device_lifecycle; break;
    case HubRoute::Source::connection_state: message.source = telemetry::Source::connection_state; break;
  }
  return {};
}

/// The twin that stands in the request.
class GivenTwin final : public route::TwinLookup {
 public:
  explicit GivenTwin(json::Value twin) : twin_(std::make_shared<const json::Value>(std::move(twin))) {}
  std::shared_ptr<const json::Value> twin_of(const telemetry::Message&) const override { return twin_; }

 private:
  std::shared_ptr<const json::Value> twin_;
};

json::Value to_json(const telemetry::Properties& properties) {
  json::Object object;
  for (const auto& [name, value] : properties) object.set(name, value);
  return object;
}

/// A reading's value as JSON where it is, else as the text it is shown by.
json::Value shown(const route::Explanation::Reading& reading) {
  if (reading.value.empty()) return nullptr;
  auto value = json::parse(reading.value);
  return value ? *std::move(value) : json::Value(reading.value);
}

json::Value try_one(const HubRoute& route, const telemetry::Message& message, const route::TwinLookup& twins,
                    std::string_view hub) {
  json::Object answer{{"route", route.name}, {"endpoint", route.endpoint_name()}, {"enabled", route.enabled}};
  if (!route.takes_from(message.source)) {
    answer.set("matches", false);
    answer.set("result", "false");
    answer.set("why",
               fmt::format("the route is for {}, the message is of {}", name_of(route.source), name_of(source_of(message.source))));
    return answer;
  }
  route::Evaluation evaluation(message, &twins);
  const route::Explanation explanation = route::explain(route.condition, evaluation);
  const bool matches = explanation.outcome == route::Explanation::Outcome::yes;
  answer.set("matches", matches);
  answer.set("result", route::name_of(explanation.outcome));
  if (!matches) answer.set("why", explanation.why);
  json::Object values;
  for (const auto& reading : explanation.readings)
    if (!reading.value.empty()) values.set(reading.name, shown(reading));
  answer.set("values", std::move(values));
  if (!matches) return answer;
  telemetry::Message enriched = message;
  route.enrich(enriched, &twins, hub);
  answer.set("enriched", to_json(enriched.application));
  return answer;
}

/// The routes to try: all, or the one the request names or brings.
Result<Routes> asked_for(const json::Value& request, const Routes& routes) {
  const json::Value* wanted = request.find("route");
  if (!wanted) return routes;
  Routes one = routes;
  if (wanted->is_string()) {
    std::erase_if(one.list, [&](const HubRoute& route) { return route.name != wanted->as_string(); });
    if (one.list.empty()) return fail(Fault::not_found, fmt::format("there is no route '{}'", wanted->as_string()));
    return one;
  }
  TRY_LET(HubRoute route, parse_hub_route(*wanted));
  route.enrichments = routes.enrichments_of(route.endpoint_name());
  one.list = {std::move(route)};
  return one;
}

}  // namespace

Result<telemetry::Message> parse_sample_message(const json::Value& document) {
  TRY(check_members(document, {"body", "properties", "systemProperties"}, "sample message"));
  telemetry::Message message;
  if (const json::Value* body = document.find("body")) {
    const bool text = body->is_string();
    message.body = text ? body->as_string() : json::print(*body);
    if (!text) {
      message.system.set("contentType", "application/json");
      message.system.set("contentEncoding", "utf-8");
    }
  }
  TRY(read_properties(document, "properties", message.application));
  TRY(read_properties(document, "systemProperties", message.system));
  if (!message.module_id().empty()) message.source = telemetry::Source::module_messages;
  return message;
}

Result<json::Value> try_routes(const json::Value& request, const Routes& routes, const route::TwinLookup& twins,
                               std::string_view hub) {
  const json::Value* sample = request.find("message");
  if (sample) TRY(check_members(request, {"message", "twin", "source", "route"}, "routes test"));
  TRY_LET(telemetry::Message message, parse_sample_message(sample ? *sample : request));
  if (sample) TRY(read_source(request, message));
  const json::Object* given = nullptr;
  if (sample) {
    TRY_LET(given, json::get_object_or_null(request, "twin", "routes test"));
  }
  const GivenTwin own(given ? json::Value(*given) : json::Value(json::Object{}));
  const route::TwinLookup& used = given ? static_cast<const route::TwinLookup&>(own) : twins;
  TRY_LET(const Routes tried, sample ? asked_for(request, routes) : Result<Routes>(routes));

  json::Array answers;
  for (const HubRoute& route : tried) answers.push_back(try_one(route, message, used, hub));
  // The fallback looks at every route the hub has, whichever was asked about.
  route::Evaluation evaluation(message, &used);
  json::Object fallback{{"enabled", routes.fallback}, {"takes", routes.falls_back(evaluation)}};
  return json::Value(json::Object{{"routes", std::move(answers)}, {"fallback", std::move(fallback)}});
}

}  // namespace nacelle::hub
