// Steps 10 and 11: retrained on the grown data, compared, rolled out while messages flow; then everything stopped.

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "app/demo/manifest.h"
#include "app/demo/stage.h"
#include "codec/text/encoding.h"
#include "ml/evaluation/bootstrap.h"
#include "service/workbench/files.h"
#include "storage/file/file.h"

namespace nacelle::app::demo {
namespace {

constexpr std::chrono::seconds patience{180};

/// Splits a labelled table by engine: every second engine into each half. An engine is never in both.
Result<> split_by_engine(const std::filesystem::path& table, const std::filesystem::path& odd, const std::filesystem::path& even) {
  TRY_LET(const Bytes text, storage::read_file(storage::real_file_system(), table));
  std::string halves[2];
  std::string_view last_unit;
  std::size_t engine = 1;  // the first data line makes it 0
  bool header = true;
  for (const std::string_view line : text::split(text, '\n')) {
    if (line.empty()) continue;
    if (std::exchange(header, false)) {
      for (std::string& half : halves) half = std::string(line) + "\n";
      continue;
    }
    const std::string_view unit = line.substr(0, line.find(','));
    if (unit != last_unit) ++engine;
    last_unit = unit;
    halves[engine % 2] += std::string(line) + "\n";
  }
  TRY(workbench::write_whole(odd, halves[0]));
  return workbench::write_whole(even, halves[1]);
}

/// What two models say of the same engines, in the same order.
struct Judged {
  std::vector<double> truth, champion, challenger;
};

/// Each engine's capped truth and prediction, of the model on the table.
Result<> judge(const Stage& stage, const std::string& model, const std::string& held_out, std::vector<double>& truth,
               std::vector<double>& predicted) {
  TRY_LET(const json::Value answer,
          stage.cli.json({"evaluate", "--model", model, "--data", held_out, "--workbench", stage.text("workbench")}));
  TRY_LET(const double cap, number_in(answer, {"cap"}));
  const json::Value* engines = answer.find("engines");
  if (!engines || !engines->is_array()) return fail(Fault::invalid_input, "evaluate answered without engines");
  for (const json::Value& engine : engines->as_array()) {
    TRY_LET(const double life, number_in(engine, {"truth"}));
    TRY_LET(const double said, number_in(engine, {"rul"}));
    truth.push_back(std::min(life, cap));
    predicted.push_back(said);
  }
  return {};
}

/// The challenger's way of learning (old and new engines) against the champion, on engines that neither has seen: the
/// uploaded ones, in two folds.
Result<evaluation::Comparison> compare(const Stage& stage) {
  Judged judged;
  TRY_LET(const json::Value labelled, stage.cli.json({"data", "prepare", "--data", stage.text("uploaded.csv"), "--rul",
                                                      stage.data.rul.string(), "--out", stage.text("uploaded-labelled.csv")}));
  TRY(split_by_engine(stage.path("uploaded-labelled.csv"), stage.path("half-1.csv"), stage.path("half-2.csv")));
  const std::string halves[2] = {stage.text("half-1.csv"), stage.text("half-2.csv")};
  for (int fold = 0; fold < 2; ++fold) {
    const std::string out = stage.text(fmt::format("challenger-fold-{}", fold + 1));
    TRY_LET(const json::Value trained, stage.cli.json({"train", "--data", stage.text("train-labelled.csv"), "--data", halves[fold],
                                                       "--folds", "2", "--threads", stage.training_threads(), "--out", out}));
    std::vector<double> again;
    TRY(judge(stage, out, halves[1 - fold], judged.truth, judged.challenger));
    TRY(judge(stage, std::string(model_name) + ":1", halves[1 - fold], again, judged.champion));
  }
  std::vector<std::size_t> engine(judged.truth.size());
  for (std::size_t e = 0; e < engine.size(); ++e) engine[e] = e;
  return evaluation::compare_models(judged.truth, judged.champion, judged.challenger, engine, {.level = 0.95});
}

/// The challenger has seen more engines: it takes over unless it is significantly worse on the same held-out engines.
std::string verdict_of(const evaluation::Comparison& c) {
  const std::string numbers = fmt::format("RMSE {:.2f} against the champion's {:.2f}, difference {:+.2f} to {:+.2f} (95 %, paired)",
                                          c.rmse_second, c.rmse_first, c.difference.low, c.difference.high);
  switch (c.verdict) {
    case evaluation::Verdict::better: return numbers + ": better, promoted";
    case evaluation::Verdict::not_different: return numbers + ": not significantly worse, promoted";
    case evaluation::Verdict::worse: break;
  }
  return numbers + ": significantly worse, not promoted (rolled out here all the same, to show a swap)";
}

/// Trains the challenger on everything and registers it; its artifact's hash.
Result<std::string> train_challenger(const Stage& stage) {
  TRY_LET(const json::Value result,
          stage.cli.json({"train", "--data", stage.text("train-labelled.csv"), "--data", stage.text("uploaded-labelled.csv"),
                          "--experiment", "demo-grown", "--trainers", "xgboost", "--folds", "3", "--threads",
                          stage.training_threads(), "--register", model_name, "--workbench", stage.text("workbench")}));
  TRY_LET(const std::uint64_t version, count_in(result, {"registered", "version"}));
  if (version != 2) return fail(Fault::conflict, fmt::format("expected the challenger to be version 2, found {}", version));
  TRY_LET(const json::Value shown,
          stage.cli.json({"models", "show", std::string(model_name) + ":2", "--workbench", stage.text("workbench")}));
  return text_in(shown, {"sha256"});
}

/// New leaf engines that send at a steady pace for as long as they are wanted: when the engines of one wave have told
/// their lives, others follow. Each has a name of its own.
class SteadyFlow {
 public:
  explicit SteadyFlow(const Stage& stage)
      : stage_(stage), engines_(std::min<std::size_t>(stage.options.quick ? 3 : 10, stage.test_engines())) {}

