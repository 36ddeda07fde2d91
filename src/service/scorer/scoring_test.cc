#include "service/scorer/scoring.h"

#include <gtest/gtest.h>

#include "ml/dataset/labels.h"
#include "ml/dataset/synthetic.h"
#include "service/scorer/sample_model_test.h"

namespace nacelle::scorer {
namespace {

class Scoring : public testing::Test {
 protected:
  static void SetUpTestSuite() { estimator_ = new std::shared_ptr<const model::Estimator>(sample_estimator()); }
  static void TearDownTestSuite() { delete estimator_; }
  static const model::Estimator& estimator() { return **estimator_; }

  static json::Value parsed(std::string_view text) {
    auto value = json::parse(text);
    EXPECT_TRUE(value) << value.error().message;
    return std::move(value).value();
  }
  static json::Value answer(Result<json::Value> result) {
    EXPECT_TRUE(result) << result.error().message;
    return result ? std::move(result).value() : json::Value{};
  }
  /// The truth: the records of one engine, one after the other, through the estimator.
  static std::vector<double> stepped(const json::Array& records) {
    feature::EngineState state;
    std::vector<double> out;
    for (const json::Value& record : records)
      out.push_back(estimator().step(state, feature::reading_from_json(estimator().pipeline(), record).value()).value());
    return out;
  }
  static std::vector<double> predictions_of(const json::Value& records) {
    std::vector<double> out;
    for (const json::Value& record : records.as_array()) out.push_back(record.find("PredictedRul")->as_number());
    return out;
  }

 private:
  static inline std::shared_ptr<const model::Estimator>* estimator_ = nullptr;
};

TEST_F(Scoring, an_explanation_sums_to_its_prediction) {
  const json::Array records = sample_records(1, 5);
  const json::Value told = answer(score(estimator(), records, true));
  EXPECT_EQ(predictions_of(told), stepped(records));
  for (const json::Value& record : told.as_array()) {
    const json::Value* why = record.find("Explanation");
    ASSERT_TRUE(why);
    double features = why->find("base")->as_number(), channels = features;
    for (const auto& [name, cycles] : why->find("features")->as_object()) features += cycles.as_number();
    for (const auto& [name, cycles] : why->find("channels")->as_object()) channels += cycles.as_number();
    EXPECT_NEAR(features, record.find("PredictedRul")->as_number(), 1e-9);
    EXPECT_NEAR(channels, features, 1e-9);
  }
  EXPECT_FALSE(answer(score(estimator(), records)).as_array()[0].find("Explanation"));
}

TEST_F(Scoring, one_object_comes_back_with_its_prediction) {
  json::Value record = sample_records(1, 1).front();
  record.as_object().set("Comment", "kept");
  const json::Value out = answer(score(estimator(), record));
  EXPECT_EQ(out.find("PredictedRul")->as_number(), stepped({record}).front());
  EXPECT_EQ(out.find("Comment")->as_string(), "kept");
  EXPECT_EQ(*out.find("Sensor2"), *record.find("Sensor2"));
}

TEST_F(Scoring, a_list_is_one_engines_history_in_order) {
  const json::Array records = sample_records(1, 40);
  EXPECT_EQ(predictions_of(answer(score(estimator(), records))), stepped(records));
}

TEST_F(Scoring, named_engines_are_kept_apart_even_when_mixed) {
  const json::Array first = sample_records(1, 20), second = sample_records(2, 20);
  json::Array mixed;
  for (std::size_t i = 0; i < 20; ++i) {
    json::Value a = first[i], b = second[i];
    a.as_object().set("ConnectionDeviceId", "Client_001");
    b.as_object().set("unit", 2);
    mixed.push_back(std::move(a));
    mixed.push_back(std::move(b));
  }
  const std::vector<double> predicted = predictions_of(answer(score(estimator(), mixed))), of_first = stepped(first),
                            of_second = stepped(second);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(predicted[2 * i], of_first[i]);
    EXPECT_EQ(predicted[2 * i + 1], of_second[i]);
  }
}

TEST_F(Scoring, without_names_a_falling_cycle_starts_another_engine) {
  json::Array all = sample_records(1, 15);
  std::vector<double> expected = stepped(all);
  for (const json::Value& record : sample_records(2, 10)) all.push_back(record);
  const std::vector<double> second = stepped(sample_records(2, 10));
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(predictions_of(answer(score(estimator(), all))), expected);
}

TEST_F(Scoring, every_dialect_gives_the_same_numbers) {
  const json::Array records = sample_records(1, 12);
  const std::vector<double> expected = stepped(records);
  const auto numbers = [](const json::Value& list) {
    std::vector<double> out;
    for (const json::Value& value : list.as_array()) out.push_back(value.as_number());
    return out;
  };
  EXPECT_EQ(numbers(*answer(invocations(estimator(), json::Object{{"dataframe_records", records}})).find("predictions")), expected);
  EXPECT_EQ(numbers(*answer(invocations(estimator(), json::Object{{"instances", records}})).find("predictions")), expected);

  json::Array columns, data, rows;
  columns.emplace_back("CycleTime");
  for (const std::string& name : estimator().pipeline().input_names()) columns.emplace_back(name);
  std::string csv;
  for (const json::Value& name : columns) csv += (csv.empty() ? "" : ",") + name.as_string();
  for (const json::Value& record : records) {
    json::Array row;
    std::string line;
    for (const json::Value& name : columns) {
      row.push_back(*record.find(name.as_string()));
      line += (line.empty() ? "" : ",") + json::print(row.back());
    }
    csv += "\n" + line;
    data.emplace_back(row);
    rows.emplace_back(std::move(row));
  }
  const json::Value split = json::Object{{"columns", columns}, {"data", data}};
  EXPECT_EQ(numbers(*answer(invocations(estimator(), json::Object{{"dataframe_split", split}})).find("predictions")), expected);
  EXPECT_EQ(numbers(*answer(invocations(estimator(), json::Object{{"inputs", rows}})).find("predictions")), expected);
  EXPECT_EQ(numbers(*answer(invocations_csv(estimator(), csv)).find("predictions")), expected);

  json::Array shape, inputs;
  shape.emplace_back(static_cast<std::int64_t>(data.size()));
  shape.emplace_back(static_cast<std::int64_t>(columns.size()));
  inputs.emplace_back(json::Object{{"name", "x"}, {"datatype", "FP64"}, {"shape", shape}, {"data", data}});
  const json::Value v2 = answer(infer(estimator(), json::Object{{"id", "42"}, {"inputs", inputs}}));
  EXPECT_EQ(v2.find("id")->as_string(), "42");
  EXPECT_EQ(numbers(*v2.find("outputs")->as_array().front().find("data")), expected);
}

TEST_F(Scoring, columns_by_name_are_records_turned_around) {
  const json::Array records = sample_records(1, 3);
  json::Object columns;
  for (const auto& [name, value] : records.front().as_object()) {
    json::Array values;
    for (const json::Value& record : records) values.push_back(*record.find(name));
    columns.set(name, std::move(values));
  }
  const json::Value out = answer(invocations(estimator(), json::Object{{"inputs", std::move(columns)}}));
  EXPECT_EQ(out.find("predictions")->as_array().back().as_number(), stepped(records).back());
}

TEST_F(Scoring, a_wrong_field_names_its_record) {
  json::Array records = sample_records(1, 5);
  records[1].as_object().set("Sensor3", "hot");
  const auto result = score(estimator(), records);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().fault, Fault::invalid_input);
  EXPECT_NE(result.error().message.find("record 2 of 5"), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("Sensor3"), std::string::npos) << result.error().message;
}

