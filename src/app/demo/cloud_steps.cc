// Steps 1 to 5: hub, training data, preparation, experiment, evaluation.

#include <fmt/format.h>

#include "app/demo/leaderboard.h"
#include "app/demo/stage.h"
#include "service/workbench/files.h"

namespace nacelle::app::demo {

Result<> start_hub(Stage& stage) {
  Step step(1, "hub up, capture route in place");
  TRY_LET(stage.hub, stage.cli.start("hub", {"hub", "--data", stage.text("hub"), "--host", "localhost", "--bind", "127.0.0.1",
                                             "--mqtts", "0", "--https", "0", "--metrics", "0"}));
  TRY_LET(const std::string ca, text_in(stage.hub->ready, {"ca"}));
  TRY(step.check("own certificate authority", std::filesystem::exists(ca), ca + " is not there"));
  TRY_LET(const json::Value routes, stage.cli.json({"routes", "list", "--hub", stage.text("hub")}));
  bool captures = false;
  if (const json::Value* list = routes.find("routes"); list && list->is_array())
    for (const json::Value& route : list->as_array()) {
      const json::Value* container = route.at_path({"endpoint", "container"});
      const json::Value* enabled = route.find("enabled");
      captures = captures || (container && *container == json::Value("devicedata") && enabled && *enabled == json::Value(true));
    }
  TRY(step.check("capture to devicedata", captures, "no enabled route leads to the container devicedata"));
  TRY_LET(const std::uint64_t mqtts, count_in(stage.hub->ready, {"mqtts"}));
  TRY_LET(const std::uint64_t https, count_in(stage.hub->ready, {"https"}));
  step.note(fmt::format("MQTT/TLS {}, HTTPS {}", mqtts, https));
  step.done();
  return {};
}

Result<> replay_training(Stage& stage) {
  Step step(2, fmt::format("{} engines send their lives", stage.train_engines()));
  TRY_LET(const json::Value sent, stage.cli.json({"simulate", "--data", stage.data.train.string(), "--hub", stage.text("hub")}));
  TRY_LET(const std::uint64_t engines, count_in(sent, {"engines"}));
  TRY_LET(const std::uint64_t messages, count_in(sent, {"sent"}));
  TRY_LET(const std::uint64_t acked, count_in(sent, {"acked"}));
  TRY_LET(const double rate, number_in(sent, {"messagesPerSecond"}));
  TRY(step.check("engines", stage.train_engines(), engines));
  TRY(step.check("sent", stage.train_rows(), messages));
  TRY(step.check("acknowledged", stage.train_rows(), acked));
  TRY(stage.hub_view.flush_capture());
  TRY_LET(const json::Value captured, stage.cli.json({"avro", "cat", stage.hub_view.captured("devicedata").string(), "--count"}));
  TRY_LET(const std::uint64_t records, count_in(captured, {"records"}));
  TRY(step.check("captured", stage.train_rows(), records));
  step.note(fmt::format("{:.0f} messages/s", rate));
  step.done();
  return {};
}

Result<> prepare_data(Stage& stage) {
  Step step(3, "data prepared from the captured Avro");
  TRY_LET(const json::Value imported, stage.cli.json({"data", "import", "--capture", stage.hub_view.captured("devicedata").string(),
                                                      "--out", stage.text("train.csv")}));
  TRY_LET(const std::uint64_t rows, count_in(imported, {"rows"}));
  TRY_LET(const std::uint64_t repeated, count_in(imported, {"duplicates"}));
  TRY(step.check("rows", stage.train_rows(), rows));
  TRY(step.check("repeated", 0, repeated));
  TRY_LET(const std::string hash, text_in(imported, {"sha256"}));
  TRY(step.check("bit for bit the file's values", hash == stage.data.train_table->content_hash(),
                 "the table made from the capture has other values"));
  TRY_LET(const json::Value labelled,
          stage.cli.json({"data", "prepare", "--data", stage.text("train.csv"), "--out", stage.text("train-labelled.csv")}));
  TRY_LET(const std::uint64_t labels, count_in(labelled, {"rows"}));
  TRY(step.check("labelled", stage.train_rows(), labels));
  step.done();
  return {};
}

namespace {

constexpr std::int64_t trials = 8;

/// A sweep of a few trials of unlike trainers, and a blend of the best of them: enough to see what it does. Parameters that are not
/// named are searched where the trainers say.
json::Value sweep(const Stage& stage) {
  const auto space = [](const char* trainer, std::int64_t weight, json::Object parameters) {
    return json::Object{{"trainer", trainer}, {"weight", weight}, {"parameters", std::move(parameters)}};
  };
  const json::Array spaces = {
      space("xgboost", 3,
            {{"max_depth", json::Array{3, 4, 5}},
             {"min_child_weight", json::Object{{"log", json::Array{10, 60}}}},
             {"colsample_bytree", json::Object{{"uniform", json::Array{0.2, 0.6}}}}}),
      space("mlp", 2, {{"units", json::Object{{"log_whole", json::Array{16, 48}}}}, {"nets", 2}}),
      space("extra_trees", 2, {{"trees", 50}, {"features", json::Object{{"uniform", json::Array{0.3, 0.7}}}}}),
      space("ridge", 1, {{"l2", json::Object{{"log", json::Array{0.0001, 1}}}}})};
  return json::Object{{"spaces", spaces},
                      {"budget", json::Object{{"trials", trials}}},
                      {"halving", json::Object{{"keep_one_in", 3}, {"finalists", 1}}},
                      {"blend", 3},
                      {"folds", stage.options.quick ? 3 : 5}};
}

/// The leaderboard's first lines; how many trials came to their end.
Result<std::uint64_t> tell_leaderboard(Step& step, const json::Value& leaderboard) {
  constexpr std::size_t shown = 3;
  std::uint64_t ended = 0;
  std::size_t told = 0;
  for (const json::Value& run : leaderboard.as_array()) {
    TRY_LET(const std::string trainer, text_in(run, {"trainer"}));
    TRY_LET(const std::string status, text_in(run, {"status"}));
    if (status != "finished" && status != "pruned") continue;
    if (trainer != "blend") ++ended;  // a blend is made of trials
    if (told++ < shown) step.note(standing(run));
  }
  return ended;
}

}  // namespace

Result<> run_experiment(Stage& stage) {
  Step step(4, "experiment: a sweep over trainers");
  TRY(workbench::write_whole(stage.path("experiment.json"), json::print_pretty(sweep(stage))));
  Leaderboard board;
  TRY_LET(const json::Value result,
          stage.cli.watch({"train", "--config", stage.text("experiment.json"), "--data", stage.text("train.csv"), "--experiment",
                           "demo", "--register", model_name, "--workbench", stage.text("workbench"), "--progress"},
                          [&board](const json::Value& line) { board.tell(line); }));
  board.clear();
  const json::Value* leaderboard = result.find("leaderboard");
  if (!leaderboard || !leaderboard->is_array()) return fail(Fault::invalid_input, "train answered without a leaderboard");
  TRY_LET(const std::uint64_t ended, tell_leaderboard(step, *leaderboard));
  TRY(step.check("trials judged (cross-validated RMSE, cycles)", static_cast<std::uint64_t>(trials), ended));
  TRY_LET(const std::string name, text_in(result, {"registered", "name"}));
  TRY_LET(const std::uint64_t version, count_in(result, {"registered", "version"}));
  TRY(step.check("is the version registered", 1, version));
  TRY_LET(const json::Value shown, stage.cli.json({"models", "show", name + ":1", "--workbench", stage.text("workbench")}));
  TRY_LET(stage.champion_sha256, text_in(shown, {"sha256"}));
  step.done();
  return {};
}

Result<> evaluate_model(Stage& stage) {
  Step step(5, "evaluated on the test engines");
  TRY_LET(const json::Value judged,
          stage.cli.json({"evaluate", "--model", std::string(model_name) + ":1", "--data", stage.data.test.string(), "--rul",
                          stage.data.rul.string(), "--report", stage.text("report.html"), "--workbench", stage.text("workbench")}));
  TRY_LET(const std::uint64_t engines, count_in(judged, {"capped", "count"}));
  TRY(step.check("test engines", stage.test_engines(), engines));
  TRY(step.check("report with plots", std::filesystem::file_size(stage.path("report.html")) > 10'000,
                 "report.html is too small to hold plots"));
  TRY_LET(const double capped, number_in(judged, {"capped", "rmse"}));
  TRY_LET(const double raw, number_in(judged, {"raw", "rmse"}));
  TRY_LET(const double score, number_in(judged, {"capped", "phm08"}));
  TRY_LET(const double r2, number_in(judged, {"capped", "r2"}));
  // R2 above 0: better than always answering the test engines' own mean. Ten engines are too few to insist.
  if (!stage.options.quick) TRY(step.check("better than the mean", r2 > 0, fmt::format("R2 is {:.3f}", r2)));
  step.note(fmt::format("RMSE {:.2f} capped at 125, {:.2f} raw; PHM08 score {:.0f}", capped, raw, score));
  step.done();
  return {};
}

}  // namespace nacelle::app::demo
