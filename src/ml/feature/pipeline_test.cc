#include "ml/feature/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "ml/dataset/labels.h"
#include "ml/dataset/seeded.h"
#include "ml/dataset/synthetic.h"

namespace nacelle::feature {
namespace {

using dataset::FleetTable;
using Row = std::vector<float>;
constexpr double silent = std::numeric_limits<double>::quiet_NaN();

Pipeline learned(const FleetTable& table, const Recipe& recipe = {}) {
  const std::vector<double> rul = dataset::label_rul(table);
  Pipeline::TrainingRows rows{.row_count = table.row_count(), .inputs = {}, .cycle = table.cycle, .rul = rul, .engine_begin = {}};
  for (const auto& column : table.columns) rows.inputs.emplace_back(column);
  for (const auto& engine : table.engines) rows.engine_begin.push_back(engine.begin);
  rows.engine_begin.push_back(table.row_count());
  auto pipeline = Pipeline::learn(recipe, rows);
  EXPECT_TRUE(pipeline) << pipeline.error().message;
  return std::move(pipeline).value();
}

const FleetTable& fleet() {
  static const FleetTable table = dataset::make_synthetic_fleet({.engines = 12, .regimes = 3, .seed = 5});
  return table;
}
const Pipeline& pipeline() {
  static const Pipeline made = learned(fleet());
  return made;
}

Row step(EngineState& state, const Reading& reading) {
  Row row(pipeline().feature_count());
  const auto taken = pipeline().step(state, reading, row);
  EXPECT_TRUE(taken) << taken.error().message;
  return row;
}

/// The value of the feature of that name.
float at(const Pipeline& of, const Row& row, std::string_view name) {
  const auto& names = of.feature_names();
  const auto found = std::find(names.begin(), names.end(), name);
  EXPECT_NE(found, names.end()) << name;
  return row[static_cast<std::size_t>(found - names.begin())];
}

bool same_bits(const Row& a, const Row& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Recipe, reads_back_from_its_json_and_refuses_what_it_does_not_know) {
  const Recipe recipe;
  const auto back = Recipe::from_json(recipe.to_json());
  ASSERT_TRUE(back);
  EXPECT_EQ(json::print(back->to_json()), json::print(recipe.to_json()));
  for (const char* wrong : {R"({"mean_windows":[5,5]})", R"({"mean_windows":[0]})", R"({"mean_windows":[201]})",
                            R"({"ewma_rates":[1]})", R"({"colour":1})", R"({"sensors":[]})", R"({"sensors":["Sensor1","Sensor1"]})",
                            R"({"settings":[{"name":"x","tolerance":0}]})", R"({"rul_cap":-1})", "[]"}) {
    const auto refused = Recipe::from_json(*json::parse(wrong));
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().fault, Fault::invalid_input);
  }
}

TEST(Pipeline, recipe_a_has_67_features_of_the_sensors_that_move) {
  EXPECT_EQ(pipeline().feature_count(), 67u);
  EXPECT_EQ(pipeline().input_names().size(), 24u);
  EXPECT_EQ(pipeline().input_names()[3], "Sensor1");
  EXPECT_FALSE(pipeline().needs_cycle());
  // The synthetic fleet's sensors 1, 6, 11, 16 and 21 are blind to wear.
  EXPECT_EQ(pipeline().to_json().find("kept_sensors")->as_array().size(), 16u);
  EXPECT_EQ(pipeline().to_json().find("regimes")->as_integer(), 3);
}

TEST(Pipeline, saved_and_read_again_it_gives_the_same_bits) {
  const auto back = Pipeline::from_json(*json::parse(json::print(pipeline().to_json())));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->hash(), pipeline().hash());
  EngineState a, b;
  Row row_a(pipeline().feature_count()), row_b(row_a);
  for (std::size_t row = 0; row < 100; ++row) {
    const Reading reading{fleet().cycle[row], fleet().row(row)};
    ASSERT_TRUE(pipeline().step(a, reading, row_a));
    ASSERT_TRUE(back->step(b, reading, row_b));
    ASSERT_TRUE(same_bits(row_a, row_b)) << row;
  }
}

