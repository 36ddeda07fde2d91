#include "ml/evaluation/explanations.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ml/evaluation/chart.h"

namespace nacelle::evaluation {

namespace {

void sort_by_size(std::vector<model::Contribution>& parts) {
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return std::abs(a.cycles) > std::abs(b.cycles); });
}

/// Adds each part's size to the sum of its name.
void add_sizes(Importance& sums, const std::vector<model::Contribution>& parts) {
  if (sums.empty())
    for (const auto& part : parts) sums.push_back({part.name, 0});
  for (std::size_t p = 0; p < parts.size(); ++p) sums[p].cycles += std::abs(parts[p].cycles);
}

/// The features of each engine after its last reading, as the model takes them.
Result<std::vector<std::vector<float>>> last_rows(const model::Estimator& estimator, const dataset::FleetTable& table) {
  const feature::Pipeline& pipeline = estimator.pipeline();
  std::vector<std::size_t> columns;
  for (const std::string& name : pipeline.input_names()) {
    const auto at = table.find_column(name);
    if (!at) return fail(Fault::invalid_input, fmt::format("the data have no column '{}', which the model needs", name));
    columns.push_back(*at);
  }
  std::vector<std::vector<float>> rows;
  std::vector<double> values(columns.size());
  std::array<float, feature::max_features> row;
  for (const dataset::EngineRows& engine : table.engines) {
    feature::EngineState state;
    for (std::size_t r = engine.begin; r < engine.end; ++r) {
      for (std::size_t i = 0; i < columns.size(); ++i) values[i] = table.columns[columns[i]][r];
      TRY(in(pipeline.step(state, table.cycle[r], values, row), fmt::format("engine {}", engine.unit)));
    }
    rows.emplace_back(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(pipeline.feature_count()));
  }
  return rows;
}

/// Bars with their names, drawn with the report's classes.
std::string bars(const Importance& importance, std::size_t shown) {
  const double widest = importance.empty() ? 1 : std::max(importance.front().cycles, 1e-9);
  std::string out = "<table>";
  for (std::size_t i = 0; i < std::min(shown, importance.size()); ++i)
    out += fmt::format(
        "<tr><td>{}</td><td><svg width=\"220\" height=\"12\" role=\"img\"><g class=\"bars c1\"><rect x=\"0\" y=\"1\" "
        "width=\"{:.1f}\" "
        "height=\"10\" rx=\"2\"/></g></svg></td><td>{:.2f}</td></tr>",
        escape_markup(importance[i].name), std::max(1.0, 220 * importance[i].cycles / widest), importance[i].cycles);
  return out + "</table>";
}

}  // namespace

Result<FleetExplanation> explain_fleet(const model::Estimator& estimator, const dataset::FleetTable& table, std::size_t most) {
  const feature::Pipeline& pipeline = estimator.pipeline();
  TRY_LET(const auto rows, last_rows(estimator, table));
  FleetExplanation fleet;
  for (const std::string& name : pipeline.feature_names()) fleet.features.push_back({name, 0});
  const std::size_t count = std::min(most, rows.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t e = i * rows.size() / count;
    TRY_LET(const model::Explanation why, estimator.explain(rows[e]));
    EngineExplanation engine{.engine = e,
                             .base = why.base,
                             .exact = why.exact,
                             .features = why.features,
                             .channels = model::by_channel(pipeline, why.features)};
    fleet.exact = fleet.exact && why.exact;
    for (std::size_t f = 0; f < why.features.size(); ++f) fleet.features[f].cycles += std::abs(why.features[f]);
    add_sizes(fleet.channels, engine.channels);
    add_sizes(fleet.sensors, model::by_sensor(pipeline, why.features));
    sort_by_size(engine.channels);
    fleet.engines.push_back(std::move(engine));
  }
  for (Importance* importance : {&fleet.features, &fleet.channels, &fleet.sensors}) {
    for (auto& part : *importance) part.cycles /= static_cast<double>(std::max<std::size_t>(count, 1));
    sort_by_size(*importance);
  }
  return fleet;
}

json::Value to_json(const Importance& importance) {
  json::Object all;
  for (const auto& part : importance) all.set(part.name, part.cycles);
  return all;
}

json::Value to_json(const EngineExplanation& explanation, const feature::Pipeline& pipeline) {
  json::Object features, channels;
  for (std::size_t f = 0; f < explanation.features.size(); ++f) features.set(pipeline.feature_names()[f], explanation.features[f]);
  for (const auto& part : explanation.channels) channels.set(part.name, part.cycles);
  return json::Object{{"base", explanation.base},
                      {"method", explanation.exact ? "exact" : "sampled"},
                      {"channels", std::move(channels)},
                      {"features", std::move(features)}};
}

std::string render_importance(const FleetExplanation& explanation) {
  constexpr std::size_t shown = 15;
  return fmt::format(
      "<h2>What predictions are made of</h2><p class=\"soft\">Mean size of what each part adds to or takes from a prediction, in "
      "cycles, over {} engines ({}; sensors by their weight in the fused channels).</p><div class=\"plots\"><div "
      "class=\"scroll\">{}</div><div class=\"scroll\">{}{}</div></div>",
      explanation.engines.size(),
      explanation.exact ? "exact Shapley values" : "Shapley values, of networks and trajectories by sampled orders",
      bars(explanation.features, shown), bars(explanation.channels, shown), bars(explanation.sensors, shown));
}

}  // namespace nacelle::evaluation
