// nacelle score: the scoring service.

#include <cstdio>
#include <memory>

#include "app/command.h"
#include "codec/json/value.h"
#include "net/socket/runtime.h"
#include "service/scorer/service.h"
#include "service/workbench/model_reference.h"

namespace nacelle::app {
namespace {

struct Flags {
  std::string model;
  std::string workbench;
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
};

awaitable<Result<>> serve(Executor executor, net::Endpoint endpoint, std::shared_ptr<const model::Estimator> estimator) {
  CO_TRY_LET(const std::unique_ptr<scorer::ScoringService> service, scorer::ScoringService::start(executor, endpoint, estimator));
  json::Object ready{
      {"ready", true}, {"port", int{service->port()}}, {"model", estimator->name()}, {"sha256", estimator->content_hash()}};
  std::printf("%s\n", json::print(ready).c_str());
  std::fflush(stdout);
  co_await net::until_cancelled();
  co_await service->close();
  co_return Result<>{};
}

Result<> run_score(const Flags& flags) {
  TRY_LET(const workbench::ResolvedModel model, workbench::resolve_model(flags.model, flags.workbench));
  TRY_LET(const auto estimator, model::Estimator::load(model.artifact));
  net::Runtime runtime;
  return runtime.run(serve(runtime.executor(), {.host = flags.host, .port = flags.port, .unix_path = {}}, estimator));
}

}  // namespace

void add_score(CLI::App& root, Outcome& outcome) {
  auto flags = std::make_shared<Flags>();
  auto* command = root.add_subcommand("score", "Serve a model over HTTP: /score, /invocations and Open Inference v2");
  command->add_option("--model", flags->model, "NAME:VERSION, NAME@alias, or an artifact's path")->required();
  command->add_option("--workbench", flags->workbench,
                      "Folder of the model registry (default: $NACELLE_WORKBENCH, else ./nacelle-workbench)");
  command->add_option("--host", flags->host, "Address to listen on; 0.0.0.0 for all")->capture_default_str();
  command->add_option("--port", flags->port, "Port; 0: any free one, told in the ready line")->capture_default_str();
  command->footer("Example:\n  nacelle score --model rul:1 --port 8080\n  curl -s localhost:8080/openapi.json");
  command->callback([&outcome, flags] { outcome.take(run_score(*flags)); });
}

}  // namespace nacelle::app
