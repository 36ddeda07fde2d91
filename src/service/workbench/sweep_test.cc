#include "service/workbench/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "foundation/random.h"
#include "ml/dataset/synthetic.h"
#include "service/workbench/comparison.h"
#include "service/workbench/files.h"
#include "storage/file/file.h"

namespace nacelle::workbench {
namespace {

search::Experiment declared(const char* text) { return search::Experiment::from_json(json::parse(text).value()).value(); }

/// Ridge only: a fit takes milliseconds.
constexpr const char* small = R"({"name":"e","spaces":[{"trainer":"ridge","parameters":{"l2":{"log":[0.0001,100000]}}}],
  "budget":{"trials":6},"halving":{"keep_one_in":2,"finalists":2},"folds":3,"register":"rul"})";

class Sweeps : public testing::Test {
 protected:
  void SetUp() override { folder_ = fs::temp_directory_path() / ("sweep-" + random_uuid()); }
  void TearDown() override { fs::remove_all(folder_); }
  WorkbenchStore open(const std::string& name = "w") { return std::move(WorkbenchStore::open(folder_ / name, clock_)).value(); }
  fs::path folder_;
  ManualClock clock_;
  const dataset::FleetTable table_ = dataset::make_synthetic_fleet({.engines = 12});
};

/// Does trials like the local workers, but several are under way at once and come back in another order; some fail, and from
/// the `dies_after`-th on every call is refused, as when the process is interrupted.
class UnrulyWorkers final : public TrialWorkers {
 public:
  explicit UnrulyWorkers(const dataset::FleetTable& table, std::size_t dies_after = 1000)
      : table_(table), dies_after_(dies_after) {}
  std::size_t room() const override { return 3 - waiting_.size(); }
  Result<> start(std::size_t ticket, const TrialRequest& request) override {
    seen.push_back(TrialRequest::from_json(request.to_json()).value());  // as another process would see it
    waiting_.emplace_back(ticket, seen.back());
    return {};
  }
  Result<Done> next() override {
    if (answered_++ >= dies_after_) return fail(Fault::unavailable, "interrupted");
    const auto [ticket, request] = waiting_.back();
    waiting_.pop_back();
    if (failing.contains(ticket) || (!request.artifact.empty() && not_to_be_fitted.contains(ticket)))
      return Done{ticket, fail(Fault::conflict, "out of memory")};
    auto answer = run_trial(request, table_);
    const bool ridge = request.plan.trainer == "ridge";
    if (biased && answer && request.artifact.empty()) bias(*answer, ridge ? 6 : -8, ridge ? 6 : -8);
    if (misjudged && answer && request.artifact.empty()) bias(*answer, ridge ? 9 : 8, ridge ? 1 : 8);
    return Done{ticket, std::move(answer)};
  }
  bool biased = false;     ///< ridge answers 6 too much wherever it is asked, others 8 too little
  bool misjudged = false;  ///< all answer too much: ridge more than others on the first fold, and far less on the rest
  std::vector<TrialRequest> seen;
  std::set<std::size_t> failing, not_to_be_fitted;

 private:
  static void bias(json::Value& answer, double on_first, double on_others) {
    for (json::Value& fold : answer.as_object().find("folds")->as_array()) {
      const double by = fold.find("fold")->as_integer() == 0 ? on_first : on_others;
      for (json::Value& cut : fold.as_object().find("cuts")->as_array())
        cut.as_array()[3] = std::min(cut.as_array()[2].as_number(), 125.0) + by;
    }
  }
  const dataset::FleetTable& table_;
  std::size_t dies_after_;
  std::size_t answered_ = 0;
  std::vector<std::pair<std::size_t, TrialRequest>> waiting_;
};

std::string told(const std::vector<Run>& runs) {
  std::string all;
  for (const workbench::Run& run : runs)
    all += std::to_string(run.trial) + " " + run.status + " " + json::print(run.metrics) + " " + run.artifact_sha256 + "\n";
  return all;
}

