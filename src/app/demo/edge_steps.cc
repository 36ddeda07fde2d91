// Steps 7 to 9: an edge with three modules, leaf engines through its gateway, full records uploaded.

#include <fmt/format.h>

#include "app/demo/manifest.h"
#include "app/demo/stage.h"
#include "codec/sas/connection_string.h"
#include "service/workbench/files.h"

namespace nacelle::app::demo {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds patience{180};

/// The edge's connection string, with the hub's HTTPS port in it.
Result<std::string> edge_connection(const Stage& stage) {
  TRY_LET(const json::Value answer, stage.cli.json({"devices", "connection-string", edge_device, "--hub", stage.text("hub")}));
  TRY_LET(const std::string text, text_in(answer, {"connectionString"}));
  TRY_LET(sas::ConnectionString parts, sas::parse_connection_string(text));
  TRY_LET(const std::uint64_t https, count_in(stage.hub->ready, {"https"}));
  if (parts.host_name.find(':') == std::string::npos) parts.host_name += fmt::format(":{}", https);
  return sas::print_connection_string(parts);
}

/// How many of the three modules the agent reports as running.
Result<std::uint64_t> running_modules(const Stage& stage) {
  TRY_LET(const json::Value twin, stage.hub_view.get(fmt::format("/twins/{}/modules/%24edgeAgent", edge_device)));
  std::uint64_t running = 0;
  for (const char* name : {router_module, classifier_module, writer_module}) {
    const json::Value* status = twin.at_path({"properties", "reported", "modules", name, "runtimeStatus"});
    if (status && *status == json::Value("running")) ++running;
  }
  return running;
}

std::size_t avro_files_in(const fs::path& folder) {
  std::size_t count = 0;
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(folder, error); !error && at != fs::recursive_directory_iterator();
       at.increment(error))
    if (at->is_regular_file()) ++count;
  return count;
}

}  // namespace

Result<bool> model_is_active(const Stage& stage, const std::string& sha256) {
  TRY_LET(const json::Value twin, stage.hub_view.get(fmt::format("/twins/{}/modules/{}", edge_device, classifier_module)));
  const json::Value* model = twin.at_path({"properties", "reported", "model"});
  if (!model) return false;
  const json::Value* reported = model->find("sha256");
  const json::Value* status = model->find("status");
  if (!reported || *reported != json::Value(sha256) || !status) return false;
  if (*status == json::Value("active")) return true;
  return fail(Fault::unavailable, "the classifier could not take the model: " + json::print(*model));
}

Result<std::uint64_t> uploaded_records(const Stage& stage, std::uint64_t expected) {
  std::uint64_t records = 0;
  TRY(wait_until("the writer's files to be uploaded and deleted", patience, [&]() -> Result<bool> {
    if (avro_files_in(stage.path("avrofiles")) > 0 || !fs::exists(stage.hub_view.uploads())) return false;
    TRY_LET(const json::Value counted, stage.cli.json({"avro", "cat", stage.hub_view.uploads().string(), "--count"}));
    TRY_LET(records, count_in(counted, {"records"}));
    return records >= expected;
  }));
  return records;
}