TEST(Pipeline, windows_hold_what_their_names_say) {
  // One regime, two opposite sensors that follow the cycle: every fused channel is linear in time.
  Recipe recipe;
  recipe.mean_windows = {5};
  recipe.slope_windows = {5};
  recipe.spread_windows = {5};
  recipe.ewma_rates = {0.5};
  const Pipeline small = learned(dataset::make_synthetic_fleet({.engines = 10, .noise = 0}), recipe);
  EngineState state;
  Row row(small.feature_count());
  std::vector<double> last;
  const std::size_t block = 5;
  for (std::int64_t cycle = 1; cycle <= 12; ++cycle) {
    std::vector<double> values = fleet().row(0);
    values[0] = values[1] = 0, values[2] = 100;
    for (std::size_t s = 3; s < values.size(); ++s)
      values[s] = 100 * static_cast<double>(s - 2) + 0.01 * static_cast<double>(cycle);
    ASSERT_TRUE(small.step(state, {cycle, values}, row));
    last.push_back(static_cast<double>(row[block - 1]));
  }
  const auto& names = small.feature_names();
  EXPECT_EQ(names[0], "health.mean5");
  EXPECT_EQ(names[block], "drift1.mean5");
  EXPECT_EQ(names[4 * block], "cycle");
  EXPECT_EQ(names[4 * block + 1], "history");
  EXPECT_EQ(names[4 * block + 2], joined_feature);
  EXPECT_EQ(names.back(), "life.4");
  EXPECT_EQ(row[4 * block], 12.0f);
  double mean = 0;
  for (std::size_t i = 7; i < 12; ++i) mean += last[i] / 5;
  EXPECT_NEAR(row[0], mean, 1e-4 * std::abs(mean) + 1e-6);
  EXPECT_NEAR(row[1], last[11] - last[10], 1e-3 * std::abs(row[1]) + 1e-6);
  const double spread = std::abs(last[11] - last[10]) * std::sqrt(2.0);  // of five equally spaced values
  EXPECT_NEAR(row[2], spread, 1e-3 * spread + 1e-6);
  double average = 0, weight = 0;
  for (const double value : last) average = 0.5 * average + 0.5 * value, weight = 0.5 * weight + 0.5;
  EXPECT_NEAR(row[3], average / weight, 1e-4 * std::abs(row[3]) + 1e-6);
}

