// Configurations over REST (wire facts 2.9).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "service/hub/api.h"
#include "service/hub/configurations.h"

namespace nacelle::hub {
namespace {

using deployment::Configuration;

net::HttpResponse configuration_answer(const Services& services, const Configuration& configuration) {
  const auto document = services.fleet.configurations->document(configuration);
  if (!document) return services.error(document.error());
  net::HttpResponse response = json_answer(200, *document);
  response.headers.set("etag", fmt::format("\"{}\"", twin::etag_text(configuration.etag)));
  return response;
}

net::HttpResponse no_configuration(const Services& services, const std::string& id) {
  return services.error(kinds::configuration_not_found, fmt::format("configuration '{}' is not there", id));
}

}  // namespace

net::HttpResponse put_configuration(Services& services, const Call& call) {
  Configurations& configurations = *services.fleet.configurations;
  const std::string& id = call.captures[0];
  auto document = call.json();
  if (!document) return services.error(document.error());
  const Configuration* old = configurations.find(id);
  const bool updates = call.request.headers.contains("if-match");
  // An update may leave the content out: it cannot be another.
  if (updates && old && document->is_object() && !document->find("content")) document->as_object().set("content", old->content);
  auto configuration = deployment::parse_configuration(*document, id);
  if (!configuration) return services.error(configuration.error());
  if (!updates && old) return services.error(kinds::configuration_exists, fmt::format("configuration '{}' exists", id));
  if (updates && !old) return no_configuration(services, id);
  if (updates && !twin::etag_matches(call.request.headers.get("if-match"), old->etag))
    return services.error(kinds::precondition_failed, "the configuration has another etag by now");
  const auto stored = updates ? configurations.update(std::move(*configuration)) : configurations.create(std::move(*configuration));
  if (!stored && stored.error().fault == Fault::exhausted)
    return services.error(kinds::too_many_configurations, stored.error().message);
  if (!stored) return services.error(stored.error());
  return configuration_answer(services, *configurations.find(id));
}

net::HttpResponse get_configuration(Services& services, const Call& call) {
  const Configuration* found = services.fleet.configurations->find(call.captures[0]);
  return found ? configuration_answer(services, *found) : no_configuration(services, call.captures[0]);
}

net::HttpResponse list_configurations(Services& services, const Call& call) {
  std::size_t most = Configurations::max_configurations;
  if (const auto top = call.request.query("top"); !top.empty()) {
    const auto number = text::parse_integer(top, "top");
    if (!number || *number < 1) return services.error(kinds::argument_invalid, "top: expected a number above 0");
    most = std::min<std::size_t>(most, static_cast<std::size_t>(*number));
  }
  json::Array list;
  for (const Configuration* one : services.fleet.configurations->all()) {
    if (list.size() == most) break;
    auto document = services.fleet.configurations->document(*one);
    if (!document) return services.error(document.error());
    list.push_back(std::move(*document));
  }
  return json_answer(200, std::move(list));
}

net::HttpResponse delete_configuration(Services& services, const Call& call) {
  const Configuration* found = services.fleet.configurations->find(call.captures[0]);
  if (!found) return no_configuration(services, call.captures[0]);
  if (!twin::etag_matches(call.request.headers.get("if-match"), found->etag))
    return services.error(kinds::precondition_failed, "the configuration has another etag by now");
  if (const auto removed = services.fleet.configurations->remove(call.captures[0]); !removed)
    return services.error(removed.error());
  return {204, {}, {}};
}

/// Whether a condition and metric queries would be taken; nothing is stored.
net::HttpResponse test_configuration_queries(Services& services, const Call& call) {
  const auto body = call.json();
  if (!body) return services.error(body.error());
  const auto condition = json::get_string_or(*body, "targetCondition", "", "request body");
  if (!condition) return services.error(condition.error());
  const auto queries = json::get_object_or_null(*body, "customMetricQueries", "request body");
  if (!queries) return services.error(queries.error());
  const auto target = query::parse_selection(*condition, "targetCondition");
  json::Object errors;
  if (*queries)
    for (const auto& [name, value] : **queries) {
      const auto parsed = value.is_string() ? query::parse_query(value.as_string())
                                            : Result<query::Query>(fail(Fault::invalid_input, "expected a text"));
      if (!parsed) errors.set(name, parsed.error().message);
    }
  return json_answer(200, json::Object{{"targetConditionError", target ? json::Value() : json::Value(target.error().message)},
                                       {"customMetricQueryErrors", std::move(errors)}});
}

}  // namespace nacelle::hub
