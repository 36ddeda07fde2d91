#include "ml/dataset/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ml/dataset/seeded.h"

namespace nacelle::dataset {

namespace {

constexpr std::size_t setting_count = 3;
constexpr std::size_t sensor_count = turbofan_column_count - setting_count;
using Point = std::array<double, setting_count>;
/// The six set points of FD002 and FD004: altitude (kft), Mach number, throttle.
constexpr std::array<Point, 6> set_points = {
    {{0, 0, 100}, {10, 0.25, 100}, {20, 0.7, 100}, {25, 0.62, 60}, {35, 0.84, 100}, {42, 0.84, 100}}};

/// How a sensor answers to wear: +1, -1 or 0 (constant or blind).
double direction_of(std::size_t sensor) {
  if (sensor % 5 == 0) return 0;
  return sensor % 2 == 0 ? 1 : -1;
}

}  // namespace

FleetTable make_synthetic_fleet(const SyntheticFleet& fleet) {
  Seeded random(fleet.seed);
  const std::size_t regimes = std::clamp<std::size_t>(fleet.regimes, 1, set_points.size());
  TableBuilder builder;
  std::vector<double> end_rul;
  std::array<double, turbofan_column_count> values{};
  for (std::size_t e = 0; e < fleet.engines; ++e) {
    const auto span = static_cast<double>(fleet.max_life - fleet.min_life);
    const auto life = fleet.min_life + static_cast<std::int64_t>(std::llround(random.uniform() * span));
    const auto left =
        fleet.cut_off ? static_cast<std::int64_t>(random.below(static_cast<std::size_t>(std::min<std::int64_t>(life - 30, 145))))
                      : 0;
    end_rul.push_back(static_cast<double>(left));
    for (std::int64_t cycle = 1; cycle <= life - left; ++cycle) {
      const std::size_t regime = random.below(regimes);
      const auto remaining = static_cast<double>(life - cycle);
      const double wear = std::exp(-remaining / 40);  // seen from about 125 cycles before failure on
      for (std::size_t s = 0; s < setting_count; ++s) values[s] = set_points[regime][s] + 0.001 * random.normal();
      for (std::size_t s = 0; s < sensor_count; ++s) {
        const double level = 100 * static_cast<double>(s + 1) + 37 * static_cast<double>(regime);
        const double signal = direction_of(s) * (wear + fleet.noise * random.normal());
        values[setting_count + s] = level + signal;
      }
      builder.add(static_cast<std::int64_t>(e) + 1, cycle, values);
    }
  }
  FleetTable table = std::move(builder.finish()).value();
  if (fleet.cut_off) table.end_rul = std::move(end_rul);
  return table;
}

}  // namespace nacelle::dataset
