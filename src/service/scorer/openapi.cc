// The OpenAPI 3.0 document of the scoring service, made from the model's own inputs.

#include "codec/json/value.h"
#include "service/scorer/service.h"

namespace nacelle::scorer {
namespace {

json::Value object_schema(json::Object properties) {
  return json::Object{{"type", "object"}, {"properties", std::move(properties)}};
}
json::Value reference(std::string_view name) { return json::Object{{"$ref", "#/components/schemas/" + std::string(name)}}; }
json::Value number() { return json::Object{{"type", "number"}}; }
json::Value list_of(json::Value item) { return json::Object{{"type", "array"}, {"items", std::move(item)}}; }
json::Value one_or_list(std::string_view name) {
  json::Array either;
  either.push_back(reference(name));
  either.push_back(list_of(reference(name)));
  return json::Object{{"oneOf", std::move(either)}};
}
json::Value json_content(json::Value schema) {
  return json::Object{{"application/json", json::Object{{"schema", std::move(schema)}}}};
}

json::Value post(std::string_view summary, json::Value in, json::Value out) {
  json::Object responses;
  responses.set("200", json::Object{{"description", "predictions"}, {"content", json_content(std::move(out))}});
  responses.set("400", json::Object{{"description", "names the record and the field that is wrong"},
                                    {"content", json_content(reference("Error"))}});
  json::Object operation{{"summary", summary},
                         {"requestBody", json::Object{{"required", true}, {"content", json_content(std::move(in))}}}};
  operation.set("responses", std::move(responses));
  return json::Object{{"post", std::move(operation)}};
}

json::Value get(std::string_view summary) {
  return json::Object{
      {"get", json::Object{{"summary", summary}, {"responses", json::Object{{"200", json::Object{{"description", "well"}}}}}}}};
}

}  // namespace

std::string openapi_document(const model::Estimator& estimator) {
  json::Object record{{"CycleTime", json::Object{{"type", "integer"}}}};
  for (const std::string& name : estimator.pipeline().input_names()) record.set(name, number());
  record.set("ConnectionDeviceId",
             json::Object{{"type", "string"}, {"description", "names the engine; without it a falling CycleTime starts another"}});
  json::Object scored = record;
  scored.set("PredictedRul", json::Object{{"type", "number"}, {"description", "remaining useful life, cycles"}});

  json::Object schemas;
  schemas.set("Reading", object_schema(std::move(record)));
  schemas.set("ScoredReading", object_schema(std::move(scored)));
  schemas.set("Error", object_schema({{"error", json::Object{{"type", "string"}}}}));

  json::Object predictions{{"predictions", list_of(number())}};
  json::Object paths;
  paths.set("/score", post("One reading or a list; the same with PredictedRul out, and with ?explain=true what it is made of",
                           one_or_list("Reading"), one_or_list("ScoredReading")));
  paths.set("/invocations",
            post("MLflow scoring protocol", json::Object{{"type", "object"}}, object_schema(std::move(predictions))));
  paths.set("/v2/models/" + estimator.name() + "/infer",
            post("Open Inference Protocol v2", json::Object{{"type", "object"}}, json::Object{{"type", "object"}}));
  for (const char* path : {"/health", "/ping", "/v2/health/live", "/v2/health/ready", "/metrics"})
    paths.set(path, get("state of the service"));

  json::Object document{{"openapi", "3.0.3"},
                        {"info", json::Object{{"title", "Nacelle scoring service: " + estimator.name()},
                                              {"version", estimator.content_hash().substr(0, 12)}}}};
  document.set("paths", std::move(paths));
  document.set("components", json::Object{{"schemas", std::move(schemas)}});
  return json::print(document);
}

}  // namespace nacelle::scorer
