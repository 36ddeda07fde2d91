#include "ml/trainer/detail/apart.h"

#include <algorithm>
#include <optional>

#include "ml/feature/pipeline.h"
#include "ml/trainer/detail/tasks.h"

namespace nacelle::trainer {

namespace {

/// Fewer rows than this grow no trees of their own.
constexpr std::size_t min_rows_apart = 50;

std::optional<std::size_t> joined_column(const TrainingSet& set) {
  const auto found = std::find(set.feature_names.begin(), set.feature_names.end(), feature::joined_feature);
  if (found == set.feature_names.end()) return std::nullopt;
  return static_cast<std::size_t>(found - set.feature_names.begin());
}

/// The rows for which `late` is `wanted`, and their bounds.
std::pair<TrainingSet, std::vector<float>> part_of(const TrainingSet& set, const std::vector<float>& upper_bound,
                                                   const std::vector<std::uint8_t>& late, std::uint8_t wanted) {
  TrainingSet part{.rows = {.rows = 0, .features = set.rows.features, .values = {}},
                   .feature_names = set.feature_names,
                   .target = {},
                   .engine = {},
                   .censored = {},
                   .cap = set.cap};
  std::vector<float> bounds;
  for (std::size_t row = 0; row < set.rows.rows; ++row) {
    if (late[row] != wanted) continue;
    part.rows.values.insert(part.rows.values.end(), set.rows.row(row), set.rows.row(row) + set.rows.features);
    part.target.push_back(set.target[row]);
    if (!set.engine.empty()) part.engine.push_back(set.engine[row]);
    if (!set.censored.empty()) part.censored.push_back(set.censored[row]);
    if (!upper_bound.empty()) bounds.push_back(upper_bound[row]);
    ++part.rows.rows;
  }
  return {std::move(part), std::move(bounds)};
}

const json::Array& numbers(const json::Value& tree, std::string_view key) { return tree.find(key)->as_array(); }

/// The weight of the rows that came to the root of either tree.
double rows_of(const json::Value& whole, const json::Value& late) {
  return numbers(whole, "sum_hessian").front().as_number() + numbers(late, "sum_hessian").front().as_number();
}

/// One tree of XGBoost's JSON form: `whole` where `column` is below 0.5, else `late`.
json::Value graft(const json::Value& whole, const json::Value& late, std::size_t column) {
  const auto whole_nodes = static_cast<std::int64_t>(numbers(whole, "left_children").size());
  json::Object joined;
  for (const std::string_view key : {"left_children", "right_children"}) {
    json::Array children{key == "left_children" ? std::int64_t{1} : whole_nodes + 1};
    std::int64_t base = 1;
    for (const json::Value* tree : {&whole, &late}) {
      for (const json::Value& child : numbers(*tree, key))
        children.emplace_back(child.as_integer() < 0 ? std::int64_t{-1} : child.as_integer() + base);
      base += whole_nodes;
    }
    joined.set(std::string(key), std::move(children));
  }
  const std::pair<std::string_view, json::Value> roots[] = {
      {"split_indices", column}, {"split_conditions", 0.5}, {"default_left", 1}, {"sum_hessian", rows_of(whole, late)}};
  for (const auto& [key, root] : roots) {
    json::Array all{root};
    for (const json::Value* tree : {&whole, &late}) all.insert(all.end(), numbers(*tree, key).begin(), numbers(*tree, key).end());
    joined.set(std::string(key), std::move(all));
  }
  return joined;
}

json::Array* trees_of(json::Value& document) {
  json::Value* at = &document;
  for (const char* key : {"learner", "gradient_booster", "model", "trees"}) {
    if (!at->is_object()) return nullptr;
    at = at->as_object().find(key);
    if (!at) return nullptr;
  }
  return at->is_array() ? &at->as_array() : nullptr;
}

/// Of each row, whether its engine joined late or with an unknown count; empty if the set does not have the feature.
std::vector<std::uint8_t> joined_late(const TrainingSet& set) {
  const auto column = joined_column(set);
  std::vector<std::uint8_t> late;
  if (column)
    for (std::size_t row = 0; row < set.rows.rows; ++row) late.push_back(set.rows.row(row)[*column] > 0.5f);
  return late;
}

}  // namespace

double mean_of_whole(const TrainingSet& set) {
  const std::vector<std::uint8_t> late = joined_late(set);
  std::vector<float> targets;
  for (std::size_t row = 0; row < late.size(); ++row)
    if (!late[row]) targets.push_back(set.target[row]);
  return mean_of(targets.empty() ? set.target : targets);
}

Result<json::Value> grow_apart(const TrainingSet& set, const FitOptions& options, const Growth& growth) {
  const std::vector<std::uint8_t> late = joined_late(set);
  const auto late_rows = static_cast<std::size_t>(std::count(late.begin(), late.end(), 1));
  if (std::min(late_rows, late.size() - late_rows) < min_rows_apart) return grow(set, options, growth);
  Pieces pieces(2, [&options](std::size_t, double done) { return !options.progress || options.progress(done); });
  std::vector<Result<json::Value>> documents(2, json::Value());
  run_tasks(2, options.threads, [&](std::size_t kind) {
    auto [part, bounds] = part_of(set, growth.upper_bound, late, static_cast<std::uint8_t>(kind));
    Growth of_part = growth;
    of_part.upper_bound = std::move(bounds);
    FitOptions with = options;
    with.threads = std::max(1, options.threads / 2);  // two fits side by side gain more than two threads of one
    with.progress = [&pieces, kind](double done) { return pieces.tell(kind, done); };
    documents[kind] = grow(part, with, of_part);
  });
  for (const Result<json::Value>& document : documents)
    if (!document) return fail(document.error());
  json::Array* whole = trees_of(*documents[0]);
  const json::Array* others = trees_of(*documents[1]);
  INVARIANT(whole && others && whole->size() == others->size(), "both were grown over as many rounds");
  for (std::size_t tree = 0; tree < whole->size(); ++tree)
    (*whole)[tree] = graft((*whole)[tree], (*others)[tree], *joined_column(set));
  return std::move(*documents[0]);
}

}  // namespace nacelle::trainer