TEST(Pipeline, a_sequence_is_the_past_in_stretches_and_before_it_the_first_one) {
  Recipe recipe;
  recipe.mean_windows = {5, 10};
  recipe.slope_windows = recipe.spread_windows = {};
  recipe.sequence_steps = 4;
  recipe.sequence_stride = 5;
  const Pipeline with = learned(fleet(), recipe);
  const auto at = [&with](std::string_view name) {
    const auto& names = with.feature_names();
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  EngineState state;
  Row row(with.feature_count());
  for (std::size_t r = 0; r < 12; ++r) ASSERT_TRUE(with.step(state, {fleet().cycle[r], fleet().row(r)}, row));
  for (const std::string channel : {"health", "drift1", "drift3"}) {
    const float newest = row[at(channel + ".step0")], before = row[at(channel + ".step1")];
    EXPECT_EQ(newest, row[at(channel + ".mean5")]);
    EXPECT_NEAR((newest + before) / 2, row[at(channel + ".mean10")], 1e-4) << channel;
    EXPECT_NE(before, row[at(channel + ".step2")]);
    EXPECT_EQ(row[at(channel + ".step2")], row[at(channel + ".step3")]);  // only 12 cycles were seen
  }
  EXPECT_EQ(Recipe::from_json(recipe.to_json())->sequence_steps, 4u);
  EXPECT_FALSE(Recipe::from_json(*json::parse(R"({"sequence_steps":41,"sequence_stride":5})")));
}

TEST(Pipeline, fitted_lives_follow_the_life_up_to_their_caps_and_need_no_sequence) {
  const auto life = [](const Pipeline& of, std::size_t row) {
    EngineState state;
    Row features(of.feature_count());
    for (std::size_t r = 0; r <= row; ++r) EXPECT_TRUE(of.step(state, {fleet().cycle[r], fleet().row(r)}, features));
    return features;
  };
  const dataset::EngineRows& engine = fleet().engines[0];
  const std::size_t old = engine.end - 5, young = engine.begin + 30;
  const Row at_end = life(pipeline(), old), at_start = life(pipeline(), young);
  for (const auto& [name, cap] : {std::pair("life.1", 31.25f), std::pair("life.2", 62.5f), std::pair("life.4", 125.0f)}) {
    EXPECT_NEAR(at(pipeline(), at_start, name), cap, 0.3f * cap) << name;
    EXPECT_LT(at(pipeline(), at_end, name), 0.5f * cap) << name;
  }
  // Asking for a sequence adds features and leaves the fits as they were.
  Recipe recipe;
  recipe.sequence_steps = 4;
  const Pipeline with = learned(fleet(), recipe);
  EXPECT_NEAR(at(with, life(with, old), "life.4"), at(pipeline(), at_end, "life.4"), 1e-3f);
  // Saved before there were such features, a pipeline has none.
  json::Value document = pipeline().to_json();
  document.as_object().find("recipe")->as_object().erase("life_fits");
  EXPECT_EQ(Pipeline::from_json(document)->feature_count(), 63u);
  for (const char* damaged : {"[3,2]", "[900]", "[-1]", "7"}) {
    document = pipeline().to_json();
    document.as_object().set("fit_curved", *json::parse(damaged));
    const auto refused = Pipeline::from_json(document);
    ASSERT_FALSE(refused) << damaged;
    EXPECT_EQ(refused.error().fault, Fault::corrupt);
  }
}

TEST(Pipeline, an_engine_whose_count_is_unknown_has_fits_of_its_own) {
  // A worn engine of which ten readings are known: taken for new, it would be told to live on.
  const dataset::EngineRows& engine = fleet().engines[1];
  EngineState unknown, begun_again;
  Row as_unknown, as_new;
  std::int64_t cycle = 0;
  for (std::size_t row = engine.end - 12; row + 2 < engine.end; ++row) {
    as_unknown = step(unknown, {0, fleet().row(row)});
    as_new = step(begun_again, {++cycle, fleet().row(row)});
  }
  EXPECT_NE(at(pipeline(), as_unknown, "life.4"), at(pipeline(), as_new, "life.4"));
  EXPECT_LT(at(pipeline(), as_unknown, "life.4"), 40.0f);
}

TEST(Pipeline, an_engine_that_joins_late_has_a_short_history_and_its_own_count) {
  EngineState state;
  step(state, {101, fleet().row(0)});
  const Row row = step(state, {104, fleet().row(1)});
  EXPECT_EQ(at(pipeline(), row, "cycle"), 104.0f);
  EXPECT_EQ(at(pipeline(), row, "history"), 4.0f);
  EXPECT_EQ(at(pipeline(), row, joined_feature), static_cast<float>(Joined::late));
  EngineState young;
  EXPECT_EQ(at(pipeline(), step(young, {1, fleet().row(0)}), joined_feature), static_cast<float>(Joined::new_engine));
}

TEST(Pipeline, an_engine_that_never_tells_its_cycle_is_counted_from_where_it_was_first_seen) {
  EngineState state;
  step(state, {0, fleet().row(0)});
  const Row row = step(state, {0, fleet().row(1)});
  EXPECT_FALSE(state.count_known());
  EXPECT_EQ(at(pipeline(), row, "cycle"), 2.0f);
  EXPECT_EQ(at(pipeline(), row, joined_feature), static_cast<float>(Joined::count_unknown));
  const auto restored = EngineState::parse(state.serialise(pipeline()), pipeline());
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_FALSE(restored->count_known());
  // A count that is lower than what was seen has begun again somewhere, and tells nothing.
  const Row after = step(state, {1, fleet().row(2)});
  EXPECT_EQ(at(pipeline(), after, "history"), 3.0f);
  EXPECT_EQ(at(pipeline(), after, joined_feature), static_cast<float>(Joined::count_unknown));
}

TEST(Pipeline, without_the_feature_a_reading_must_tell_its_cycle) {
  Recipe recipe;
  recipe.joined = false;
  const Pipeline strict = learned(fleet(), recipe);
  EXPECT_TRUE(strict.needs_cycle());
  EngineState state;
  Row row(strict.feature_count());
  const auto refused = strict.step(state, {0, fleet().row(0)}, row);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::invalid_input);
  EXPECT_FALSE(reading_from_json(strict, *json::parse(R"({"Sensor1":1})")));
  // Saved before there was such a feature.
  json::Value document = strict.to_json();
  document.as_object().find("recipe")->as_object().erase("joined");
  EXPECT_TRUE(Pipeline::from_json(document)->needs_cycle());
}

