// What every trainer promises, on a small set whose answer is known.
#include <cstring>
#include <numeric>

#include "ml/dataset/synthetic.h"
#include "ml/model/explanation.h"
#include "ml/trainer/experiment.h"
#include "ml/trainer/trainers_fixture.h"

namespace nacelle::trainer {
namespace {

class EveryTrainer : public testing::TestWithParam<const Trainer*> {
 protected:
  const Trainer& trainer() const { return *GetParam(); }
};

TEST_P(EveryTrainer, finds_the_known_answer_on_engines_it_has_not_seen) {
  constexpr double constant = 17.3;  // RMSE of the best constant over lives 0 to 59
  const double rmse = rmse_on(fit(trainer(), small_set(20, 1)), small_set(6, 2));
  EXPECT_LT(rmse, (trainer().name() == "ridge" ? 0.4 : 0.3) * constant);
}

TEST_P(EveryTrainer, gives_the_same_bytes_for_the_same_seed_whatever_the_threads) {
  const TrainingSet set = small_set(6, 3);
  const Bytes first = model::encode(fit(trainer(), set, 7, 1));
  EXPECT_EQ(model::encode(fit(trainer(), set, 7, 1)), first);
  EXPECT_EQ(model::encode(fit(trainer(), set, 7, 3)), first);
  const bool draws = trainer().name() != "ridge" && trainer().name() != "svr" && trainer().name() != "similarity";
  EXPECT_EQ(model::encode(fit(trainer(), set, 8, 1)) != first, draws);
}

TEST_P(EveryTrainer, comes_back_from_its_bytes_with_the_same_predictions) {
  const TrainingSet set = small_set(6, 4);
  const model::Regressor fitted = fit(trainer(), set);
  const Bytes bytes = model::encode(fitted);
  const auto back = model::decode(model::kind_of(fitted), bytes);
  ASSERT_TRUE(back) << back.error().message;
  for (std::size_t row = 0; row < set.rows.rows; ++row) {
    const std::span<const float> features(set.rows.row(row), set.rows.features);
    ASSERT_EQ(model::predict(*back, features), model::predict(fitted, features));
  }
  EXPECT_FALSE(model::decode(model::kind_of(fitted), BytesView(bytes).substr(0, bytes.size() / 2)));
}

TEST_P(EveryTrainer, refuses_what_is_no_number_and_says_where) {
  const auto refusal = [this](TrainingSet set) {
    const auto fitted = trainer().fit(set, {.parameters = quick(trainer().name()), .threads = 1});
    EXPECT_FALSE(fitted);
    if (fitted) return std::string();
    EXPECT_EQ(fitted.error().fault, Fault::invalid_input);
    return fitted.error().message;
  };
  TrainingSet set = small_set(3, 5);
  set.rows.values[5 * set.rows.features + 1] = NAN;
  EXPECT_NE(refusal(set).find("row 5, feature noise"), std::string::npos);
  set = small_set(3, 5);
  set.rows.values[0] = INFINITY;
  EXPECT_NE(refusal(set).find("row 0, feature level"), std::string::npos);
  set = small_set(3, 5);
  set.target[9] = NAN;
  EXPECT_NE(refusal(set).find("row 9"), std::string::npos);
  set.target.pop_back();
  EXPECT_NE(refusal(set).find("targets"), std::string::npos);
  EXPECT_NE(refusal({}).find("found none"), std::string::npos);
}

TEST_P(EveryTrainer, learns_from_one_engine_one_row_and_constant_columns) {
  TrainingSet constant = small_set(4, 6);
  for (float& value : constant.rows.values) value = 3;
  TrainingSet flat = small_set(4, 6);
  for (float& target : flat.target) target = 42;
  TrainingSet one_row = small_set(1, 6);
  one_row.rows.rows = 1;
  one_row.rows.values.resize(one_row.rows.features);
  one_row.target.resize(1), one_row.engine.resize(1);
  for (const TrainingSet& set : {constant, flat, one_row, small_set(1, 6)}) {
    const model::Regressor fitted = fit(trainer(), set);
    const auto [least, most] = std::minmax_element(set.target.begin(), set.target.end());
    const double predicted = model::predict(fitted, {set.rows.row(0), set.rows.features});
    EXPECT_GT(predicted, static_cast<double>(*least) - 10);
    EXPECT_LT(predicted, static_cast<double>(*most) + 10);
  }
}

TEST_P(EveryTrainer, can_be_cancelled) {
  const auto fitted = trainer().fit(
      small_set(3, 7), {.parameters = quick(trainer().name()), .threads = 1, .progress = [](double) { return false; }});
  ASSERT_FALSE(fitted);
  EXPECT_EQ(fitted.error().fault, Fault::conflict);
}

TEST_P(EveryTrainer, tells_what_its_predictions_are_made_of) {
  const TrainingSet set = small_set(8, 9);
  const model::Regressor fitted = fit(trainer(), set);
  const model::Background background = background_of(set);
  for (std::size_t row = 5; row < set.rows.rows; row += 71) {
    const std::span<const float> features(set.rows.row(row), set.rows.features);
    const auto told = model::explain(fitted, features, background);
    ASSERT_TRUE(told) << told.error().message;
    ASSERT_EQ(told->features.size(), set.rows.features);
    const double sum = std::accumulate(told->features.begin(), told->features.end(), told->base);
    EXPECT_NEAR(sum, model::predict(fitted, features), 1e-4) << "row " << row;
    EXPECT_GT(told->base, 10) << "somewhere in the middle of lives of 0 to 59";
    EXPECT_LT(told->base, 50);
    EXPECT_EQ(told->features[2], 0) << "a constant adds nothing";
    EXPECT_EQ(model::explain(fitted, features, background)->features, told->features) << "the same again";
  }
  const std::span<const float> any(set.rows.row(0), set.rows.features);
  const auto without = model::explain(fitted, any);
  EXPECT_EQ(without.has_value(), !model::needs_background(fitted));
  if (!without) {
    EXPECT_EQ(without.error().fault, Fault::unavailable);
  }
}

INSTANTIATE_TEST_SUITE_P(Trainers, EveryTrainer, testing::ValuesIn(trainers()),
                         [](const auto& tested) { return std::string(tested.param->name()); });

/// P5, with features made by the pipeline: what is predicted reading by reading has the bits of the batch; gaps in the cycles, an
/// engine of one reading and constant sensors (every fifth of the synthetic fleet) are in it.
TEST(Serve, every_trainer_predicts_the_same_bits_streaming_and_in_batch) {
  dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 9, .seed = 5});
  dataset::TableBuilder builder;
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    const bool gap = table.unit[row] == 2 && table.cycle[row] % 7 == 3;
    const bool short_life = table.unit[row] == 3 && table.cycle[row] > 1;
    if (!gap && !short_life) builder.add(table.unit[row], table.cycle[row], table.row(row));
  }
  table = builder.finish().value();
  for (const Trainer* trainer : trainers()) {
    SCOPED_TRACE(trainer->name());
    Plan plan{.trainer = std::string(trainer->name()), .parameters = quick(trainer->name()), .fold_row_stride = 3, .threads = 1};
    const auto artifact = train(table, plan, {});
    ASSERT_TRUE(artifact) << artifact.error().message;
    const auto estimator = model::Estimator::parse(model::encode_artifact(*artifact));
    ASSERT_TRUE(estimator) << estimator.error().message;
    const FeatureRows features = make_features(artifact->pipeline, table).value();
    const std::span<const float> last(features.row(features.rows - 1), features.features);
    const auto why = (*estimator)->explain(last);  // what it takes is in the artifact
    ASSERT_TRUE(why) << why.error().message;
    EXPECT_NEAR(std::clamp(std::accumulate(why->features.begin(), why->features.end(), why->base), 0.0, plan.cap),
                (*estimator)->predict(last), 1e-3);
    for (std::size_t e = 0; e < 4; ++e) {
      feature::EngineState state;
      for (std::size_t row = table.engines[e].begin; row < table.engines[e].end; ++row) {
        if (row % 5 == 0) {  // as if the program had been started again
          state = feature::EngineState::parse(state.serialise(artifact->pipeline), artifact->pipeline).value();
        }
        const double batch = (*estimator)->predict({features.row(row), features.features});
        const auto streamed = (*estimator)->step(state, {table.cycle[row], table.row(row)});
        ASSERT_TRUE(streamed);
        ASSERT_EQ(std::memcmp(&batch, &*streamed, sizeof batch), 0) << "row " << row;
      }
    }
  }
}

}  // namespace
}  // namespace nacelle::trainer