  /// Starts the next wave if none is under way. False if one is.
  Result<bool> keep_going() {
    if (sender_ && sender_->running()) return false;
    TRY(finish());
    constexpr std::int64_t most_waves = 20;
    if (waves_ == most_waves) return fail(Fault::timed_out, fmt::format("{} waves of engines were not enough", most_waves));
    const std::int64_t first = stage_.first_late_leaf() + waves_ * static_cast<std::int64_t>(stage_.test_engines());
    ++waves_;
    const auto keys = keys_of(*stage_.data.test_table, engines_, first);
    wanted_.insert(keys.begin(), keys.end());
    TRY_LET(const std::uint64_t port, count_in(stage_.edge->ready, {"mqtts"}));
    TRY_LET(ChildProcess sender,
            stage_.cli.begin({"simulate", "--data", stage_.data.test.string(), "--hub", stage_.text("hub"), "--gateway",
                              fmt::format("localhost:{}", port), "--parent", edge_device, "--first-unit", std::to_string(first),
                              "--max-devices", std::to_string(engines_), "--rate", std::to_string(rate)}));
    sender_.emplace(std::move(sender));
    return true;
  }

  /// Waits for the wave that is under way.
  Result<> finish() {
    if (!sender_) return {};
    TRY_LET(const json::Value sent, stage_.cli.finish(std::move(*sender_), "simulate", patience));
    sender_.reset();
    TRY_LET(const std::uint64_t acked, count_in(sent, {"acked"}));
    acked_ += acked;
    return {};
  }

  const std::set<ReadingKey>& wanted() const { return wanted_; }
  std::uint64_t acked() const { return acked_; }
  std::size_t messages_per_second() const { return engines_ * rate; }

