#include "ml/dataset/labels.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace nacelle::dataset {

std::string_view life_class_name(LifeClass life_class) {
  switch (life_class) {
    case LifeClass::f25: return "F25";
    case LifeClass::f75: return "F75";
    case LifeClass::f150: return "F150";
    case LifeClass::full: break;
  }
  return "Full";
}

LifeClass life_class_of(double rul) {
  if (rul <= 25) return LifeClass::f25;
  if (rul <= 75) return LifeClass::f75;
  return rul <= 150 ? LifeClass::f150 : LifeClass::full;
}

std::vector<double> label_rul(const FleetTable& table) {
  std::vector<double> rul(table.row_count());
  for (std::size_t e = 0; e < table.engines.size(); ++e) {
    const EngineRows& rows = table.engines[e];
    const double end = table.end_rul.empty() ? 0 : table.end_rul[e];
    const std::int64_t last = table.cycle[rows.end - 1];
    for (std::size_t row = rows.begin; row < rows.end; ++row) rul[row] = end + static_cast<double>(last - table.cycle[row]);
  }
  return rul;
}

SurvivalLabels label_survival(const FleetTable& table) {
  SurvivalLabels labels{.low = label_rul(table), .high = {}};
  labels.high = labels.low;
  for (std::size_t e = 0; e < table.end_rul.size(); ++e) {
    if (!std::isnan(table.end_rul[e])) continue;
    const EngineRows& rows = table.engines[e];
    for (std::size_t row = rows.begin; row < rows.end; ++row) {
      labels.low[row] = static_cast<double>(table.cycle[rows.end - 1] - table.cycle[row]);
      labels.high[row] = std::numeric_limits<double>::infinity();
    }
  }
  return labels;
}

Result<FleetTable> with_end_rul(FleetTable table, std::vector<double> end_rul, std::string_view name) {
  if (end_rul.size() != table.engines.size())
    return fail(Fault::invalid_input, fmt::format("{}: expected one remaining life for each of {} engines, found {}", name,
                                                  table.engines.size(), end_rul.size()));
  constexpr double most = 1e7;  // cycles: anything above is no remaining life but a mistake
  for (std::size_t e = 0; e < end_rul.size(); ++e)
    if (!(end_rul[e] >= 0 && end_rul[e] <= most))
      return fail(Fault::invalid_input, fmt::format("{}: engine {}: expected a remaining life from 0 to {} cycles, found {}", name,
                                                    table.name_of(e), most, end_rul[e]));
  table.end_rul = std::move(end_rul);
  return table;
}

}  // namespace nacelle::dataset
