#include "service/simulator/physics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace nacelle::simulator {
namespace {

Fleet fleet_of(const FleetSpec& spec) {
  auto fleet = simulate_fleet(spec);
  EXPECT_TRUE(fleet) << fleet.error().message;
  return std::move(fleet).value();
}

double mean_of(const History& history, std::size_t sensor, std::size_t first, std::size_t count) {
  double sum = 0;
  for (std::size_t i = first; i < first + count; ++i) sum += history[i].sensors[sensor];
  return sum / static_cast<double>(count);
}
double drift_of(const History& history, std::size_t sensor) {
  return mean_of(history, sensor, history.size() - 5, 5) - mean_of(history, sensor, 0, 20);
}

TEST(SimulateFleet, the_same_seed_gives_the_same_text) {
  const FleetSpec spec{.engines = 5, .conditions = 6, .fault_modes = 2, .seed = 42};
  EXPECT_EQ(print_histories(fleet_of(spec).train), print_histories(fleet_of(spec).train));
  FleetSpec other = spec;
  other.seed = 43;
  EXPECT_NE(print_histories(fleet_of(spec).train), print_histories(fleet_of(other).train));
}

TEST(SimulateFleet, an_engine_does_not_depend_on_how_many_there_are) {
  const Fleet few = fleet_of({.engines = 3, .seed = 9}), many = fleet_of({.engines = 8, .seed = 9});
  const std::vector<History> first_three(many.train.begin(), many.train.begin() + 3);
  EXPECT_EQ(print_histories(few.train), print_histories(first_three));
}

TEST(SimulateFleet, lives_spread_as_those_of_cmapss_engines) {
  const Fleet fleet = fleet_of({.engines = 200, .fault_modes = 2, .seed = 3});
  std::vector<std::size_t> lives;
  for (const History& history : fleet.train) lives.push_back(history.size());
  std::sort(lives.begin(), lives.end());
  EXPECT_GE(lives.front(), 60u);
  EXPECT_LE(lives.back(), 600u);
  EXPECT_GT(lives[lives.size() / 2], 120u);
  EXPECT_LT(lives[lives.size() / 2], 280u);
  EXPECT_GT(lives[lives.size() * 9 / 10], lives[lives.size() / 10] + 50);
}

TEST(SimulateFleet, wear_shows_in_the_exhaust_temperature_and_accelerates) {
  for (const History& history : fleet_of({.engines = 30, .seed = 5}).train) {
    EXPECT_GT(drift_of(history, 3), 10.0);  // T50 rises by tens of degrees
    const std::size_t middle = history.size() / 2;
    EXPECT_LT(mean_of(history, 3, middle, 10) - mean_of(history, 3, 0, 10), 0.6 * drift_of(history, 3) + 5.0);
  }
}

TEST(SimulateFleet, the_two_fault_modes_move_the_compressor_pressure_apart) {
  int falling = 0, rising = 0;
  for (const History& history : fleet_of({.engines = 60, .fault_modes = 2, .seed = 6}).train) {
    (drift_of(history, 6) < 0 ? falling : rising)++;
  }
  EXPECT_GT(falling, 10);
  EXPECT_GT(rising, 10);
}

TEST(SimulateFleet, one_fault_mode_never_wears_out_the_fan) {
  for (const History& history : fleet_of({.engines = 30, .fault_modes = 1, .seed = 6}).train) EXPECT_LT(drift_of(history, 6), 0.0);
}

TEST(SimulateFleet, six_conditions_fly_all_six_regimes) {
  std::set<int> altitudes;
  for (const History& history : fleet_of({.engines = 5, .conditions = 6, .seed = 8}).train)
    for (const Flight& flight : history) altitudes.insert(static_cast<int>(std::lround(flight.settings[0])));
  EXPECT_EQ(altitudes, (std::set<int>{0, 10, 20, 25, 35, 42}));
}

TEST(SimulateFleet, test_engines_are_cut_before_failure_and_the_rest_is_told) {
  const Fleet fleet = fleet_of({.engines = 50, .seed = 10});
  ASSERT_EQ(fleet.test.size(), 50u);
  ASSERT_EQ(fleet.remaining.size(), 50u);
  for (const int remaining : fleet.remaining) EXPECT_GE(remaining, 6);
}

TEST(SimulateFleet, numbers_out_of_range_are_refused_by_name) {
  EXPECT_NE(simulate_fleet({.engines = 0}).error().message.find("engines"), std::string::npos);
  EXPECT_NE(simulate_fleet({.conditions = 2}).error().message.find("conditions"), std::string::npos);
  EXPECT_NE(simulate_fleet({.fault_modes = 3}).error().message.find("fault modes"), std::string::npos);
}

TEST(PrintHistories, has_the_26_columns_and_the_line_end_of_nasas_files) {
  const std::string text = print_histories(fleet_of({.engines = 1, .seed = 1}).train);
  const std::string line = text.substr(0, text.find('\n') + 1);
  EXPECT_EQ(line.substr(0, 4), "1 1 ");
  EXPECT_EQ(line.substr(line.size() - 3), "  \n");
  EXPECT_EQ(std::count(line.begin(), line.end(), ' '), 25 + 2);
  EXPECT_EQ(print_remaining({112, 7}), "112 \n7 \n");
}

}  // namespace
}  // namespace nacelle::simulator
