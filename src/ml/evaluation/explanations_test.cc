#include "ml/evaluation/explanations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ml/dataset/synthetic.h"
#include "ml/evaluation/predictions.h"
#include "ml/model/artifact.h"

namespace nacelle::evaluation {
namespace {

using Plain = model::TreeEnsemble::PlainNode;

/// On raw columns: Sensor3 moves predictions by 40 cycles, Sensor2 by 4, Sensor4 not at all.
std::shared_ptr<const model::Estimator> estimator(const std::vector<std::string>& columns, bool covers = true) {
  const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 6});
  const auto middle = [&table](const char* column) {
    std::vector<double> values;
    for (const auto& engine : table.engines) values.push_back(table.columns[*table.find_column(column)][engine.end - 1]);
    std::sort(values.begin(), values.end());
    return static_cast<float>(values[3]);
  };
  const auto tree = [covers](std::uint32_t feature, float threshold, float low, float high) {
    const float cover = covers ? 10 : 0;
    return std::vector<Plain>{{.left = 1, .right = 2, .feature = feature, .threshold = threshold, .cover = 2 * cover},
                              {.value = low, .cover = cover},
                              {.value = high, .cover = cover}};
  };
  const model::Artifact artifact{
      .name = "m",
      .cap = 125,
      .intervals = {},
      .pipeline = feature::Pipeline::identity(columns).value(),
      .regressor =
          model::TreeEnsemble::build(60, 3, {tree(0, middle("Sensor2"), -2, 2), tree(1, middle("Sensor3"), 20, -20)}).value()};
  return model::Estimator::parse(model::encode_artifact(artifact)).value();
}

TEST(ExplainFleet, parts_sum_to_predictions_and_the_largest_comes_first) {
  const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 6});
  const auto model = estimator({"Sensor2", "Sensor3", "Sensor4"});
  const auto fleet = explain_fleet(*model, table);
  ASSERT_TRUE(fleet) << fleet.error().message;
  const auto predicted = predict_fleet(*model, table).value();
  ASSERT_EQ(fleet->engines.size(), predicted.size());
  for (std::size_t e = 0; e < predicted.size(); ++e) {
    double sum = fleet->engines[e].base;
    for (const double cycles : fleet->engines[e].features) sum += cycles;
    EXPECT_NEAR(sum, predicted[e].rul, 1e-4);
    EXPECT_EQ(fleet->engines[e].channels[0].name, "Sensor3");
  }
  ASSERT_EQ(fleet->features.size(), 3u);
  EXPECT_EQ(fleet->features[0].name, "Sensor3");
  EXPECT_NEAR(fleet->features[0].cycles, 20, 1e-9);
  EXPECT_NEAR(fleet->features[1].cycles, 2, 1e-9);
  EXPECT_EQ(fleet->features[2].cycles, 0);
  const std::string chapter = render_importance(*fleet);
  EXPECT_LT(chapter.find("Sensor3"), chapter.find("Sensor2"));
  EXPECT_NE(chapter.find("<svg"), std::string::npos);
}

TEST(ExplainFleet, a_missing_column_and_a_model_that_does_not_tell_are_told_apart) {
  const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 6});
  const auto missing = explain_fleet(*estimator({"Sensor2", "Sensor3", "Vibration"}), table);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault, Fault::invalid_input);
  EXPECT_NE(missing.error().message.find("Vibration"), std::string::npos);
  const auto silent = explain_fleet(*estimator({"Sensor2", "Sensor3", "Sensor4"}, false), table);
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().fault, Fault::unavailable);
}

}  // namespace
}  // namespace nacelle::evaluation
