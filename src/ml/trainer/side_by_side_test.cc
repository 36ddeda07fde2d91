// Folds and the final model fitted side by side: how many at once has no say in what comes of them.

#include <gtest/gtest.h>

#include <thread>

#include "ml/dataset/synthetic.h"
#include "ml/trainer/detail/tasks.h"
#include "ml/trainer/experiment.h"

namespace nacelle::trainer {
namespace {

Plan quick(int threads) {
  Plan plan{.parameters = json::Object{{"rounds", 40}, {"eta", 0.1}, {"min_child_weight", 10.0}},
            .folds = 3,
            .fold_row_stride = 5,
            .judge_late = 50,
            .threads = threads};
  return plan;
}

TEST(SideBySide, gives_the_bytes_of_one_fit_after_the_other_whatever_the_threads) {
  const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 15});
  const CrossValidation judged = cross_validate(table, quick(1)).value();
  ASSERT_FALSE(judged.late.truth.empty());
  const Bytes expected = model::encode_artifact(train(table, quick(1), judged).value());
  for (const int threads : {1, 2, 4, 9}) {
    const auto trained = judge_and_train(table, quick(threads));
    ASSERT_TRUE(trained) << trained.error().message;
    EXPECT_EQ(model::encode_artifact(trained->artifact), expected) << threads;
    EXPECT_EQ(trained->judged.late.counted, judged.late.counted) << threads;
    EXPECT_EQ(cross_validate(table, quick(threads)).value().capped.rmse, judged.capped.rmse) << threads;
  }
}

TEST(SideBySide, progress_is_told_on_the_callers_thread_never_goes_back_and_cancels) {
  const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 15});
  Plan plan = quick(3);
  double last = 0;
  std::size_t told = 0;
  plan.progress = [&, caller = std::this_thread::get_id()](const std::string&, double done) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_GE(done, last);
    EXPECT_LE(done, 1);
    last = done;
    ++told;
    return true;
  };
  ASSERT_TRUE(judge_and_train(table, plan));
  EXPECT_GT(told, 1u);
  plan.progress = [](const std::string&, double done) { return done == 0; };
  const auto cancelled = judge_and_train(table, plan);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().fault, Fault::conflict);
}

TEST(SideBySide, a_fit_that_fails_is_told_as_it_would_be_alone) {
  const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 6});
  for (const int threads : {1, 3}) {
    Plan plan = quick(threads);
    plan.parameters = json::Object{{"round", 3}};
    const auto trained = judge_and_train(table, plan);
    ASSERT_FALSE(trained);
    EXPECT_EQ(trained.error().fault, Fault::invalid_input);
    EXPECT_NE(trained.error().message.find("'round'"), std::string::npos) << trained.error().message;
    plan.folds = 7;
    EXPECT_FALSE(cross_validate(table, plan));
  }
}

TEST(Pieces, another_threads_progress_waits_for_the_callers_and_a_cancel_reaches_all) {
  std::vector<double> told;
  Pieces pieces(2, [&told](std::size_t, double done) {
    told.push_back(done);
    return done < 0.7;
  });
  std::thread([&pieces] { EXPECT_TRUE(pieces.tell(1, 1)); }).join();
  EXPECT_TRUE(told.empty());
  EXPECT_TRUE(pieces.tell(0, 0.2));
  EXPECT_FALSE(pieces.tell(0, 0.5));
  EXPECT_EQ(told, (std::vector<double>{0.6, 0.75}));
  std::thread([&pieces] { EXPECT_FALSE(pieces.tell(1, 1)); }).join();
}

}  // namespace
}  // namespace nacelle::trainer