TEST(Pipeline, repeated_and_late_readings_change_nothing) {
  EngineState state;
  Row newest;
  for (std::size_t row = 0; row < 40; ++row) newest = step(state, {fleet().cycle[row], fleet().row(row)});
  const Bytes before = state.serialise(pipeline());
  Row again(pipeline().feature_count());
  for (const std::size_t row : {39u, 12u, 0u}) {
    const auto taken = pipeline().step(state, {fleet().cycle[row], fleet().row(row)}, again);
    ASSERT_TRUE(taken);
    EXPECT_FALSE(*taken);
    EXPECT_TRUE(same_bits(again, newest));
  }
  EXPECT_EQ(state.serialise(pipeline()), before);
}

TEST(Pipeline, refused_readings_leave_the_state_as_it_was) {
  EngineState state;
  step(state, {1, fleet().row(0)});
  const Bytes before = state.serialise(pipeline());
  Row row(pipeline().feature_count());
  for (const Reading& wrong : {Reading{2, {1, 2, 3}}, Reading{-3, fleet().row(1)}, Reading{2'000'000'000, fleet().row(1)}}) {
    const auto taken = pipeline().step(state, wrong, row);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().fault, Fault::invalid_input);
  }
  EXPECT_EQ(state.serialise(pipeline()), before);
}

/// What the others tell of a silent sensor is nearer to its own reading than what it said last, or nothing.
TEST(Pipeline, a_silent_or_stuck_sensor_is_told_by_the_others) {
  Recipe held;
  held.estimate_silent = false;
  const Pipeline without = learned(fleet(), held);
  const auto error_of = [](const Pipeline& used, bool stuck) {
    EngineState whole, broken;
    Row row_whole(used.feature_count()), row_broken(row_whole);
    double error = 0;
    const dataset::EngineRows& engine = fleet().engines[1];
    constexpr std::size_t sensor = 3 + 1;
    for (std::size_t row = engine.begin; row < engine.end; ++row) {
      Reading reading{fleet().cycle[row], fleet().row(row)};
      EXPECT_TRUE(used.step(whole, reading, row_whole));
      if (row >= engine.begin + 20) reading.values[sensor] = stuck ? fleet().row(engine.begin + 20)[sensor] : silent;
      EXPECT_TRUE(used.step(broken, reading, row_broken));
      error += std::abs(static_cast<double>(row_whole[0] - row_broken[0]));  // health.mean5
    }
    return error;
  };
  EXPECT_LT(error_of(pipeline(), false), 0.7 * error_of(without, false));
  EXPECT_LT(error_of(pipeline(), true), 0.5 * error_of(without, true));
}

TEST(Pipeline, silent_and_absurd_values_leave_finite_features) {
  EngineState state;
  const double infinity = std::numeric_limits<double>::infinity();
  std::int64_t cycle = 0;
  for (const double value : {silent, infinity, -infinity, 1e308, -1e308, 0.0, silent}) {
    const Row row = step(state, {++cycle, std::vector<double>(24, value)});
    for (const float feature : row) EXPECT_TRUE(std::isfinite(feature)) << value;
  }
}

/// Random streams with gaps, repeats, late readings and silent channels: an engine's state that goes through its bytes at random
/// points, or is copied, gives the same bits as one that stays.
TEST(Pipeline, a_state_restored_at_any_point_goes_on_with_the_same_bits) {
  dataset::Seeded random(2026);
  for (int stream = 0; stream < 40; ++stream) {
    EngineState kept, restored;
    std::int64_t cycle = 0;
    for (int i = 0; i < 300; ++i) {
      if (random.uniform() < 0.9)
        cycle += random.uniform() < 0.8 ? 1 : 1 + static_cast<std::int64_t>(random.below(random.uniform() < 0.1 ? 5000 : 10));
      const std::int64_t told = cycle > 3 && random.uniform() < 0.1 ? cycle - static_cast<std::int64_t>(random.below(3))
                                                                    : std::max<std::int64_t>(cycle, 1);
      Reading reading{told, fleet().row(random.below(fleet().row_count()))};
      for (double& value : reading.values)
        if (random.uniform() < 0.05) value = silent;
      if (random.uniform() < 0.2) {
        auto parsed = EngineState::parse(restored.serialise(pipeline()), pipeline());
        ASSERT_TRUE(parsed) << parsed.error().message;
        restored = random.uniform() < 0.5 ? EngineState(*parsed) : std::move(parsed).value();
      }
      ASSERT_TRUE(same_bits(step(kept, reading), step(restored, reading))) << "stream " << stream << ", reading " << i;
      ASSERT_EQ(kept.last_cycle(), restored.last_cycle());
    }
    EXPECT_EQ(kept.serialise(pipeline()), restored.serialise(pipeline()));
    EXPECT_LT(kept.serialise(pipeline()).size(), 8u << 10);
  }
}

TEST(EngineState, damaged_bytes_are_refused_at_every_cut_and_flip) {
  EngineState state;
  for (std::size_t row = 0; row < 10; ++row) step(state, {fleet().cycle[row], fleet().row(row)});
  const Bytes bytes = state.serialise(pipeline());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto parsed = EngineState::parse(BytesView(bytes).substr(0, size), pipeline());
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().fault, Fault::corrupt);
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    EXPECT_FALSE(EngineState::parse(flipped, pipeline())) << at;
  }
  EXPECT_FALSE(EngineState::parse(bytes + "x", pipeline()));
}

