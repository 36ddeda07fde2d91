#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "foundation/random.h"
#include "ml/dataset/csv.h"
#include "ml/dataset/synthetic.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"
#include "service/workbench/model_reference.h"
#include "service/workbench/training.h"

namespace nacelle::workbench {
namespace {

class Workbench : public testing::Test {
 protected:
  void SetUp() override { folder_ = fs::temp_directory_path() / ("workbench-" + random_uuid()); }
  void TearDown() override { fs::remove_all(folder_); }
  WorkbenchStore open() {
    auto store = WorkbenchStore::open(folder_, clock_);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(store).value();
  }
  fs::path write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_whole(folder_ / name, text));
    return folder_ / name;
  }
  fs::path folder_;
  ManualClock clock_;
};

trainer::Plan quick() { return {.trainer = "ridge", .folds = 2, .fold_row_stride = 5}; }

TEST_F(Workbench, versions_count_up_and_the_first_is_champion) {
  WorkbenchStore store = open();
  EXPECT_EQ(store.register_model("rul", "aa", "", "")->version, 1);
  const auto second = store.register_model("rul", "bb", "", "");
  EXPECT_EQ(second->version, 2);
  EXPECT_EQ(second->aliases, std::vector<std::string>{"challenger"});
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul"))->version, 1);
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul@challenger"))->version, 2);
  EXPECT_EQ(store.resolve(*registry::parse_reference("champion"))->version, 1);
  ASSERT_TRUE(store.set_alias("rul", "champion", 2));
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul"))->version, 2);
  ASSERT_TRUE(store.drop_alias("rul", "champion"));
  EXPECT_FALSE(store.drop_alias("rul", "champion"));
  EXPECT_FALSE(store.set_alias("rul", "champion", 9));
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul:1"))->artifact_sha256, "aa");
  EXPECT_TRUE(store.set_stage("rul", 1, "production"));
  EXPECT_FALSE(store.set_stage("rul", 1, "live"));
}

TEST_F(Workbench, an_unknown_model_is_refused_with_what_there_is) {
  WorkbenchStore store = open();
  (void)store.register_model("rul", "aa", "", "");
  const auto unknown = store.resolve(*registry::parse_reference("other:3"));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().fault, Fault::not_found);
  EXPECT_EQ(unknown.error().message, "model 'other:3' is unknown; there are: rul:1");
}

TEST_F(Workbench, an_experiment_leaves_runs_a_leaderboard_and_a_model_that_loads) {
  const auto table = dataset::make_synthetic_fleet({.engines = 10});
  ExperimentRequest request{.name = "trial", .trainers = {"ridge"}, .plan = quick(), .register_as = "rul"};
  {
    WorkbenchStore store = open();
    const auto result = run_experiment(store, table, request);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_TRUE(result->registered);
    EXPECT_EQ(result->leaderboard.front().status, "finished");
    EXPECT_EQ(result->leaderboard.front().data_sha256, table.content_hash());
  }
  WorkbenchStore again = open();  // another process, later
  EXPECT_EQ(again.experiments()->front().runs, 1);
  EXPECT_EQ(again.runs("trial")->size(), 1u);
  EXPECT_FALSE(again.runs("other"));
  const auto resolved = resolve_model("rul@champion", folder_.string());
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(resolved->version, 1);
  const auto estimator = model::Estimator::load(resolved->artifact);
  ASSERT_TRUE(estimator) << estimator.error().message;
  EXPECT_EQ((*estimator)->content_hash(), again.runs("trial")->front().artifact_sha256);
}

TEST_F(Workbench, a_failing_trainer_is_a_failed_run_and_the_others_go_on) {
  WorkbenchStore store = open();
  const auto table = dataset::make_synthetic_fleet({.engines = 10});
  trainer::Plan plan = quick();
  plan.folds = 11;  // more than engines
  const auto none = run_experiment(store, table, {.name = "trial", .trainers = {"ridge"}, .plan = plan});
  ASSERT_FALSE(none);
  const auto runs = store.runs("trial");
  ASSERT_TRUE(runs);
  EXPECT_EQ(runs->front().status, "failed");
  EXPECT_NE(runs->front().message.find("folds"), std::string::npos);
  EXPECT_FALSE(run_experiment(store, table, {.name = "trial", .trainers = {"svm"}, .plan = quick()}));
  EXPECT_EQ(store.runs("trial")->size(), 1u);
}

TEST_F(Workbench, a_model_is_named_by_path_folder_or_reference) {
  const fs::path file = write("m/model.nacelle", "bytes");
  EXPECT_EQ(resolve_model(file.string())->artifact, file);
  EXPECT_EQ(resolve_model((folder_ / "m").string())->artifact, file);
  for (const std::string& wrong : {(folder_ / "none").string(), std::string("rul:x"), std::string("rul")}) {
    const auto missing = resolve_model(wrong, (folder_ / "empty").string());
    ASSERT_FALSE(missing) << wrong;
    EXPECT_FALSE(fs::exists(folder_ / "empty"));
  }
}

TEST_F(Workbench, joined_tables_keep_their_engines_apart) {
  const auto whole = dataset::make_synthetic_fleet({.engines = 3});
  const auto cut = dataset::make_synthetic_fleet({.engines = 2, .cut_off = true});
  const auto both = join_tables({whole, cut});
  EXPECT_EQ(both.engines.size(), 5u);
  EXPECT_EQ(both.engines[3].unit, 4);
  EXPECT_EQ(both.row_count(), whole.row_count() + cut.row_count());
  EXPECT_EQ(both.unit[both.engines[4].begin], 5);
  EXPECT_EQ(both.end_rul, (std::vector<double>{0, 0, 0, cut.end_rul[0], cut.end_rul[1]}));
}

TEST_F(Workbench, a_set_that_is_not_there_is_refused_with_those_that_are) {
  write("data/train_FD002.txt", "");
  ::setenv("NACELLE_DATA", (folder_ / "data").c_str(), 1);
  const auto missing = load_table("FD001");
  ::unsetenv("NACELLE_DATA");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault, Fault::not_found);
  EXPECT_EQ(missing.error().message, "data set 'train_FD001' was not found; there are: train_FD002");
}

TEST_F(Workbench, a_table_that_tells_remaining_lives_is_a_test_set) {
  const auto cut = dataset::make_synthetic_fleet({.engines = 2, .cut_off = true});
  const auto csv = folder_ / "cut.csv";
  ASSERT_TRUE(write_whole(csv, [&cut](std::ostream& out) { dataset::write_csv(out, cut, {.labels = true}); }));
  EXPECT_EQ(load_test_set(csv.string(), "")->truth, cut.end_rul);
  const fs::path rul = write("rul.txt", "7\n8\n");
  EXPECT_EQ(load_test_set(csv.string(), rul.string())->truth, (std::vector<double>{7, 8}));
  EXPECT_FALSE(load_test_set(csv.string(), write("short.txt", "7\n").string()));
}

TEST_F(Workbench, a_failed_write_leaves_nothing_behind) {
  write("file", "x");
  EXPECT_FALSE(write_whole(folder_ / "file" / "below", "y"));
  EXPECT_EQ(files_below(folder_)->size(), 1u);
}

}  // namespace
}  // namespace nacelle::workbench
