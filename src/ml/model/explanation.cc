#include "ml/model/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

#include "ml/model/detail/explain_single.h"

namespace nacelle::model {

namespace {

Result<Explanation> explain_one(const TreeEnsemble& trees, std::span<const float> row, const Background&) {
  return explain(trees, row);
}

Result<Explanation> explain_one(const LinearModel& line, std::span<const float> row, const Background&) {
  Explanation explanation{.base = line.intercept, .features = {}};
  for (std::size_t f = 0; f < line.weight.size(); ++f)
    explanation.features.push_back(line.weight[f] * ((static_cast<double>(row[f]) - line.centre[f]) * line.scale[f]));
  return explanation;
}

Result<Explanation> explain_one(const LogLifeTrees& trees, std::span<const float> row, const Background&) {
  return explain_log_life(trees, row);
}

/// Those that are laid beside background rows.
template <class Model>
Result<Explanation> explain_one(const Model& model, std::span<const float> row, const Background& background) {
  if (background.rows() == 0)
    return fail(
        Fault::unavailable,
        fmt::format("explanation: models of the kind '{}' are explained against rows that they learned from, and this one was "
                    "made before such were kept; train it again (trees and lines need none)",
                    Model::kind));
  if constexpr (std::is_same_v<Model, KernelModel>) return explain_kernel(model, row, background);
  if constexpr (std::is_same_v<Model, Network>) return explain_network(model, row, background);
  if constexpr (std::is_same_v<Model, TrajectoryLibrary>) return explain_trajectories(model, row, background);
}

/// Members are cut to 0 .. cap before they are added: base and parts of one that is cut come closer to each other by the same
/// factor.
void cut(Explanation& explanation, double cap) {
  const double whole = std::accumulate(explanation.features.begin(), explanation.features.end(), 0.0);
  const double base = std::clamp(explanation.base, 0.0, cap);
  const double told = std::clamp(explanation.base + whole, 0.0, cap);
  const double factor = whole == 0 ? 1 : (told - base) / whole;
  explanation.base = base;
  for (double& part : explanation.features) part *= factor;
}

Result<Explanation> explain_one(const Blend& blend, std::span<const float> row, const Background& background) {
  Explanation sum{.base = 0, .features = std::vector<double>(blend.row_features)};
  for (const Blend::Member& member : blend.members) {
    std::vector<float> part;
    for (const std::uint16_t column : member.columns) part.push_back(row[column]);
    const Background beside = background.rows() == 0 ? Background{} : background.part(member.columns);
    TRY_LET(Explanation one, std::visit([&](const auto& model) { return explain_one(model, part, beside); }, member.model));
    cut(one, blend.cap);
    sum.base += member.weight * one.base;
    for (std::size_t c = 0; c < member.columns.size(); ++c) sum.features[member.columns[c]] += member.weight * one.features[c];
    sum.exact = sum.exact && one.exact;
  }
  return sum;
}

bool beside_rows(const Single& single) {
  return std::holds_alternative<KernelModel>(single) || std::holds_alternative<Network>(single) ||
         std::holds_alternative<TrajectoryLibrary>(single);
}

std::string_view channel_of(std::string_view feature) { return feature.substr(0, feature.find('.')); }

Contribution& part_named(std::vector<Contribution>& parts, std::string_view name) {
  for (Contribution& part : parts)
    if (part.name == name) return part;
  return parts.emplace_back(Contribution{std::string(name), 0});
}

}  // namespace

Background Background::part(std::span<const std::uint16_t> columns) const {
  Background chosen{.features = columns.size(), .values = {}};
  for (std::size_t r = 0; r < rows(); ++r)
    for (const std::uint16_t column : columns) chosen.values.push_back(row(r)[column]);
  return chosen;
}

bool needs_background(const Regressor& regressor) {
  return std::visit(
      []<class Model>(const Model& model) {
        if constexpr (std::is_same_v<Model, Blend>)
          return std::any_of(model.members.begin(), model.members.end(),
                             [](const auto& member) { return beside_rows(member.model); });
        else
          return beside_rows(model);
      },
      regressor);
}

Result<Explanation> explain(const Regressor& regressor, std::span<const float> row, const Background& background) {
  const std::size_t features = feature_count(regressor);
  INVARIANT(row.size() >= features, "a row has all features");
  INVARIANT(background.rows() == 0 || background.features == features, "the background has the model's features");
  return std::visit([&](const auto& model) { return explain_one(model, row.first(features), background); }, regressor);
}

std::vector<Contribution> by_channel(const feature::Pipeline& pipeline, std::span<const double> features) {
  std::vector<Contribution> parts;
  const auto& names = pipeline.feature_names();
  const bool raw = pipeline.recipe().identity;  // columns may have dots in their names
  for (std::size_t f = 0; f < features.size(); ++f) part_named(parts, raw ? names[f] : channel_of(names[f])).cycles += features[f];
  return parts;
}

namespace {

/// What is said of the fitted lives ("life"), given to the channels and features that they are made of, by the size of their
/// weights in all fits; of a product half to each.
void share_out_lives(const json::Value& tables, const std::vector<std::string>& names, std::vector<Contribution>& channels) {
  const auto life = std::find_if(channels.begin(), channels.end(), [](const Contribution& c) { return c.name == "life"; });
  const json::Value* fits = tables.find("fits");
  const json::Value* curved = tables.find("fit_curved");
  if (life == channels.end() || !fits || !curved) return;
  const double cycles = life->cycles;
  channels.erase(life);
  const auto inputs = static_cast<std::size_t>(std::find(names.begin(), names.end(), "life.1") - names.begin());
  std::vector<double> sizes(inputs);
  double total = 0;
  for (const json::Value& row : fits->as_array().front().find("weight")->as_array()) {
    const json::Array& weights = row.as_array();
    std::size_t term = 0;
    for (; term < inputs; ++term) sizes[term] += std::abs(weights[term].as_number());
    for (std::size_t a = 0; a < curved->as_array().size(); ++a)
      for (std::size_t b = a; b < curved->as_array().size(); ++b, ++term)
        for (const std::size_t factor : {a, b})
          sizes[static_cast<std::size_t>(curved->as_array()[factor].as_integer())] += std::abs(weights[term].as_number()) / 2;
  }
  for (const double size : sizes) total += size;
  if (total == 0) return;
  for (std::size_t f = 0; f < inputs; ++f) part_named(channels, channel_of(names[f])).cycles += cycles * sizes[f] / total;
}

}  // namespace

std::vector<Contribution> by_sensor(const feature::Pipeline& pipeline, std::span<const double> features) {
  const json::Value tables = pipeline.to_json();
  const json::Value* sensors = tables.find("kept_sensors");
  const json::Value* fusion = tables.find("fusion");
  if (!sensors || !fusion || !sensors->is_array() || !fusion->is_array()) return by_channel(pipeline, features);
  std::vector<Contribution> parts, others;
  for (const json::Value& sensor : sensors->as_array()) parts.push_back({sensor.as_string(), 0});
  std::size_t channel = 0;
  std::vector<Contribution> channels = by_channel(pipeline, features);
  share_out_lives(tables, pipeline.feature_names(), channels);
  for (const Contribution& whole : channels) {
    const bool fused = channel < fusion->as_array().size() && (whole.name == "health" || whole.name.starts_with("drift"));
    double total = 0;
    if (fused)
      for (const json::Value& weight : fusion->as_array()[channel].as_array()) total += std::abs(weight.as_number());
    if (total == 0) {
      others.push_back(whole);
    } else {
      const json::Array& weights = fusion->as_array()[channel].as_array();
      for (std::size_t k = 0; k < parts.size(); ++k) parts[k].cycles += whole.cycles * std::abs(weights[k].as_number()) / total;
    }
    if (fused) ++channel;
  }
  parts.insert(parts.end(), others.begin(), others.end());
  return parts;
}

}  // namespace nacelle::model