TEST_F(Scoring, what_is_no_record_is_refused) {
  for (const char* body : {"null", "3", "\"x\"", "[3]", "[[1,2]]", "{}", "[{\"CycleTime\":1}]", "{\"CycleTime\":-1,\"Sensor1\":1}"})
    EXPECT_FALSE(score(estimator(), parsed(body))) << body;
  EXPECT_EQ(answer(score(estimator(), json::Array{})).as_array().size(), 0u);
}

TEST_F(Scoring, wrong_forms_are_refused_with_a_reason) {
  for (const char* body :
       {"[]", "{}", "{\"instances\":3}", "{\"instances\":[],\"inputs\":[]}", "{\"instances\":[[1,2]]}",
        "{\"inputs\":{\"Sensor1\":[1],\"Sensor2\":[]}}", "{\"dataframe_split\":{\"columns\":[\"Sensor1\"],\"data\":[[1,2]]}}",
        "{\"dataframe_split\":{\"data\":[]}}"}) {
    const auto result = invocations(estimator(), parsed(body));
    EXPECT_FALSE(result) << body;
  }
  for (const char* body : {"{}", "{\"inputs\":[]}", "{\"inputs\":[{\"datatype\":\"BYTES\",\"shape\":[1,1],\"data\":[1]}]}",
                           "{\"inputs\":[{\"datatype\":\"FP64\",\"shape\":[2,2],\"data\":[1]}]}",
                           "{\"inputs\":[{\"datatype\":\"FP64\",\"shape\":[-1,9999999999],\"data\":[]}]}"})
    EXPECT_FALSE(infer(estimator(), parsed(body))) << body;
  EXPECT_FALSE(invocations_csv(estimator(), ""));
  EXPECT_FALSE(invocations_csv(estimator(), "CycleTime,Sensor1\n1"));
  EXPECT_FALSE(invocations_csv(estimator(), "CycleTime,Sensor1\n1,warm"));
}

}  // namespace
}  // namespace nacelle::scorer
