#include "service/scorer/service.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <chrono>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"
#include "service/scorer/scoring.h"

namespace nacelle::scorer {
namespace {

using net::HttpRequest;
using net::HttpResponse;

// A whole C-MAPSS test set as JSON is some 20 MB.
constexpr ByteCount max_request_bytes = 64_MiB;

int status_of(Fault fault) {
  switch (fault) {
    case Fault::invalid_input: return 400;
    case Fault::exhausted: return 413;
    case Fault::not_found: return 404;
    case Fault::unavailable: return 501;  // this kind of model does not tell
    default: return 500;
  }
}

HttpResponse error_response(int status, std::string_view message) {
  return net::json_response(status, json::print(json::Object{{"error", message}}));
}

HttpResponse answer_of(const Result<json::Value>& result) {
  if (!result) return error_response(status_of(result.error().fault), result.error().message);
  return net::json_response(200, json::print(*result));
}

}  // namespace

struct ScoringService::State {
  std::shared_ptr<const model::Estimator> estimator;
  std::unique_ptr<net::HttpServer> server;
  // Read by /metrics while others count: each is a number of its own.
  std::atomic<std::uint64_t> succeeded{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> busy_microseconds{0};

  HttpResponse predict_with(const HttpRequest& request, Result<json::Value> (*run)(const model::Estimator&, const json::Value&));
  HttpResponse invocations_of(const HttpRequest& request);
  HttpResponse v2(const HttpRequest& request, const std::vector<std::string>& path);
  HttpResponse route(const HttpRequest& request);
  HttpResponse metrics() const;
  HttpResponse health() const;
};

namespace {

Result<json::Value> score_copy(const model::Estimator& estimator, const json::Value& body) { return score(estimator, body); }
Result<json::Value> score_explained(const model::Estimator& estimator, const json::Value& body) {
  return score(estimator, body, true);
}

HttpResponse method_not_allowed(std::string_view allowed) {
  HttpResponse response = error_response(405, fmt::format("expected {}", allowed));
  response.headers.set("Allow", allowed);
  return response;
}

}  // namespace

HttpResponse ScoringService::State::predict_with(const HttpRequest& request,
                                                 Result<json::Value> (*run)(const model::Estimator&, const json::Value&)) {
  if (request.method != "POST") return method_not_allowed("POST");
  const auto began = std::chrono::steady_clock::now();
  auto body = json::parse(request.body, {.max_bytes = max_request_bytes});
  HttpResponse response =
      body ? answer_of(run(*estimator, *body)) : error_response(status_of(body.error().fault), "body: " + body.error().message);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
  busy_microseconds += static_cast<std::uint64_t>(took.count());
  ++(response.status == 200 ? succeeded : failed);
  return response;
}

HttpResponse ScoringService::State::invocations_of(const HttpRequest& request) {
  const std::string type = text::to_lower(request.headers.get("Content-Type"));
  if (type.starts_with("text/csv")) {
    if (request.method != "POST") return method_not_allowed("POST");
    HttpResponse response = answer_of(invocations_csv(*estimator, request.body));
    ++(response.status == 200 ? succeeded : failed);
    return response;
  }
  if (request.method == "POST" && !type.starts_with("application/json")) {
    ++failed;
    return error_response(415, fmt::format("Content-Type: expected application/json or text/csv, found '{}'", type));
  }
  return predict_with(request, invocations);
}

HttpResponse ScoringService::State::v2(const HttpRequest& request, const std::vector<std::string>& path) {
  const std::size_t depth = path.size();
  if (depth == 1)
    return net::json_response(200,
                              json::print(json::Object{{"name", "nacelle"}, {"version", "0.1.0"}, {"extensions", json::Array{}}}));
  if (depth == 3 && path[1] == "health" && path[2] == "live") return net::json_response(200, R"({"live":true})");
  if (depth == 3 && path[1] == "health" && path[2] == "ready") return net::json_response(200, R"({"ready":true})");
  if (depth < 3 || path[1] != "models") return error_response(404, fmt::format("no such path: {}", request.path()));
  if (path[2] != estimator->name())
    return error_response(404, fmt::format("model '{}' is not served here; '{}' is", path[2], estimator->name()));
  if (depth == 3) return net::json_response(200, json::print(model_metadata(*estimator)));
  if (depth == 4 && path[3] == "ready")
    return net::json_response(200, json::print(json::Object{{"name", estimator->name()}, {"ready", true}}));
  if (depth == 4 && path[3] == "infer") return predict_with(request, infer);
  return error_response(404, fmt::format("no such path: {}", request.path()));
}

HttpResponse ScoringService::State::metrics() const {
  const std::string label =
      fmt::format("{{model_name=\"{}\",model_version=\"{}\"}}", estimator->name(), estimator->content_hash().substr(0, 12));
  return net::text_response(
      200,
      fmt::format("# TYPE model_infer_request_success counter\nmodel_infer_request_success{0} {1}\n"
                  "# TYPE model_infer_request_failure counter\nmodel_infer_request_failure{0} {2}\n"
                  "# TYPE model_infer_request_seconds_sum counter\nmodel_infer_request_seconds_sum{0} {3}\n",
                  label, succeeded.load(), failed.load(), static_cast<double>(busy_microseconds.load()) * 1e-6),
      "text/plain; version=0.0.4");
}

HttpResponse ScoringService::State::health() const {
  return net::json_response(
      200, json::print(json::Object{{"status", "healthy"}, {"model", estimator->name()}, {"sha256", estimator->content_hash()}}));
}

HttpResponse ScoringService::State::route(const HttpRequest& request) {
  const auto segments = request.segments();
  if (!segments) return error_response(400, segments.error().message);
  const std::vector<std::string>& path = *segments;
  if (path.empty()) return error_response(404, "see /openapi.json for what is here");
  if (path[0] == "v2") return v2(request, path);
  if (path.size() != 1) return error_response(404, fmt::format("no such path: {}", request.path()));
  if (path[0] == "score") return predict_with(request, request.query("explain") == "true" ? score_explained : score_copy);
  if (path[0] == "invocations") return invocations_of(request);
  if (path[0] == "health" || path[0] == "ping") return health();
  if (path[0] == "version") return net::json_response(200, R"({"version":"0.1.0"})");
  if (path[0] == "metrics") return metrics();
  if (path[0] == "openapi.json") return net::json_response(200, openapi_document(*estimator));
  return error_response(404, fmt::format("no such path: {}; see /openapi.json", request.path()));
}

namespace {

/// Every answer carries a request id, and the client's own back if it sent one (the habit of the ONNX Runtime server).
awaitable<HttpResponse> answer(std::function<HttpResponse(const HttpRequest&)> route, HttpRequest request) {
  HttpResponse response = route(request);
  response.headers.set("x-ms-request-id", random_uuid());
  if (const auto id = request.headers.get("x-ms-client-request-id"); !id.empty())
    response.headers.set("x-ms-client-request-id", id);
  co_return response;
}

}  // namespace

ScoringService::ScoringService(std::shared_ptr<State> state) : state_(std::move(state)) {}
ScoringService::~ScoringService() = default;

Result<std::unique_ptr<ScoringService>> ScoringService::start(Executor executor, const net::Endpoint& endpoint,
                                                              std::shared_ptr<const model::Estimator> estimator) {
  auto state = std::make_shared<State>();
  state->estimator = std::move(estimator);
  // The server is owned by the state: the handler must not own it back.
  const auto handler = [weak = std::weak_ptr(state)](HttpRequest request) {
    const std::function<HttpResponse(const HttpRequest&)> route = [weak](const HttpRequest& r) {
      const auto alive = weak.lock();
      return alive ? alive->route(r) : error_response(503, "the service is stopping");
    };
    return answer(route, std::move(request));
  };
  TRY_LET(state->server,
          net::HttpServer::listen(std::move(executor), endpoint, nullptr, handler, {.max_body_bytes = max_request_bytes}));
  return std::unique_ptr<ScoringService>(new ScoringService(std::move(state)));
}

std::uint16_t ScoringService::port() const { return state_->server->port(); }

awaitable<void> ScoringService::close() {
  const auto state = state_;
  co_await state->server->close();
}

}  // namespace nacelle::scorer