 private:
  static constexpr std::size_t rate = 20;  // of each engine
  const Stage& stage_;
  const std::size_t engines_;
  std::int64_t waves_ = 0;
  std::optional<ChildProcess> sender_;
  std::set<ReadingKey> wanted_;
  std::uint64_t acked_ = 0;
};

/// Gives the edge the new model while engines send, and counts.
Result<> roll_out_under_way(Stage& stage, Step& step, const std::string& sha256) {
  SteadyFlow flow(stage);
  TRY_LET(const std::uint64_t before, stage.hub_view.routed("RulMessageRoute"));
  const auto arrived = [&]() -> Result<std::uint64_t> {
    TRY_LET(const std::uint64_t now, stage.hub_view.routed("RulMessageRoute"));
    return now - before;
  };
  constexpr std::uint64_t well_under_way = 100;
  const auto flows = [&]() -> Result<bool> {
    TRY(flow.keep_going());
    TRY_LET(const std::uint64_t so_far, arrived());
    return so_far >= well_under_way;
  };
  TRY(wait_until("predictions of the steady flow", patience, flows));
  TRY_LET(const json::Value given, stage.cli.json({"deploy", "--device", edge_device, "--model", std::string(model_name) + ":2",
                                                   "--workbench", stage.text("workbench"), "--hub", stage.text("hub")}));
  const auto taken = [&]() -> Result<bool> {
    TRY(flow.keep_going());
    return model_is_active(stage, sha256);
  };
  TRY(wait_until("the classifier to take the new model", patience, taken));
  TRY_LET(const std::uint64_t at_swap, arrived());
  TRY(flow.keep_going());  // and behind the swap too
  TRY(flow.finish());

  const std::set<ReadingKey>& wanted = flow.wanted();
  TRY(step.check("acknowledged", wanted.size(), flow.acked()));
  TRY(wait_until("every prediction at the hub", patience, [&]() -> Result<bool> {
    TRY_LET(const std::uint64_t so_far, arrived());
    return so_far >= wanted.size();
  }));
  TRY(step.check("predictions before and after the swap", at_swap >= well_under_way && at_swap < wanted.size(),
                 fmt::format("{} of {} came before", at_swap, wanted.size())));
  auto everything = keys_of(*stage.data.test_table, stage.test_engines(), stage.first_leaf());
  everything.insert(wanted.begin(), wanted.end());
  TRY_LET(const Predictions predictions, read_predictions(stage.cli, stage.hub_view));
  TRY(step.check("predictions", wanted.size(), predictions.present(wanted)));
  TRY(step.check("missing of all so far", 0, everything.size() - predictions.present(everything)));
  TRY(step.check("that were not asked for", 0, predictions.seen.size() - predictions.present(everything)));
  TRY(step.check("twice", 0, predictions.repeated()));
  TRY_LET(const std::uint64_t records, uploaded_records(stage, stage.uploaded + wanted.size()));
  TRY(step.check("full records at the hub", stage.uploaded + wanted.size(), records));
  step.note(fmt::format("at a steady {} messages/s {}", flow.messages_per_second(), latency_text(predictions, wanted)));
  return {};
}

/// Stops a service by SIGTERM; its exit code.
int stop_service(std::optional<Cli::Service>& service) {
  if (!service) return 0;
  const int code = service->process.stop(std::chrono::seconds{20});
  service.reset();
  return code;
}

}  // namespace

Result<> retrain_and_roll_out(Stage& stage) {
  Step step(10, "retrained, compared, rolled out");
  TRY_LET(const evaluation::Comparison compared, compare(stage));
  TRY(step.check("held-out engines judged", stage.test_engines(), compared.engines));
  TRY_LET(const std::string sha256, train_challenger(stage));
  TRY(step.check("the challenger is another model", sha256 != stage.champion_sha256, "it has the champion's hash"));
  step.note(verdict_of(compared));
  if (compared.verdict != evaluation::Verdict::worse)
    TRY(stage.cli.json({"models", "alias", std::string(model_name) + ":2", "champion", "--workbench", stage.text("workbench")}));
  TRY(roll_out_under_way(stage, step, sha256));
  step.done();
  return {};
}

Result<> stop_everything(Stage& stage) {
  Step step(11, "everything stopped");
  TRY(step.check("exit code of the edge", 0, static_cast<std::uint64_t>(stop_service(stage.edge))));
  TRY(step.check("of the hub", 0, static_cast<std::uint64_t>(stop_service(stage.hub))));
  step.done();
  return {};
}

}  // namespace nacelle::app::demo