TEST_F(Sweeps, the_better_part_goes_on_and_the_best_is_registered_and_loads) {
  WorkbenchStore store = open();
  const auto workers = make_local_workers(table_);
  const auto result = run_sweep(store, declared(small), table_, *workers, {});
  ASSERT_TRUE(result) << result.error().message;
  const auto& runs = result->leaderboard;
  ASSERT_EQ(runs.size(), 6u);
  EXPECT_EQ(
      std::count_if(runs.begin(), runs.end(), [](const workbench::Run& run) { return run.status == "finished" && run.folds == 3; }),
      2);
  EXPECT_EQ(std::count_if(runs.begin(), runs.end(), [](const workbench::Run& run) { return run.status == "pruned"; }), 4);
  EXPECT_EQ(runs.front().status, "finished");
  EXPECT_LE(runs[0].metrics.find("rmse")->as_number(), runs[1].metrics.find("rmse")->as_number());
  ASSERT_TRUE(result->registered);
  EXPECT_EQ(result->registered->artifact_sha256, runs.front().artifact_sha256);
  const auto estimator = model::Estimator::load(store.artifact_path(runs.front().artifact_sha256));
  ASSERT_TRUE(estimator) << estimator.error().message;
  EXPECT_EQ((*estimator)->content_hash(), runs.front().artifact_sha256);
  EXPECT_EQ((*estimator)->provenance().at_path({"data", "sha256"})->as_string(), table_.content_hash());
  EXPECT_EQ(store.sweeps("e")->front().status, "finished");
}

TEST_F(Sweeps, the_result_does_not_depend_on_how_many_work_nor_in_which_order_they_answer) {
  WorkbenchStore one = open("one"), other = open("other");
  const auto workers = make_local_workers(table_);
  UnrulyWorkers unruly(table_);
  const auto first = run_sweep(one, declared(small), table_, *workers, {});
  const auto second = run_sweep(other, declared(small), table_, unruly, {});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(told(first->leaderboard), told(second->leaderboard));
}

/// Two trainers that err apart: together they are better than each, and the blend is what is registered.
constexpr const char* blended = R"({"name":"e","spaces":["ridge",{"trainer":"extra_trees","parameters":{"trees":[5,6]}}],
  "budget":{"trials":3},"halving":{"keep_one_in":3,"finalists":1},"blend":3,"folds":3,"keep":2,"register":"rul"})";

TEST_F(Sweeps, finalists_are_blended_where_that_is_better_and_the_blend_serves) {
  WorkbenchStore store = open();
  UnrulyWorkers workers(table_);
  workers.biased = true;
  const auto result = run_sweep(store, declared(blended), table_, workers, {});
  ASSERT_TRUE(result) << result.error().message;
  const auto& runs = result->leaderboard;
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs.front().trainer, "blend");
  EXPECT_EQ(runs.front().status, "finished");
  EXPECT_LT(runs.front().metrics.find("rmse")->as_number(), 2);
  std::size_t judged_to_the_end = 0;  // the best of each trainer, and the blend
  for (const workbench::Run& run : runs) judged_to_the_end += run.folds == 3 ? 1 : 0;
  EXPECT_EQ(judged_to_the_end, 3u);
  EXPECT_EQ(result->best.id, runs.front().id);
  EXPECT_EQ(result->registered->artifact_sha256, runs.front().artifact_sha256);
  const auto estimator = model::Estimator::load(store.artifact_path(runs.front().artifact_sha256));
  ASSERT_TRUE(estimator) << estimator.error().message;
  EXPECT_EQ((*estimator)->provenance().find("trainer")->as_string(), "blend");
  EXPECT_FALSE(runs[1].artifact_sha256.empty());  // keep: the blend and the best single one
  EXPECT_TRUE(runs[2].artifact_sha256.empty());
}

/// What halving left behind after one fold, and the blend had judged to the end, is a candidate like the finalists.
TEST_F(Sweeps, the_best_single_model_is_looked_for_among_all_that_were_judged_to_the_end) {
  WorkbenchStore store = open();
  UnrulyWorkers workers(table_);
  workers.misjudged = true;
  const auto result = run_sweep(store, declared(blended), table_, workers, {});
  ASSERT_TRUE(result) << result.error().message;
  for (const workbench::Run& run : result->leaderboard) {
    if (run.artifact_sha256.empty()) continue;
    EXPECT_TRUE(run.trainer == "ridge" || run.trainer == "blend") << run.trainer;
  }
  const bool ridge_is_fitted = std::any_of(result->leaderboard.begin(), result->leaderboard.end(), [](const workbench::Run& run) {
    return run.trainer == "ridge" && !run.artifact_sha256.empty();
  });
  EXPECT_TRUE(ridge_is_fitted);
}

