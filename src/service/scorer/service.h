#pragma once
// ScoringService: one model behind HTTP. POST /score, /invocations, /v2/models/{m}/infer; GET /health, /ping, /metrics,
// /openapi.json. docs/serving.md is its manual.

#include <memory>

#include "ml/model/estimator.h"
#include "net/http/server.h"

namespace nacelle::scorer {

class ScoringService {
 public:
  /// Listens; requests are answered on `executor`. Fault::unavailable if the address is taken.
  static Result<std::unique_ptr<ScoringService>> start(Executor executor, const net::Endpoint& endpoint,
                                                       std::shared_ptr<const model::Estimator> estimator);
  ~ScoringService();
  std::uint16_t port() const;
  awaitable<void> close();

 private:
  struct State;
  explicit ScoringService(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// The OpenAPI 3.0 document, as served.
std::string openapi_document(const model::Estimator& estimator);

}  // namespace nacelle::scorer
