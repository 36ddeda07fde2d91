// The pipeline of models that take raw columns: inputs are features.

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ml/feature/detail/tables.h"

namespace nacelle::feature {

Result<Pipeline> Pipeline::identity(const std::vector<std::string>& columns) {
  json::Array names;
  for (const std::string& column : columns) names.emplace_back(column);
  // By way of its document, so that what is made here and what is read back are checked by the same rules.
  TRY_LET(const Recipe recipe,
          Recipe::from_json(json::Object{{"identity", true}, {"settings", json::Array{}}, {"sensors", std::move(names)}}));
  return identity_of(recipe);
}

Result<Pipeline> Pipeline::identity_of(const Recipe& recipe) {
  auto tables = std::make_shared<Tables>();
  tables->recipe = recipe;
  tables->complete();
  if (tables->input_names.empty()) return fail(Fault::invalid_input, "feature pipeline: expected a column beside the cycle");
  return Pipeline(std::move(tables));
}

void Pipeline::Tables::complete_identity() {
  const auto is_cycle = [](const std::string& name) { return name == "cycle" || name == "CycleTime"; };
  feature_names = recipe.input_names();
  input_names.clear();
  identity_input.clear();
  for (const std::string& name : feature_names) {
    identity_input.push_back(is_cycle(name) ? -1 : static_cast<int>(input_names.size()));
    if (!is_cycle(name)) input_names.push_back(name);
  }
  kept.resize(feature_names.size());  // a state holds one value for each feature
  recipe.cycle_count = false;         // a reading need not tell its cycle: they are counted
  recipe.ewma_rates.clear();          // nothing is remembered but the newest reading
  for (auto* lengths : {&recipe.mean_windows, &recipe.slope_windows, &recipe.spread_windows}) lengths->clear();
  identify();
}

void take_in_identity(const Pipeline::Tables& tables, std::int64_t cycle, std::span<const double> values,
                      EngineState::Data& state) {
  for (std::size_t f = 0; f < tables.identity_input.size(); ++f) {
    const int input = tables.identity_input[f];
    const double value = input < 0 ? static_cast<double>(cycle) : values[static_cast<std::size_t>(input)];
    state.held_z[f] = std::isfinite(value) ? value : std::numeric_limits<double>::quiet_NaN();
  }
  if (state.last_cycle == 0) state.first_cycle = cycle;
  state.last_cycle = cycle;
  state.cycles[0] = cycle;
  state.count = 1;
}

}  // namespace nacelle::feature