TEST(EngineState, another_pipelines_state_is_a_conflict) {
  Recipe recipe;
  recipe.mean_windows = {7};
  const Pipeline other = learned(fleet(), recipe);
  EngineState state;
  step(state, {1, fleet().row(0)});
  const auto parsed = EngineState::parse(state.serialise(pipeline()), other);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().fault, Fault::conflict);
  Row row(other.feature_count());
  const auto taken = other.step(state, {2, fleet().row(1)}, row);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().fault, Fault::conflict);
}

TEST(ReadingFromJson, takes_members_by_name_and_lets_absent_ones_be_silent) {
  const auto reading = reading_from_json(pipeline(), *json::parse(R"({"Sensor2":7,"CycleTime":4,"Sensor1":null,"Other":"x"})"));
  ASSERT_TRUE(reading) << reading.error().message;
  EXPECT_EQ(reading->cycle, 4);
  EXPECT_EQ(reading->values[4], 7);
  EXPECT_TRUE(std::isnan(reading->values[3]));
  EXPECT_EQ(reading_from_json(pipeline(), *json::parse(R"({"Sensor1":1})"))->cycle, 0);
  for (const char* wrong :
       {"[]", "{}", R"({"CycleTime":1})", R"({"CycleTime":"1","Sensor1":1})", R"({"CycleTime":1.5,"Sensor1":1})",
        R"({"CycleTime":0,"Sensor1":1})", R"({"CycleTime":1,"Sensor1":"1"})", R"({"CycleTime":1e300,"Sensor1":1})"}) {
    const auto refused = reading_from_json(pipeline(), *json::parse(wrong));
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().fault, Fault::invalid_input);
  }
}

TEST(PipelineFromJson, damaged_documents_are_corrupt) {
  for (const char* member :
       {"recipe", "regimes", "set_points", "kept_sensors", "mean", "inverse_spread", "fusion", "coupling", "longest_run"}) {
    json::Value document = pipeline().to_json();
    document.as_object().erase(member);
    const auto without = Pipeline::from_json(document);
    ASSERT_FALSE(without) << member;
    EXPECT_EQ(without.error().fault, Fault::corrupt);
    document.as_object().set(member, json::Array{json::Value("x")});
    EXPECT_FALSE(Pipeline::from_json(document)) << member;
  }
}

}  // namespace
}  // namespace nacelle::feature
