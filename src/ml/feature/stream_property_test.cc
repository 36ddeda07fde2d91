// Laws that features keep on any stream: gaps, repeats, late readings, cycles that are not told, silent and absurd sensors,
// settings of no regime. The seed is fixed; RC_PARAMS=seed=... in the environment takes another.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "ml/dataset/labels.h"
#include "ml/dataset/synthetic.h"
#include "ml/feature/pipeline.h"

namespace nacelle::feature {
namespace {

const bool seeded = setenv("RC_PARAMS", "seed=1893456000", 0) == 0;
using Row = std::vector<float>;

const dataset::FleetTable& fleet() {
  static const auto table = dataset::make_synthetic_fleet({.engines = 12, .regimes = 3, .seed = 5});
  return table;
}

const Pipeline& pipeline() {
  static const Pipeline made = [] {
    const std::vector<double> rul = dataset::label_rul(fleet());
    Pipeline::TrainingRows rows{
        .row_count = fleet().row_count(), .inputs = {}, .cycle = fleet().cycle, .rul = rul, .engine_begin = {}};
    for (const auto& column : fleet().columns) rows.inputs.emplace_back(column);
    for (const auto& engine : fleet().engines) rows.engine_begin.push_back(engine.begin);
    rows.engine_begin.push_back(fleet().row_count());
    return Pipeline::learn(Recipe{}, rows).value();
  }();
  return made;
}

/// A reading's values: a row of the fleet, some of them silent, some of them absurd.
std::vector<double> any_values() {
  std::vector<double> values = fleet().row(*rc::gen::inRange<std::size_t>(0, fleet().row_count()));
  const auto odd = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1e300, 1e300, 0.0};
  for (int times = *rc::gen::inRange(0, 6); times > 0; --times)
    values[*rc::gen::inRange<std::size_t>(0, values.size())] = *rc::gen::elementOf(odd);
  return values;
}

/// Mostly the next cycle; else a gap of up to 300, a repeat or a late one. `tells` false: none of them tells its cycle.
std::vector<Reading> any_stream(bool tells) {
  std::vector<Reading> stream;
  std::int64_t newest = *rc::gen::inRange<std::int64_t>(0, 250);
  const int length = *rc::gen::inRange(1, 260);
  for (int i = 0; i < length; ++i) {
    const int kind = *rc::gen::inRange(0, 10);
    std::int64_t cycle = newest + 1;
    if (kind == 0) cycle += *rc::gen::inRange<std::int64_t>(1, 300);
    if (kind == 1) cycle = std::max<std::int64_t>(1, newest - *rc::gen::inRange<std::int64_t>(0, 5));
    newest = std::max(newest, cycle);
    stream.push_back({tells ? cycle : 0, any_values()});
  }
  return stream;
}

Row step(EngineState& state, const Reading& reading) {
  Row row(pipeline().feature_count());
  RC_ASSERT(pipeline().step(state, reading, row).has_value());
  return row;
}

bool same_bits(const Row& a, const Row& b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0; }

bool check(const std::function<void()>& law) { return rc::check(law); }

TEST(StreamLaws, a_state_that_goes_through_its_bytes_gives_the_batch_features_bit_for_bit) {
  EXPECT_TRUE(check([] {
    const std::vector<Reading> stream = any_stream(*rc::gen::arbitrary<bool>());
    EngineState batch, streamed;
    for (const Reading& reading : stream) {
      const Row whole = step(batch, reading);
      auto back = EngineState::parse(streamed.serialise(pipeline()), pipeline());
      RC_ASSERT(back.has_value());
      streamed = std::move(back).value();
      RC_ASSERT(same_bits(whole, step(streamed, reading)));
    }
    const Bytes bytes = batch.serialise(pipeline());
    RC_ASSERT(bytes == streamed.serialise(pipeline()));
    RC_ASSERT(bytes.size() < std::size_t{8} << 10);
  }));
}

TEST(StreamLaws, features_are_finite_whatever_is_read) {
  EXPECT_TRUE(check([] {
    EngineState state;
    for (const Reading& reading : any_stream(true))
      for (const float feature : step(state, reading)) RC_ASSERT(std::isfinite(feature));
  }));
}

TEST(StreamLaws, repeats_and_late_readings_are_as_if_they_had_not_come) {
  EXPECT_TRUE(check([] {
    EngineState all, rising;
    Row of_all, of_rising;
    for (const Reading& reading : any_stream(true)) {
      const bool taken = reading.cycle > rising.last_cycle();
      of_all = step(all, reading);
      if (taken) of_rising = step(rising, reading);
      RC_ASSERT(same_bits(of_all, of_rising));
    }
    RC_ASSERT(all.serialise(pipeline()) == rising.serialise(pipeline()));
  }));
}

TEST(StreamLaws, once_a_cycle_is_told_what_was_seen_before_were_the_cycles_just_before_it) {
  EXPECT_TRUE(check([] {
    std::vector<Reading> stream = any_stream(false);
    const auto seen = static_cast<std::int64_t>(stream.size());
    const std::int64_t told = seen + 1 + *rc::gen::inRange<std::int64_t>(0, 400);
    EngineState unknown, known;
    for (std::int64_t i = 0; i < seen; ++i) {
      Reading reading = stream[static_cast<std::size_t>(i)];
      step(unknown, reading);
      reading.cycle = told - seen + i;
      step(known, reading);
    }
    RC_ASSERT(!unknown.count_known());
    const Reading next{told, any_values()};
    RC_ASSERT(same_bits(step(unknown, next), step(known, next)));
    RC_ASSERT(unknown.serialise(pipeline()) == known.serialise(pipeline()));
  }));
}

/// Settings far from all that was learned belong to the nearest regime: defined, not refused.
TEST(StreamLaws, an_unseen_regime_is_read_as_the_nearest_one) {
  EngineState far, near;
  std::vector<double> values = fleet().row(0);
  values[0] = 0, values[1] = 0, values[2] = 100;  // a set point of the synthetic fleet
  const Row of_near = step(near, {1, values});
  values[0] = -500, values[1] = -3, values[2] = 107;
  EXPECT_TRUE(same_bits(of_near, step(far, {1, values})));
}

}  // namespace
}  // namespace nacelle::feature
