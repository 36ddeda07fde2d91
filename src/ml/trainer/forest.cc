// Forests of independent trees, averaged: random forest and extremely randomised trees, on binned features. Own implementation:
// XGBoost's forest mode cannot draw thresholds at random, and both share everything but the choice of a split.
// Sources: Breiman, "Random forests", Machine Learning 45 (2001); Geurts, Ernst, Wehenkel, "Extremely randomized trees", Machine
// Learning 63 (2006).

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "ml/dataset/seeded.h"
#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/boosting.h"
#include "ml/trainer/detail/rows.h"
#include "ml/trainer/detail/tasks.h"

namespace nacelle::trainer {

namespace {

using PlainTree = std::vector<model::TreeEnsemble::PlainNode>;

constexpr std::size_t max_bins = 256;
constexpr std::size_t max_tree_nodes = 65535;
/// An artifact may have 256 MiB; a node takes 12 bytes of it.
constexpr std::size_t max_forest_nodes = 16'000'000;

/// Each value as the number of its feature's thresholds that are not above it: x < edges[b] exactly if bin <= b.
struct BinnedRows {
  std::size_t rows = 0;
  std::vector<std::vector<float>> edges;  ///< of each feature, ascending
  std::vector<std::uint8_t> bins;         ///< [features][rows]
};

std::vector<float> choose_edges(std::vector<float> values, std::size_t bins) {
  std::sort(values.begin(), values.end());
  std::vector<float> edges;
  const auto add = [&edges](float below, float above) {
    const float middle = below + (above - below) / 2;
    const float edge = middle > below && middle <= above ? middle : above;
    if (edges.empty() || edge > edges.back()) edges.push_back(edge);
  };
  std::vector<float> distinct = values;
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (distinct.size() <= bins) {
    for (std::size_t i = 1; i < distinct.size(); ++i) add(distinct[i - 1], distinct[i]);
    return edges;
  }
  for (std::size_t b = 1; b < bins; ++b) {  // quantiles, each put between two values
    const float above = values[b * values.size() / bins];
    const auto at = std::lower_bound(distinct.begin(), distinct.end(), above);
    if (at != distinct.begin()) add(*(at - 1), above);
  }
  return edges;
}

BinnedRows bin_rows(const FeatureRows& rows, std::size_t bins, int threads) {
  BinnedRows binned{.rows = rows.rows, .edges = std::vector<std::vector<float>>(rows.features), .bins = {}};
  binned.bins.resize(rows.rows * rows.features);
  run_tasks(rows.features, threads, [&](std::size_t f) {
    std::vector<float> values(rows.rows);
    for (std::size_t r = 0; r < rows.rows; ++r) values[r] = rows.row(r)[f];
    const std::vector<float>& edges = binned.edges[f] = choose_edges(values, bins);
    for (std::size_t r = 0; r < rows.rows; ++r)
      binned.bins[f * rows.rows + r] =
          static_cast<std::uint8_t>(std::upper_bound(edges.begin(), edges.end(), values[r]) - edges.begin());
  });
  return binned;
}

struct Settings {
  bool random_thresholds = false;
  std::size_t trees = 0, max_depth = 0, min_leaf = 0, features_tried = 0;
  double subsample = 1;
  bool with_replacement = false;
};

class TreeGrower {
 public:
  TreeGrower(const BinnedRows& rows, const std::vector<float>& target, const Settings& settings, double base, std::uint64_t seed)
      : rows_(rows), target_(target), settings_(settings), base_(base), random_(seed) {
    order_.resize(rows.edges.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
  }

  /// Breadth first, so that a tree that is full is evenly deep.
  PlainTree grow() {
    draw_rows();
    struct Open {
      std::size_t node, begin, end, depth;
    };
    std::vector<Open> queue = {{0, 0, drawn_.size(), 0}};
    tree_.resize(1);
    for (std::size_t at = 0; at < queue.size(); ++at) {
      const auto [node, begin, end, depth] = queue[at];
      tree_[node].cover = static_cast<float>(end - begin);  // explanations weigh by it
      const Split split = depth < settings_.max_depth && tree_.size() + 2 <= max_tree_nodes ? find_split(begin, end) : Split{};
      if (!(split.gain > 0)) {
        tree_[node].value = leaf_value(begin, end);
        continue;
      }
      const std::uint8_t* bins = &rows_.bins[split.feature * rows_.rows];
      const auto middle = std::stable_partition(drawn_.begin() + static_cast<std::ptrdiff_t>(begin),
                                                drawn_.begin() + static_cast<std::ptrdiff_t>(end),
                                                [&](std::uint32_t row) { return bins[row] <= split.bin; });
      const auto half = static_cast<std::size_t>(middle - drawn_.begin());
      tree_[node].feature = static_cast<std::uint32_t>(split.feature);
      tree_[node].threshold = rows_.edges[split.feature][split.bin];
      tree_[node].left = static_cast<int>(tree_.size());
      tree_[node].right = static_cast<int>(tree_.size() + 1);
      queue.push_back({tree_.size(), begin, half, depth + 1});
      queue.push_back({tree_.size() + 1, half, end, depth + 1});
      tree_.resize(tree_.size() + 2);
    }
    return std::move(tree_);
  }

 private:
  struct Bin {
    double sum = 0;
    double rows = 0;
  };
  struct Split {
    double gain = 0;
    std::size_t feature = 0;
    std::size_t bin = 0;  ///< the last one that goes left
  };

  void draw_rows() {
    const auto count =
        std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(settings_.subsample * static_cast<double>(rows_.rows))));
    if (settings_.with_replacement) {
      for (std::size_t i = 0; i < count; ++i) drawn_.push_back(static_cast<std::uint32_t>(random_.below(rows_.rows)));
    } else {
      drawn_.resize(rows_.rows);
      std::iota(drawn_.begin(), drawn_.end(), 0u);
      if (count < drawn_.size()) random_.shuffle(drawn_);
      drawn_.resize(std::min(count, drawn_.size()));
    }
    std::sort(drawn_.begin(), drawn_.end());
  }

