// What an experiment says, made definite before it runs: spaces filled, names checked, the recipe chosen.

#include "ml/trainer/trainer.h"
#include "service/workbench/sweep.h"

namespace nacelle::workbench {

Result<> fill_spaces(search::Experiment& experiment) {
  for (search::Space& space : experiment.spaces) {
    TRY_LET(const trainer::Trainer* chosen, trainer::find_trainer(space.trainer));
    if (!space.parameters.empty()) continue;
    for (const trainer::Parameter& parameter : chosen->parameters()) {
      using Kind = search::Choice::Kind;
      search::Choice choice{.kind = Kind::uniform, .values = {}, .low = parameter.search_low, .high = parameter.search_high};
      if (!(choice.low < choice.high)) continue;
      const bool whole = parameter.standard.is_integer();
      choice.kind = parameter.logarithmic ? (whole ? Kind::log_whole : Kind::log_uniform) : (whole ? Kind::whole : Kind::uniform);
      space.parameters.emplace_back(parameter.name, std::move(choice));
    }
  }
  return {};
}

Result<> check_spaces(const search::Experiment& experiment) {
  if (!experiment.register_as.empty()) TRY(registry::check_name(experiment.register_as, "model"));
  for (const search::Trial& trial : search::draw_trials(experiment.spaces, experiment.trials, experiment.seed)) {
    TRY_LET(const trainer::Trainer* chosen, trainer::find_trainer(trial.trainer));
    TRY(trainer::merge_parameters(*chosen, trial.parameters));
  }
  return {};
}

feature::Recipe default_recipe(const dataset::FleetSchema& schema) {
  feature::Recipe recipe;
  if (schema.column_names() == dataset::turbofan_columns()) return recipe;
  recipe.settings.clear();
  recipe.sensors.clear();
  for (const dataset::Channel& setting : schema.settings)
    recipe.settings.push_back({setting.name, setting.tolerance > 0 ? setting.tolerance : 1});
  for (const dataset::Channel& sensor : schema.sensors) recipe.sensors.push_back(sensor.name);
  return recipe;
}

Result<feature::Recipe> recipe_of(const search::Experiment& experiment, const dataset::FleetSchema& schema) {
  if (!experiment.recipe) return default_recipe(schema);
  return in(feature::Recipe::from_json(*experiment.recipe), "experiment: recipe");
}

}  // namespace nacelle::workbench
