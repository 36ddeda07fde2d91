// TreeSHAP.

#include <algorithm>

#include "ml/model/explanation.h"

namespace nacelle::model {

namespace {

/// A feature on the way from the root: the share of training rows that pass its conditions when it is not known (`zero`), whether
/// this row does (`one`), and the weight of the subsets in which i of the features before it are known.
struct PathElement {
  std::size_t feature = 0;
  double zero = 0;
  double one = 0;
  double weight = 0;
};

/// path[0 .. last] grows by one element at `last`.
void extend(PathElement* path, std::size_t last, double zero, double one, std::size_t feature) {
  path[last] = {.feature = feature, .zero = zero, .one = one, .weight = last == 0 ? 1.0 : 0.0};
  const auto length = static_cast<double>(last + 1);
  for (std::size_t i = last; i-- > 0;) {
    path[i + 1].weight += one * path[i].weight * static_cast<double>(i + 1) / length;
    path[i].weight *= zero * static_cast<double>(last - i) / length;
  }
}

/// Takes element `index` out of path[0 .. last] again.
void unwind(PathElement* path, std::size_t last, std::size_t index) {
  const double one = path[index].one, zero = path[index].zero;
  const auto length = static_cast<double>(last + 1);
  double next = path[last].weight;
  for (std::size_t i = last; i-- > 0;) {
    const auto rest = static_cast<double>(last - i);
    if (one != 0) {
      const double before = path[i].weight;
      path[i].weight = next * length / (static_cast<double>(i + 1) * one);
      next = before - path[i].weight * zero * rest / length;
    } else if (zero != 0) {
      path[i].weight *= length / (zero * rest);
    }
  }
  for (std::size_t i = index; i < last; ++i) {
    path[i].feature = path[i + 1].feature;
    path[i].zero = path[i + 1].zero;
    path[i].one = path[i + 1].one;
  }
}

/// The weights' sum if element `index` were taken out.
double unwound_sum(const PathElement* path, std::size_t last, std::size_t index) {
  const double one = path[index].one, zero = path[index].zero;
  const auto length = static_cast<double>(last + 1);
  double next = path[last].weight, total = 0;
  for (std::size_t i = last; i-- > 0;) {
    const auto rest = static_cast<double>(last - i);
    if (one != 0) {
      const double weight = next * length / (static_cast<double>(i + 1) * one);
      total += weight;
      next = path[i].weight - weight * zero * rest / length;
    } else if (zero != 0) {
      total += path[i].weight * length / (zero * rest);
    }
  }
  return total;
}

/// The part of a node's training rows that went to `child`. Children without any rows count as alike.
double share(const TreeEnsemble::View& tree, std::size_t left, std::size_t child) {
  const double both = static_cast<double>(tree.covers[left]) + static_cast<double>(tree.covers[left + 1]);
  return both > 0 ? static_cast<double>(tree.covers[child]) / both : 0.5;
}

class TreeExplainer {
 public:
  TreeExplainer(const float* row, std::size_t depth, std::vector<double>& out)
      : row_(row), out_(out), paths_((depth + 2) * (depth + 3) / 2 + depth + 2) {}

  void add(const TreeEnsemble::View& tree) { descend(tree, 0, paths_.data(), nullptr, 0, 1, 1, 0); }

 private:
  /// `parent`: the path so far, of `length` elements; this node's own begins at `path` (each level keeps its own copy).
  void descend(const TreeEnsemble::View& tree, std::size_t node, PathElement* path, const PathElement* parent, std::size_t length,
               double zero, double one, std::size_t feature) {
    std::copy(parent, parent + length, path);
    extend(path, length, zero, one, feature);
    std::size_t last = length;
    if (tree.is_leaf(node)) {
      const auto value = static_cast<double>(tree.values[node]);
      for (std::size_t i = 1; i <= last; ++i)
        out_[path[i].feature] += unwound_sum(path, last, i) * (path[i].one - path[i].zero) * value;
      return;
    }
    const std::size_t left = tree.nodes[node].left;
    const std::size_t split = tree.feature(node);
    const std::size_t hot = tree.next(node, row_);
    const std::size_t cold = hot == left ? left + 1 : left;
    double zero_before = 1, one_before = 1;
    for (std::size_t i = 1; i <= last; ++i) {
      if (path[i].feature != split) continue;
      zero_before = path[i].zero;
      one_before = path[i].one;
      unwind(path, last--, i);
      break;
    }
    PathElement* below = path + last + 1;
    descend(tree, hot, below, path, last + 1, zero_before * share(tree, left, hot), one_before, split);
    descend(tree, cold, below, path, last + 1, zero_before * share(tree, left, cold), 0, split);
  }

  const float* row_;
  std::vector<double>& out_;
  std::vector<PathElement> paths_;
};

double mean_value(const TreeEnsemble::View& tree, std::vector<double>& means) {
  means.resize(tree.count);
  for (std::size_t node = tree.count; node-- > 0;) {  // children come after their parents
    const std::size_t left = tree.nodes[node].left;
    means[node] = tree.is_leaf(node) ? static_cast<double>(tree.values[node])
                                     : share(tree, left, left) * means[left] + share(tree, left, left + 1) * means[left + 1];
  }
  return means[0];
}

}  // namespace

Result<Explanation> explain(const TreeEnsemble& trees, std::span<const float> row) {
  INVARIANT(row.size() >= trees.feature_count(), "a row has all features");
  if (!trees.has_covers())
    return fail(
        Fault::unavailable,
        "explanation: the model does not tell how many training rows came to each node of its trees; train or import it again");
  Explanation explanation{.base = static_cast<double>(trees.base_score()), .features = std::vector<double>(trees.feature_count())};
  std::vector<double> means;
  TreeExplainer explainer(row.data(), trees.depth(), explanation.features);
  for (std::size_t t = 0; t < trees.tree_count(); ++t) {
    const TreeEnsemble::View tree = trees.tree(t);
    explanation.base += mean_value(tree, means);
    if (tree.count > 1) explainer.add(tree);
  }
  return explanation;
}

}  // namespace nacelle::model
