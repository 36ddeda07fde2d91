#include "ml/model/xgboost_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "codec/text/encoding.h"

namespace nacelle::model {

namespace {

constexpr std::string_view where = "XGBoost model";
constexpr std::array<std::string_view, 5> identity_objectives = {"reg:squarederror", "reg:linear", "reg:absoluteerror",
                                                                 "reg:pseudohubererror", "reg:quantileerror"};

Failure wrong(std::string_view what) { return fail(Fault::invalid_input, fmt::format("{}: {}", where, what)); }

Result<const json::Array*> get_array(const json::Value& object, std::string_view key) {
  const json::Value* found = object.find(key);
  if (!found || !found->is_array()) return wrong(fmt::format("{}: expected an array", key));
  return &found->as_array();
}

/// XGBoost writes floats in the shortest decimal form, so the nearest double, rounded, is the float that was written.
Result<std::vector<double>> get_numbers(const json::Value& tree, std::string_view key, std::size_t count) {
  TRY_LET(const json::Array* items, get_array(tree, key));
  if (items->size() != count) return wrong(fmt::format("{}: expected {} items, found {}", key, count, items->size()));
  std::vector<double> numbers;
  numbers.reserve(count);
  for (const json::Value& item : *items) {
    if (item.is_bool())
      numbers.push_back(item.as_bool() ? 1 : 0);
    else if (item.is_number())
      numbers.push_back(item.as_number());
    else
      return wrong(fmt::format("{}: expected numbers", key));
  }
  return numbers;
}

Result<std::vector<TreeEnsemble::PlainNode>> read_tree(const json::Value& tree) {
  if (const json::Value* categories = tree.find("categories");
      categories && categories->is_array() && !categories->as_array().empty())
    return wrong("categorical splits are not supported");
  TRY_LET(const json::Array* lefts, get_array(tree, "left_children"));
  const std::size_t count = lefts->size();
  TRY_LET(const auto left, get_numbers(tree, "left_children", count));
  TRY_LET(const auto right, get_numbers(tree, "right_children", count));
  TRY_LET(const auto feature, get_numbers(tree, "split_indices", count));
  TRY_LET(const auto condition, get_numbers(tree, "split_conditions", count));
  TRY_LET(const auto silent_left, get_numbers(tree, "default_left", count));
  std::vector<double> cover(count);
  if (tree.find("sum_hessian")) {
    TRY_LET(cover, get_numbers(tree, "sum_hessian", count));
  }
  std::vector<TreeEnsemble::PlainNode> nodes(count);
  for (std::size_t i = 0; i < count; ++i) {
    // A leaf's value is kept where an inner node's threshold is.
    const auto number = static_cast<float>(condition[i]);
    const bool leaf = left[i] < 0;
    const auto index = [count](double at) { return at >= -1 && at < static_cast<double>(count) && at == std::floor(at); };
    if (!index(left[i]) || (!leaf && !index(right[i]))) return wrong("a node's child is not in its tree");
    if (!leaf && !(feature[i] >= 0 && feature[i] < TreeEnsemble::silent_goes_left))
      return wrong("a feature's index is out of range");
    nodes[i] = {.left = static_cast<int>(left[i]),
                .right = leaf ? -1 : static_cast<int>(right[i]),
                .feature = leaf ? 0 : static_cast<std::uint32_t>(feature[i]),
                .threshold = leaf ? 0 : number,
                .value = leaf ? number : 0,
                .silent_left = silent_left[i] != 0,
                .cover = static_cast<float>(cover[i])};
  }
  return nodes;
}

}  // namespace

Result<TreeEnsemble> read_xgboost(const json::Value& document) {
  const json::Value* parameters = document.at_path({"learner", "learner_model_param"});
  const json::Value* booster = document.at_path({"learner", "gradient_booster"});
  const json::Value* model = document.at_path({"learner", "gradient_booster", "model"});
  if (const json::Value* name = booster ? booster->find("name") : nullptr;
      name && (!name->is_string() || name->as_string() != "gbtree"))
    return wrong("only the booster gbtree is supported");
  if (!parameters || !model) return wrong("expected members learner.learner_model_param and learner.gradient_booster.model");
  const json::Value* objective = document.at_path({"learner", "objective", "name"});
  const auto known = [&](std::string_view name) { return objective && objective->is_string() && objective->as_string() == name; };
  if (std::none_of(identity_objectives.begin(), identity_objectives.end(), known))
    return wrong(fmt::format("only objectives whose sum of leaves is the prediction are supported: {}",
                             fmt::join(identity_objectives, ", ")));
  for (const char* key : {"num_class", "num_target"})
    if (const json::Value* outputs = parameters->find(key); outputs && outputs->is_string() && outputs->as_string() > "1")
      return wrong(fmt::format("{}: only models of one output are supported", key));
  TRY_LET(const std::string base_text, json::get_string(*parameters, "base_score", where));
  TRY_LET(const std::string features_text, json::get_string(*parameters, "num_feature", where));
  std::string_view base_number = base_text;  // "[8.1E1]" from version 3.1 on
  if (base_number.starts_with('[') && base_number.ends_with(']')) base_number = base_number.substr(1, base_number.size() - 2);
  TRY_LET(const double base_score, in(text::parse_number(base_number, "base_score"), where));
  TRY_LET(const std::int64_t features, in(text::parse_integer(features_text, "num_feature"), where));
  if (features < 0 || features >= TreeEnsemble::silent_goes_left)
    return wrong(fmt::format("num_feature: {} is out of range", features));
  TRY_LET(const json::Array* trees, get_array(*model, "trees"));
  std::vector<std::vector<TreeEnsemble::PlainNode>> plain;
  for (const json::Value& tree : *trees) {
    TRY_LET(auto nodes, in(read_tree(tree), fmt::format("tree {}", plain.size())));
    plain.push_back(std::move(nodes));
  }
  return TreeEnsemble::build(static_cast<float>(base_score), static_cast<std::size_t>(features), plain);
}

Result<std::vector<std::string>> read_xgboost_feature_names(const json::Value& document) {
  std::vector<std::string> names;
  const json::Value* found = document.at_path({"learner", "feature_names"});
  if (!found || !found->is_array()) return names;
  for (const json::Value& name : found->as_array()) {
    if (!name.is_string()) return wrong("feature_names: expected strings");
    names.push_back(name.as_string());
  }
  return names;
}

}  // namespace nacelle::model