Result<> start_edge(Stage& stage) {
  Step step(7, "edge provisioned, modules running");
  TRY_LET(const json::Value made, stage.cli.json({"devices", "create", edge_device, "--edge", "--hub", stage.text("hub")}));
  TRY(workbench::write_whole(stage.path("manifest.json"), json::print_pretty(turbofan_manifest(stage.path("avrofiles")))));
  TRY_LET(const json::Value deployed,
          stage.cli.json({"deploy", "--device", edge_device, "--manifest", stage.text("manifest.json"), "--model",
                          std::string(model_name) + ":1", "--workbench", stage.text("workbench"), "--hub", stage.text("hub")}));
  TRY_LET(const std::uint64_t modules, count_in(deployed, {"modules"}));
  TRY(step.check("modules deployed", 3, modules));
  TRY_LET(const std::string connection, edge_connection(stage));
  TRY_LET(const std::uint64_t mqtts, count_in(stage.hub->ready, {"mqtts"}));
  TRY_LET(const std::string ca, text_in(stage.hub->ready, {"ca"}));
  TRY_LET(stage.edge, stage.cli.start("edge",
                                      {"edge", "--data", stage.text("edge"), "--ca", ca, "--hub-mqtts", std::to_string(mqtts),
                                       "--mqtts", "0", "--host", "localhost"},
                                      {{"NACELLE_EDGE_CONNECTION", connection}}));
  std::uint64_t running = 0;
  TRY(wait_until("three modules to run", patience, [&]() -> Result<bool> {
    TRY_LET(running, running_modules(stage));
    return running == 3;
  }));
  TRY(step.check("running", 3, running));
  TRY(wait_until("the classifier to take the model", patience, [&] { return model_is_active(stage, stage.champion_sha256); }));
  TRY(step.check("model fetched by its hash", true, ""));
  step.done();
  return {};
}

Result<> send_through_gateway(Stage& stage) {
  Step step(8, fmt::format("{} leaf engines through the gateway", stage.test_engines()));
  TRY_LET(const std::uint64_t port, count_in(stage.edge->ready, {"mqtts"}));
  const auto began = std::chrono::steady_clock::now();
  TRY_LET(const json::Value sent, stage.cli.json({"simulate", "--data", stage.data.test.string(), "--hub", stage.text("hub"),
                                                  "--gateway", fmt::format("localhost:{}", port), "--parent", edge_device,
                                                  "--first-unit", std::to_string(stage.first_leaf())}));
  TRY_LET(const std::uint64_t messages, count_in(sent, {"sent"}));
  TRY_LET(const std::uint64_t acked, count_in(sent, {"acked"}));
  TRY(step.check("sent", stage.test_rows(), messages));
  TRY(step.check("acknowledged", stage.test_rows(), acked));
  TRY(wait_until("every prediction at the hub", patience, [&]() -> Result<bool> {
    TRY_LET(const std::uint64_t arrived, stage.hub_view.routed("RulMessageRoute"));
    return arrived >= stage.test_rows();
  }));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const auto wanted = keys_of(*stage.data.test_table, stage.test_engines(), stage.first_leaf());
  TRY_LET(const Predictions predictions, read_predictions(stage.cli, stage.hub_view));
  TRY(step.check("predictions at the hub", wanted.size(), predictions.present(wanted)));
  TRY(step.check("that were not asked for", 0, predictions.seen.size() - predictions.present(wanted)));
  TRY(step.check("twice", 0, predictions.repeated()));
  step.note(fmt::format("{:.0f} predictions/s flat out, {}", static_cast<double>(wanted.size()) / seconds,
                        latency_text(predictions, wanted)));
  step.done();
  return {};
}

Result<> check_uploads(Stage& stage) {
  Step step(9, "full records uploaded, deleted on the edge");
  TRY_LET(const std::uint64_t records, uploaded_records(stage, stage.test_rows()));
  TRY(step.check("records uploaded", stage.test_rows(), records));
  TRY(step.check("files left on the edge", 0, avro_files_in(stage.path("avrofiles"))));
  TRY_LET(const json::Value imported,
          stage.cli.json({"data", "import", "--uploads", stage.hub_view.uploads().string(), "--out", stage.text("uploaded.csv")}));
  TRY_LET(const std::uint64_t rows, count_in(imported, {"rows"}));
  TRY_LET(const std::uint64_t repeated, count_in(imported, {"duplicates"}));
  TRY(step.check("rows", stage.test_rows(), rows));
  TRY(step.check("repeated", 0, repeated));
  stage.uploaded = records;
  step.done();
  return {};
}

}  // namespace nacelle::app::demo
