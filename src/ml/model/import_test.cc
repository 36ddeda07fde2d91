#include "ml/model/import.h"

#include <gtest/gtest.h>

#include "ml/model/onnx_trees.h"

namespace nacelle::model {
namespace {

constexpr std::string_view xgboost =
    R"({"learner":{"feature_names":["Sensor2","Sensor3"],"learner_model_param":{"base_score":"5E-1","num_feature":"2","num_class":"0"},"objective":{"name":"reg:squarederror"},"gradient_booster":{"name":"gbtree","model":{"trees":[
       {"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[1,0,0],"split_conditions":[1.5,-2E0,3E0],"default_left":[1,0,0],"sum_hessian":[9,4,5]}]}}}})";

std::string replaced(std::string_view from, std::string_view to) {
  std::string text(xgboost);
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST(ImportModel, an_xgboost_model_becomes_an_artifact_that_predicts_from_readings) {
  const auto artifact = import_model(xgboost, {.name = "theirs", .source = "m.json"});
  ASSERT_TRUE(artifact) << artifact.error().message;
  const auto estimator = Estimator::parse(encode_artifact(*artifact));
  ASSERT_TRUE(estimator) << estimator.error().message;
  EXPECT_EQ((*estimator)->pipeline().input_names(), (std::vector<std::string>{"Sensor2", "Sensor3"}));
  feature::EngineState state;
  const auto reading = feature::reading_from_json((*estimator)->pipeline(), *json::parse(R"({"Sensor2":1,"Sensor3":2})"));
  EXPECT_EQ((*estimator)->step(state, *reading).value(), 3.5);
  const float low[] = {0, 1};
  EXPECT_EQ((*estimator)->predict(low), 0) << "below 0 there is no remaining life";
  const auto why = (*estimator)->explain(low);
  ASSERT_TRUE(why) << why.error().message;
  EXPECT_EQ(why->features[0], 0);
  EXPECT_NEAR(why->base + why->features[1], -1.5, 1e-9);
  EXPECT_EQ((*estimator)->provenance().at_path({"source", "format"})->as_string(), "xgboost-json");
}

TEST(ImportModel, onnx_keeps_names_and_cap) {
  Artifact artifact = import_model(xgboost, {.name = "theirs", .cap = 130}).value();
  const Bytes bytes = onnx::encode(write_onnx_rows(artifact).value());
  const auto back = import_model(bytes, {.name = "again"});
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->cap, 130);
  EXPECT_EQ(back->pipeline.feature_names(), artifact.pipeline.feature_names());
  EXPECT_EQ(import_model(bytes, {.columns = {"a", "b"}})->pipeline.feature_names(), (std::vector<std::string>{"a", "b"}));
}

TEST(ImportModel, what_cannot_be_taken_over_is_refused_with_a_reason) {
  const auto expect = [](std::string_view bytes, const ImportOptions& options, std::string_view word) {
    const auto refused = import_model(bytes, options);
    ASSERT_FALSE(refused) << word;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  };
  expect("", {}, "ONNX");
  expect("binf\0\0", {}, "old binary format");
  expect("{]", {}, "UBJSON");
  expect("{\"a\":", {}, "");
  expect("{}", {}, "learner");
  expect(replaced("gbtree", "dart"), {}, "gbtree");
  expect(replaced("squarederror", "tweedie"), {}, "objectives");
  expect(replaced(R"("num_class":"0")", R"("num_class":"3")"), {}, "one output");
  expect(replaced("[1,-1,-1]", "[7,-1,-1]"), {}, "child");
  expect(replaced("[1,-1,-1]", "[1e30,-1,-1]"), {}, "child");
  expect(replaced("\"split_indices\":[1", "\"split_indices\":[-4"), {}, "out of range");
  expect(replaced("\"split_indices\":[1", "\"split_indices\":[2"), {}, "feature 2 of 2");
  expect(replaced("\"num_feature\":\"2\"", "\"num_feature\":\"99999999\""), {}, "out of range");
  expect(replaced("[1.5,", "[\"x\","), {}, "split_conditions");
  expect(replaced("[9,4,5]", "[9,-4,5]"), {}, "covers");
  expect(replaced("\"feature_names\":[\"Sensor2\",\"Sensor3\"],", ""), {}, "does not name its 2 features");
  expect(xgboost, {.columns = {"one"}}, "2 features, 1 are named");
  expect(xgboost, {.columns = {"one", "one"}}, "twice");
  expect(xgboost, {.cap = -3}, "cap");
}

}  // namespace
}  // namespace nacelle::model
