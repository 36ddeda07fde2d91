#pragma once
// Labels: what a model is to learn of each row: remaining useful life (RUL), raw and capped, and the class of its horizon.

#include <string_view>
#include <vector>

#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset {

/// Within how many cycles an engine fails: F25 (<= 25), F75, F150, or full life.
enum class LifeClass { f25, f75, f150, full };
std::string_view life_class_name(LifeClass life_class);  ///< "F25", "F75", "F150", "Full"
LifeClass life_class_of(double rul);

/// Each row's remaining life: the engine's end RUL (0 if the table has none) + its last cycle - the row's cycle. NaN: the engine
/// still runs.
std::vector<double> label_rul(const FleetTable& table);

/// What survival trainers learn from: each row's remaining life is at least `low` and at most `high`. Equal for an engine whose end
/// is known; `high` is infinite for one that still runs (censored), whose `low` counts to its last reading.
struct SurvivalLabels {
  std::vector<double> low;
  std::vector<double> high;
};
SurvivalLabels label_survival(const FleetTable& table);

/// The table with the true remaining life at each engine's last row. Fault::invalid_input unless there is one for each engine.
Result<FleetTable> with_end_rul(FleetTable table, std::vector<double> end_rul, std::string_view name);

}  // namespace nacelle::dataset
