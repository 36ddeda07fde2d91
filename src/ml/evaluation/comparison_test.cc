#include <gtest/gtest.h>

#include <cmath>

#include "ml/dataset/seeded.h"
#include "ml/dataset/synthetic.h"
#include "ml/evaluation/bootstrap.h"
#include "ml/evaluation/metrics.h"
#include "ml/evaluation/robustness.h"

namespace nacelle::evaluation {
namespace {

struct Judged {
  std::vector<double> truth, good, bad;
  std::vector<std::size_t> engine;
};

/// `engines` of `cuts` each; errors of an engine hang together, as they do.
Judged judged(std::size_t engines, std::size_t cuts, double good, double bad) {
  dataset::Seeded random(3);
  Judged all;
  for (std::size_t e = 0; e < engines; ++e) {
    const double shared = random.normal();
    for (std::size_t c = 0; c < cuts; ++c) {
      const double truth = 125 * random.uniform();
      all.truth.push_back(truth);
      all.good.push_back(truth + good * (shared + 0.1 * random.normal()));
      all.bad.push_back(truth + bad * (shared + 0.1 * random.normal()));
      all.engine.push_back(e);
    }
  }
  return all;
}

TEST(Bootstrap, the_range_holds_the_figure_and_narrows_with_more_engines_not_with_more_cuts) {
  const auto width = [](std::size_t engines, std::size_t cuts) {
    const Judged all = judged(engines, cuts, 10, 10);
    const MetricRanges ranges = bootstrap(all.truth, all.good, all.engine, {.resamples = 500});
    const double rmse = measure(all.truth, all.good).rmse;
    EXPECT_LT(ranges.rmse.low, rmse);
    EXPECT_GT(ranges.rmse.high, rmse);
    return ranges.rmse.high - ranges.rmse.low;
  };
  EXPECT_LT(width(400, 1), 0.5 * width(25, 1));
  EXPECT_GT(width(25, 16), 0.7 * width(25, 1));  // the cuts of an engine tell the same again
}

TEST(CompareModels, clear_differences_are_found_and_others_are_not_claimed) {
  const BootstrapOptions options{.resamples = 500, .level = 0.95};
  const Judged all = judged(60, 3, 8, 12);
  const Comparison worse = compare_models(all.truth, all.good, all.bad, all.engine, options);
  EXPECT_EQ(worse.verdict, Verdict::worse);
  EXPECT_EQ(worse.engines, 60u);
  EXPECT_LT(worse.second_better, 0.01);
  EXPECT_EQ(compare_models(all.truth, all.bad, all.good, all.engine, options).verdict, Verdict::better);
  const Comparison same = compare_models(all.truth, all.good, all.good, all.engine, options);
  EXPECT_EQ(same.verdict, Verdict::not_different);
  EXPECT_EQ(same.difference.low, 0);
  // Two models of equal skill that err on different engines.
  dataset::Seeded random(9);
  std::vector<double> other;
  for (const double truth : all.truth) other.push_back(truth + 8 * random.normal());
  EXPECT_EQ(compare_models(all.truth, all.good, other, all.engine, options).verdict, Verdict::not_different);
}

TEST(CompareModels, the_same_seed_gives_the_same_range_and_nothing_compares_with_nothing) {
  const Judged all = judged(20, 2, 8, 9);
  const auto once = compare_models(all.truth, all.good, all.bad, all.engine, {.seed = 4});
  const auto again = compare_models(all.truth, all.good, all.bad, all.engine, {.seed = 4});
  EXPECT_EQ(once.difference.low, again.difference.low);
  EXPECT_EQ(compare_models({}, {}, {}, {}, {}).engines, 0u);
}

TEST(CutBeginnings, engines_lose_their_first_cycles_but_never_all) {
  const auto table = dataset::make_synthetic_fleet({.engines = 4, .min_life = 130, .max_life = 140});
  const auto kept = cut_beginnings(table, 100, false), again = cut_beginnings(table, 100, true),
             all = cut_beginnings(table, 1000, true);
  for (std::size_t e = 0; e < 4; ++e) {
    EXPECT_EQ(kept.engines[e].size() + 100, table.engines[e].size());
    EXPECT_EQ(kept.cycle[kept.engines[e].begin], 101);
    EXPECT_EQ(kept.cycle[kept.engines[e].end - 1], table.cycle[table.engines[e].end - 1]);
    EXPECT_EQ(again.cycle[again.engines[e].begin], 1);
    EXPECT_EQ(all.engines[e].size(), 10u);
    EXPECT_EQ(all.columns[7][all.engines[e].end - 1], table.columns[7][table.engines[e].end - 1]);
  }
}

}  // namespace
}  // namespace nacelle::evaluation