TEST_F(Sweeps, an_interrupted_sweep_with_a_blend_ends_as_if_nothing_had_happened) {
  const auto undisturbed = [this] {
    WorkbenchStore store = open("undisturbed");
    UnrulyWorkers workers(table_);
    workers.biased = true;
    return told(run_sweep(store, declared(blended), table_, workers, {}).value().leaderboard);
  }();
  for (const std::size_t after : {4u, 6u}) {  // within the blend's judgements, and when models are fitted
    const std::string name = "cut" + std::to_string(after);
    {
      WorkbenchStore store = open(name);
      UnrulyWorkers workers(table_, after);
      workers.biased = true;
      if (run_sweep(store, declared(blended), table_, workers, {})) continue;  // it was done before
    }
    WorkbenchStore store = open(name);
    UnrulyWorkers workers(table_);
    workers.biased = true;
    const auto resumed = resume_sweep(store, "e", table_, workers, {});
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_EQ(told(resumed->leaderboard), undisturbed) << after;
  }
}

TEST_F(Sweeps, a_trial_that_fails_fails_alone) {
  WorkbenchStore store = open();
  UnrulyWorkers workers(table_);
  workers.failing = {0, 3};
  const auto result = run_sweep(store, declared(small), table_, workers, {});
  ASSERT_TRUE(result) << result.error().message;
  const auto failed = std::count_if(result->leaderboard.begin(), result->leaderboard.end(), [](const workbench::Run& run) {
    return run.status == "failed" && run.message == "out of memory";
  });
  EXPECT_EQ(failed, 2);
  EXPECT_EQ(result->leaderboard.front().status, "finished");

  UnrulyWorkers hopeless(table_);
  hopeless.failing = {0, 1, 2, 3, 4, 5};
  const auto none = run_sweep(store, declared(small), table_, hopeless, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "out of memory");
}

TEST_F(Sweeps, the_next_best_is_registered_if_the_best_cannot_be_fitted_to_all_engines) {
  WorkbenchStore plain = open("plain"), store = open("failing");
  const auto workers = make_local_workers(table_);
  const auto undisturbed = run_sweep(plain, declared(small), table_, *workers, {});
  ASSERT_TRUE(undisturbed);
  const workbench::Run best = undisturbed->leaderboard[0], second = undisturbed->leaderboard[1];
  UnrulyWorkers unruly(table_);
  unruly.not_to_be_fitted = {static_cast<std::size_t>(best.trial)};
  const auto result = run_sweep(store, declared(small), table_, unruly, {});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->registered);
  const auto& runs = result->leaderboard;
  const auto named = [&runs](std::int64_t trial) {
    return *std::find_if(runs.begin(), runs.end(), [&](const workbench::Run& run) { return run.trial == trial; });
  };
  EXPECT_EQ(named(best.trial).status, "failed");
  EXPECT_NE(named(best.trial).message.find("out of memory"), std::string::npos);
  EXPECT_EQ(result->registered->artifact_sha256, named(second.trial).artifact_sha256);
  EXPECT_FALSE(named(second.trial).artifact_sha256.empty());
  unruly.not_to_be_fitted.insert(static_cast<std::size_t>(second.trial));
  WorkbenchStore none = open("none");
  const auto failed = run_sweep(none, declared(small), table_, unruly, {});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("out of memory"), std::string::npos) << failed.error().message;
}

TEST_F(Sweeps, an_interrupted_sweep_is_shown_so_goes_on_and_ends_as_if_nothing_had_been) {
  WorkbenchStore whole = open("whole");
  UnrulyWorkers undisturbed(table_);
  const auto expected = run_sweep(whole, declared(small), table_, undisturbed, {});
  ASSERT_TRUE(expected);
  for (const std::size_t after : {0u, 4u, 8u}) {
    const std::string name = "cut" + std::to_string(after);
    {
      WorkbenchStore store = open(name);
      UnrulyWorkers dying(table_, after);
      const auto cut = run_sweep(store, declared(small), table_, dying, {});
      ASSERT_FALSE(cut) << after;
      EXPECT_EQ(cut.error().fault, Fault::unavailable);
      EXPECT_EQ(store.sweeps("e")->front().status, "interrupted");
      const auto runs = store.runs("e");
      ASSERT_TRUE(runs) << runs.error().message;
      for (const workbench::Run& run : *runs) EXPECT_NE(run.status, "running");
    }
    WorkbenchStore store = open(name);
    UnrulyWorkers workers(table_);
    const auto resumed = resume_sweep(store, "e", table_, workers, {});
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_EQ(told(resumed->leaderboard), told(expected->leaderboard)) << after;
    EXPECT_LE(workers.seen.size() + after, undisturbed.seen.size() + 3) << "what was judged is not judged again";
    EXPECT_EQ(resume_sweep(store, "e", table_, workers, {}).error().fault, Fault::conflict);
  }
}

