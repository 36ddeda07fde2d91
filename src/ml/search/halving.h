#pragma once
// Successive halving over folds: every trial is judged on few folds, the best part of them on more, the best of those on all.
// Source: Jamieson, Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016; the
// resource is the number of folds, so that a judgement is only ever added to. Rungs are synchronous: the order in which trials
// come back has no say.

#include <cstdint>
#include <optional>
#include <vector>

namespace nacelle::search {

struct Rung {
  std::size_t folds = 0;   ///< each of its trials is judged on folds 0 .. folds-1
  std::size_t trials = 0;  ///< that reach it, at most
};

/// The rungs of `trials` trials and `folds` folds when the best 1/`keep_one_in` go on each time; at least `finalists` reach the
/// last. keep_one_in 1: one rung, all folds.
std::vector<Rung> plan_rungs(std::size_t trials, std::size_t folds, std::size_t keep_one_in, std::size_t finalists);

/// What is known of a trial: its score (less is better) over the folds judged so far; none: it failed.
struct Standing {
  std::size_t trial = 0;
  std::optional<double> score;
};

/// The trials that go on: the best `count` that have not failed, ties by number; in ascending number.
std::vector<std::size_t> promote(std::vector<Standing> standings, std::size_t count);

}  // namespace nacelle::search
