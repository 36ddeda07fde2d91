// Intervals of fleets whose engines err each in its own way: what counts is how many engines were seen, not how many cuts.

#include <gtest/gtest.h>

#include <algorithm>

#include "ml/dataset/seeded.h"
#include "ml/trainer/experiment.h"

namespace nacelle::trainer {
namespace {

constexpr double cap = 125;

/// 20 cuts of each engine; an engine's are off by what is its own, and a little each.
std::vector<Cut> fleet(dataset::Seeded& random, std::size_t engines) {
  std::vector<Cut> cuts;
  for (std::size_t engine = 0; engine < engines; ++engine) {
    const double own = 9 * random.normal();
    for (int i = 0; i < 20; ++i) {
      const double truth = 150 * random.uniform();
      const double predicted = std::clamp(std::min(truth, cap) + own + 4 * random.normal(), 0.0, cap);
      cuts.push_back({.engine = engine, .row = 0, .truth = truth, .predicted = predicted});
    }
  }
  return cuts;
}

double part_held(const model::ConformalBins& bins, const std::vector<Cut>& cuts) {
  double held = 0;
  for (const Cut& cut : cuts) {
    const std::size_t bin = bins.bin_of(cut.predicted);
    const double truth = std::min(cut.truth, cap);
    held += truth >= std::clamp(cut.predicted + bins.low[bin], 0.0, cap) &&
            truth <= std::clamp(cut.predicted + bins.high[bin], 0.0, cap);
  }
  return held / static_cast<double>(cuts.size());
}

TEST(Intervals, of_small_fleets_hold_what_they_promise_on_further_engines) {
  constexpr std::uint64_t seed = 5;
  SCOPED_TRACE(seed);
  dataset::Seeded random(seed);
  for (const std::size_t engines : {12u, 25u}) {
    constexpr int fleets = 150;
    double held = 0;
    for (int f = 0; f < fleets; ++f) {
      const std::vector<Cut> seen = fleet(random, engines);
      held += part_held(learn_intervals(seen, cap, 0.9), fleet(random, 30)) / fleets;
    }
    EXPECT_GT(held, 0.89) << engines;
    EXPECT_LT(held, 0.96) << engines;
  }
}

/// The same errors, of as many engines as cuts or of ten: the latter know less of engines to come.
TEST(Intervals, the_fewer_engines_the_wider) {
  dataset::Seeded random(7);
  std::vector<Cut> cuts;
  for (std::size_t i = 0; i < 1000; ++i) {
    const double truth = 125 * random.uniform();
    cuts.push_back({.engine = i, .row = 0, .truth = truth, .predicted = std::clamp(truth + 6 * random.normal(), 0.0, cap)});
  }
  const model::ConformalBins many = learn_intervals(cuts, cap, 0.9);
  for (Cut& cut : cuts) cut.engine %= 10;
  const model::ConformalBins few = learn_intervals(cuts, cap, 0.9);
  double wide = 0, narrow = 0;
  for (std::size_t bin = 0; bin < many.low.size(); ++bin) {
    narrow += many.high[bin] - many.low[bin];
    wide += few.high[bin] - few.low[bin];
  }
  EXPECT_GT(wide, 1.3 * narrow);
}

/// One engine promises nothing by itself: its cell learns from farther away.
TEST(Intervals, a_cell_of_one_engine_learns_from_its_neighbours) {
  dataset::Seeded random(9);
  std::vector<Cut> cuts;
  for (std::size_t i = 0; i < 600; ++i) {
    const double truth = 60 * random.uniform();
    cuts.push_back({.engine = i % 40, .row = 0, .truth = truth, .predicted = std::clamp(truth + 10 * random.normal(), 0.0, cap)});
  }
  for (int i = 0; i < 40; ++i) cuts.push_back({.engine = 99, .row = 0, .truth = 110, .predicted = 110});  // never wrong, so far
  const model::ConformalBins bins = learn_intervals(cuts, cap, 0.9);
  const std::size_t bin = bins.bin_of(110);
  EXPECT_LT(bins.low[bin], -5);
  EXPECT_GT(bins.high[bin], 5);
}

}  // namespace
}  // namespace nacelle::trainer