/// As after kill -9: nobody said goodbye, but the lock went with the process.
TEST_F(Sweeps, what_a_killed_process_left_as_running_is_interrupted_but_not_while_somebody_works) {
  {
    WorkbenchStore store = open();
    const Sweep sweep = store.start_sweep("e", declared(small).to_json(), table_.content_hash()).value();
    const workbench::Run run = store.add_run(sweep, 0, "ridge", 1, json::Object{}).value();
    ASSERT_TRUE(store.set_run_status(run.id, "running"));
  }
  {
    WorkbenchStore at_work = open("w2");
    const auto lock = at_work.lock_experiment("e");
    ASSERT_TRUE(lock);
    const Sweep sweep = at_work.start_sweep("e", declared(small).to_json(), table_.content_hash()).value();
    ASSERT_TRUE(at_work.set_run_status(at_work.add_run(sweep, 0, "ridge", 1, json::Object{})->id, "running"));
    const WorkbenchStore looker = open("w2");
    EXPECT_EQ(looker.runs("e")->front().status, "running");
    EXPECT_EQ(open("w2").lock_experiment("e").error().fault, Fault::conflict);
  }
  const WorkbenchStore store = open();
  EXPECT_EQ(store.runs("e")->front().status, "interrupted");
  EXPECT_EQ(store.sweeps("e")->front().status, "interrupted");
}

TEST_F(Sweeps, resuming_on_other_data_is_refused) {
  WorkbenchStore store = open();
  UnrulyWorkers dying(table_, 2);
  ASSERT_FALSE(run_sweep(store, declared(small), table_, dying, {}));
  const auto other = dataset::make_synthetic_fleet({.engines = 13});
  UnrulyWorkers workers(other);
  const auto resumed = resume_sweep(store, "e", other, workers, {});
  ASSERT_FALSE(resumed);
  EXPECT_EQ(resumed.error().fault, Fault::conflict);
  // And a trial that finds other data than its experiment's says so itself.
  TrialRequest request;
  request.data_sha256 = table_.content_hash();
  EXPECT_EQ(run_trial(request, other).error().fault, Fault::conflict);
}

TEST_F(Sweeps, a_budget_of_seconds_stops_new_trials_and_still_ends_with_a_model) {
  WorkbenchStore store = open();
  search::Experiment experiment = declared(small);
  experiment.trials = 40;
  experiment.seconds = 10;
  const auto workers = make_local_workers(table_);
  double now = 0;
  const auto result = run_sweep(store, experiment, table_, *workers, {.seconds_now = [&now] { return now += 0.25; }});
  ASSERT_TRUE(result) << result.error().message;
  const auto judged = std::count_if(result->leaderboard.begin(), result->leaderboard.end(),
                                    [](const workbench::Run& run) { return run.folds > 0; });
  EXPECT_LT(judged, 40);
  EXPECT_GT(judged, 2);
  EXPECT_TRUE(result->registered);
}

TEST_F(Sweeps, mistakes_are_found_before_anything_is_recorded) {
  WorkbenchStore store = open();
  const auto workers = make_local_workers(table_);
  for (const char* wrong :
       {R"({"name":"e","spaces":["svm-of-tomorrow"]})", R"({"name":"e","spaces":[{"trainer":"ridge","parameters":{"depth":3}}]})",
        R"({"name":"e","spaces":["ridge"],"folds":50})", R"({"name":"e","spaces":["ridge"],"recipe":{"sensors":7}})",
        R"({"name":"9e","spaces":["ridge"]})", R"({"name":"e","spaces":["ridge"],"register":"a b"})"}) {
    const auto refused = run_sweep(store, declared(wrong), table_, *workers, {});
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().fault, Fault::invalid_input) << refused.error().message;
  }
  EXPECT_TRUE(store.experiments()->empty());
}

/// P6: each fold is judged on engines that no other fold of the sweep holds out, and those are all; whatever a request says.
TEST_F(Sweeps, no_engine_crosses_folds_and_every_engine_is_judged_once) {
  WorkbenchStore store = open();
  const auto workers = make_local_workers(table_);
  const auto result = run_sweep(store, declared(small), table_, *workers, {});
  ASSERT_TRUE(result);
  std::set<std::int64_t> judged;
  const auto documents = store.judged_folds(result->leaderboard.front().id);
  ASSERT_TRUE(documents);
  for (const json::Value& document : *documents) {
    std::set<std::int64_t> held;
    for (const json::Value& engine : document.find("heldOut")->as_array()) {
      held.insert(engine.as_integer());
      EXPECT_TRUE(judged.insert(engine.as_integer()).second) << "engine in two folds";
    }
    for (const json::Value& cut : document.find("cuts")->as_array()) EXPECT_TRUE(held.contains(cut.as_array()[0].as_integer()));
  }
  EXPECT_EQ(judged.size(), table_.engines.size());
}