  float leaf_value(std::size_t begin, std::size_t end) const {
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += static_cast<double>(target_[drawn_[i]]) - base_;
    return static_cast<float>(sum / static_cast<double>(end - begin) / static_cast<double>(settings_.trees));
  }

  /// The best of the splits of so many features, drawn at random among those that vary here. Gain: by how much the sum of squared
  /// errors falls.
  Split find_split(std::size_t begin, std::size_t end) {
    Split best;
    if (end - begin < 2 * settings_.min_leaf) return best;
    std::size_t tried = 0;
    for (std::size_t left = order_.size(); left > 0 && tried < settings_.features_tried; --left) {
      std::swap(order_[random_.below(left)], order_[left - 1]);
      const Split split = split_of(order_[left - 1], begin, end, tried);
      if (split.gain > best.gain) best = split;
    }
    return best;
  }

  Split split_of(std::size_t feature, std::size_t begin, std::size_t end, std::size_t& tried) {
    const std::uint8_t* bins = &rows_.bins[feature * rows_.rows];
    const std::size_t bin_count = rows_.edges[feature].size() + 1;
    std::fill_n(histogram_.begin(), bin_count, Bin{});
    Bin all;
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint32_t row = drawn_[i];
      const double y = static_cast<double>(target_[row]) - base_;
      Bin& bin = histogram_[bins[row]];
      bin.sum += y;
      bin.rows += 1;
      all.sum += y;
    }
    all.rows = static_cast<double>(end - begin);
    std::size_t first = 0, last = bin_count - 1;
    while (first < last && histogram_[first].rows == 0) ++first;
    while (last > first && histogram_[last].rows == 0) --last;
    if (first == last) return {};
    ++tried;
    std::size_t only = bin_count;
    if (settings_.random_thresholds) {
      // Evenly between the least and the greatest threshold that divides the rows; the one next to it.
      const std::vector<float>& edges = rows_.edges[feature];
      const double low = edges[first], high = edges[last - 1];
      const auto drawn = static_cast<float>(low + random_.uniform() * (high - low));
      const auto at = std::lower_bound(edges.begin() + static_cast<std::ptrdiff_t>(first),
                                       edges.begin() + static_cast<std::ptrdiff_t>(last) - 1, drawn);
      only = static_cast<std::size_t>(at - edges.begin());
    }
    Split best;
    Bin left;
    const auto fewest = static_cast<double>(settings_.min_leaf);
    for (std::size_t b = first; b < last; ++b) {
      left.sum += histogram_[b].sum;
      left.rows += histogram_[b].rows;
      if (settings_.random_thresholds && b != only) continue;
      const double right_rows = all.rows - left.rows, right_sum = all.sum - left.sum;
      if (left.rows < fewest || right_rows < fewest) continue;
      const double gain = left.sum * left.sum / left.rows + right_sum * right_sum / right_rows - all.sum * all.sum / all.rows;
      // What is left of rounding is no gain.
      if (gain > best.gain && gain > 1e-9 * all.rows) best = {gain, feature, b};
    }
    return best;
  }