/// Constant and silent columns, an engine of one cycle, an infinite reading, a gap: each has a defined behaviour, none stops a
/// fleet.
TEST_F(Sweeps, odd_fleets_are_learned_from_and_impossible_ones_say_why) {
  dataset::FleetTable odd = table_;
  std::fill(odd.columns[8].begin(), odd.columns[8].end(), 7.0);
  std::fill(odd.columns[9].begin(), odd.columns[9].end(), std::numeric_limits<double>::quiet_NaN());
  odd.columns[10][5] = std::numeric_limits<double>::infinity();
  dataset::TableBuilder rows;
  for (std::size_t row = 0; row < odd.row_count(); ++row)
    if (row != odd.engines[2].begin + 30) rows.add(odd.unit[row], odd.cycle[row], odd.row(row));
  rows.add(99, 1, odd.row(0));
  odd = rows.finish().value();
  for (const char* trainer : {"ridge", "xgboost"}) {
    WorkbenchStore store = open(trainer);
    search::Experiment experiment = declared(R"({"name":"e","spaces":["ridge"],"budget":{"trials":1},"folds":2})");
    experiment.spaces[0].trainer = trainer;
    const auto workers = make_local_workers(odd);
    const auto result = run_sweep(store, experiment, odd, *workers, {});
    ASSERT_TRUE(result) << trainer << ": " << result.error().message;
    EXPECT_LT(result->leaderboard.front().metrics.find("rmse")->as_number(), 60) << trainer;
  }
  const std::size_t first[] = {0};
  const dataset::FleetTable one = table_.select(first);
  WorkbenchStore store = open();
  const auto workers = make_local_workers(one);
  const auto refused = run_sweep(store, declared(small), one, *workers, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::invalid_input);
}

/// Workers that answer nothing: whoever gets so far has a declaration without mistakes.
class AbsentWorkers final : public TrialWorkers {
 public:
  std::size_t room() const override { return 1; }
  Result<> start(std::size_t, const TrialRequest&) override { return fail(Fault::unavailable, "nobody is here"); }
  Result<Done> next() override { return fail(Fault::unavailable, "nobody is here"); }
};

TEST_F(Sweeps, the_example_experiments_are_without_mistakes) {
  const fs::path examples = fs::path(__FILE__).parent_path() / "../../../examples/experiments";
  std::size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(examples)) {
    const auto text = storage::read_file(storage::real_file_system(), entry.path());
    ASSERT_TRUE(text);
    const auto experiment = search::Experiment::from_json(json::parse(*text).value());
    ASSERT_TRUE(experiment) << entry.path() << ": " << experiment.error().message;
    WorkbenchStore store = open("w" + std::to_string(++seen));
    AbsentWorkers nobody;
    const auto run = run_sweep(store, *experiment, table_, nobody, {});
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().message, "nobody is here") << entry.path();
  }
  EXPECT_GE(seen, 2u);
}

TEST_F(Sweeps, runs_are_compared_on_the_same_held_out_engines) {
  WorkbenchStore store = open();
  search::Experiment experiment = declared(R"({"name":"e","spaces":[{"trainer":"ridge","parameters":{"l2":[0.001,100000000]}}],
    "budget":{"trials":3},"halving":{"keep_one_in":1},"folds":3})");
  const auto workers = make_local_workers(table_);
  const auto result = run_sweep(store, experiment, table_, *workers, {});
  ASSERT_TRUE(result) << result.error().message;
  const auto compared = compare_runs(store, {result->leaderboard.front().id, result->leaderboard.back().id});
  ASSERT_TRUE(compared) << compared.error().message;
  ASSERT_EQ(compared->against_first.size(), 1u);
  EXPECT_EQ(compared->against_first[0].second.verdict, evaluation::Verdict::worse);  // a penalty that leaves only the mean
  EXPECT_EQ(compared->against_first[0].second.engines, 12u);
  ASSERT_EQ(compared->differences.size(), 1u);
  EXPECT_EQ(compared->differences[0].first, "l2");
  EXPECT_EQ(compare_runs(store, {"e", "nothing"}).error().fault, Fault::not_found);
}

}  // namespace
}  // namespace nacelle::workbench