  const BinnedRows& rows_;
  const std::vector<float>& target_;
  const Settings& settings_;
  const double base_;
  dataset::Seeded random_;
  std::vector<std::uint32_t> drawn_;  ///< rows, those of a node side by side
  std::vector<std::size_t> order_;    ///< features
  std::array<Bin, max_bins> histogram_;
  PlainTree tree_;
};

class ForestTrainer : public Trainer {
 public:
  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    const double share = number(parameters, "features");
    Settings settings{.random_thresholds = random_thresholds(),
                      .trees = count(parameters, "trees"),
                      .max_depth = count(parameters, "max_depth"),
                      .min_leaf = count(parameters, "min_leaf"),
                      .features_tried = static_cast<std::size_t>(std::ceil(share * static_cast<double>(set.rows.features))),
                      .subsample = number(parameters, "subsample"),
                      .with_replacement = !random_thresholds()};
    const BinnedRows binned = bin_rows(set.rows, count(parameters, "max_bin"), options.threads);
    const double base = mean_of(set.target);
    std::vector<PlainTree> trees(settings.trees);
    Work work(settings.trees, options.progress);
    std::atomic<std::size_t> nodes = 0;
    run_tasks(settings.trees, options.threads, [&](std::size_t t) {
      if (work.cancelled() || nodes > max_forest_nodes) return;
      trees[t] = TreeGrower(binned, set.target, settings, base, options.seed * 0x9e3779b97f4a7c15 + t).grow();
      nodes += trees[t].size();
      work.step();
    });
    if (work.cancelled()) return cancelled();
    if (nodes > max_forest_nodes)
      return fail(Fault::invalid_input,
                  fmt::format("{}: the forest has above {} nodes; raise min_leaf, or grow fewer trees", name(), max_forest_nodes));
    TRY_LET(model::TreeEnsemble ensemble, model::TreeEnsemble::build(static_cast<float>(base), set.rows.features, trees));
    return model::Regressor(std::move(ensemble));
  }

 protected:
  virtual bool random_thresholds() const = 0;
  static std::vector<Parameter> parameters_with(double features, double subsample, std::string_view subsample_meaning) {
    return {{.name = "trees", .standard = 150, .low = 1, .high = 5000, .meaning = "number of trees"},
            {.name = "max_depth", .standard = 24, .low = 1, .high = 200, .meaning = "of a tree"},
            {.name = "min_leaf",
             .standard = 8,
             .low = 1,
             .high = 1e6,
             .search_low = 3,
             .search_high = 30,
             .logarithmic = true,
             .meaning = "fewest rows in a leaf"},
            {.name = "features",
             .standard = features,
             .low = 0.001,
             .high = 1,
             .search_low = 0.2,
             .search_high = 0.8,
             .meaning = "part of the features that are tried at a split"},
            {.name = "subsample",
             .standard = subsample,
             .low = 0.01,
             .high = 1,
             .search_low = 0.3,
             .search_high = 1,
             .meaning = subsample_meaning},
            {.name = "max_bin", .standard = 64, .low = 2, .high = 256, .meaning = "distinct thresholds of a feature, and one"}};
  }
};

class RandomForestTrainer final : public ForestTrainer {
 public:
  std::string_view name() const override { return "random_forest"; }
  std::string_view description() const override { return "trees on drawn rows, best splits of drawn features, averaged"; }
  std::vector<Parameter> parameters() const override {
    return parameters_with(0.33, 0.6, "rows that a tree sees, drawn with replacement, as a part of all");
  }

 private:
  bool random_thresholds() const override { return false; }
};

class ExtraTreesTrainer final : public ForestTrainer {
 public:
  std::string_view name() const override { return "extra_trees"; }
  std::string_view description() const override { return "trees with thresholds drawn at random, averaged"; }
  std::vector<Parameter> parameters() const override {
    return parameters_with(0.5, 1.0, "rows that a tree sees, drawn without replacement, as a part of all");
  }

 private:
  bool random_thresholds() const override { return true; }
};

}  // namespace

std::unique_ptr<Trainer> make_random_forest() { return std::make_unique<RandomForestTrainer>(); }
std::unique_ptr<Trainer> make_extra_trees() { return std::make_unique<ExtraTreesTrainer>(); }

}  // namespace nacelle::trainer
