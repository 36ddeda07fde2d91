// Another fleet on an edge: what its readings are called comes from its schema.
#include "service/turbofan/reading_form.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "foundation/random.h"
#include "ml/model/artifact.h"
#include "service/turbofan/classifier_store.h"
#include "service/turbofan/engine_data.h"
#include "service/turbofan/router_logic.h"

namespace nacelle::turbofan {
namespace {

namespace fs = std::filesystem;

constexpr const char* pumps =
    R"({"machine":"pump","id":"pump","time":{"name":"hour","form":"number","step":2},"settings":["load"],"sensors":["vibration x","heat"]})";

Result<ReadingForm> form_of(const std::string& schema) {
  return ReadingForm::of(
      [&schema](const char* name) { return std::string_view(name) == "FLEET_SCHEMA" ? schema.c_str() : nullptr; });
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("nacelle-form-" + random_uuid());
  Folder() { fs::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

/// Predicts 100 - heat.
std::shared_ptr<const model::Estimator> pump_model() {
  const model::Artifact artifact{
      .name = "pumps",
      .cap = 125,
      .intervals = {},
      .pipeline = feature::Pipeline::identity({"vibration x", "heat"}).value(),
      .regressor = model::LinearModel{.intercept = 100, .centre = {0, 0}, .scale = {1, 1}, .weight = {0, -1}}};
  return model::Estimator::parse(model::encode_artifact(artifact)).value();
}

TEST(ReadingForm, is_a_turbofans_unless_a_schema_is_given) {
  const auto none = form_of("");
  ASSERT_TRUE(none);
  EXPECT_EQ(none->time, "CycleTime");
  EXPECT_EQ(none->channels.size(), 24u);
  EXPECT_EQ(none->channels[3], "Sensor1");
  const auto told = form_of(pumps);
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_EQ(told->time, "hour");
  EXPECT_EQ(told->channels, (std::vector<std::string>{"load", "vibration x", "heat"}));
  const Folder folder;
  std::ofstream(folder.path / "schema.json") << pumps;
  const auto file = form_of((folder.path / "schema.json").string());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->identity(), told->identity());
}

TEST(ReadingForm, what_is_no_schema_is_refused_with_the_variable_and_the_member) {
  for (const auto& [schema, word] : std::vector<std::pair<std::string, std::string>>{
           {"{", "FLEET_SCHEMA"},
           {R"({"id":"p","time":"t"})", "sensors"},
           {"/nonexistent/schema.json", "FLEET_SCHEMA"},
           {R"({"id":"p","time":{"name":"at","form":"iso8601","step":60},"sensors":["a"]})", "form number"},
           {R"({"id":"p","time":"t","sensors":["a b","a-b"]})", "one name in Avro"}}) {
    const auto refused = form_of(schema);
    ASSERT_FALSE(refused) << schema;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  }
}

TEST(ReadingForm, a_reading_tells_its_time_under_the_fleets_name_or_as_cycle_time) {
  const ReadingForm form = form_of(pumps).value();
  const auto read = [&form](const char* text) { return read_reading(*json::parse(text), form); };
  const auto reading = read(R"({"hour":8,"load":50,"vibration x":2.5,"Sensor1":9})");
  ASSERT_TRUE(reading) << reading.error().message;
  EXPECT_EQ(reading->cycle, 5) << "every two hours, from 0 up";
  ASSERT_EQ(reading->values.size(), 3u);
  EXPECT_EQ(reading->values[1], 2.5);
  EXPECT_TRUE(std::isnan(reading->values[2]));
  EXPECT_EQ(read(R"({"CycleTime":8,"heat":1})")->cycle, 8);
  for (const auto& [text, word] : std::vector<std::pair<const char*, const char*>>{{R"({"heat":1})", "hour"},
                                                                                   {R"({"hour":"8","heat":1})", "hour"},
                                                                                   {R"({"hour":-9,"heat":1})", "hour"},
                                                                                   {R"({"hour":1e300,"heat":1})", "hour"},
                                                                                   {R"({"hour":8,"heat":"x"})", "heat"},
                                                                                   {R"({"hour":8,"Sensor1":1})", "no sensor"}}) {
    const auto refused = read(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  }
}

TEST(ReadingForm, another_fleets_model_answers_its_readings_and_is_refused_for_turbofans) {
  EngineMemory memory(form_of(pumps).value());
  ASSERT_TRUE(memory.use(pump_model()));
  auto reading = read_reading(*json::parse(R"({"hour":2,"heat":30,"vibration x":1})"), memory.form());
  ASSERT_TRUE(reading);
  EXPECT_EQ(memory.step("pump-7", *reading)->prediction, 70);
  EngineMemory turbofans;
  const auto refused = turbofans.use(pump_model());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("FLEET_SCHEMA"), std::string::npos) << refused.error().message;
}

TEST(ReadingForm, a_classified_reading_goes_out_under_the_fleets_names_and_comes_back_from_avro) {
  const ReadingForm form = form_of(pumps).value();
  telemetry::Message message;
  message.system.set("correlationId", "c1");
  message.application.set(original_device, "pump-7");
  message.system.set("connectionDeviceId", "edge");
  message.system.set("connectionModuleId", "classifier");
  message.body = R"({"hour":2,"load":50,"vibration x":1,"heat":30,"PredictedRul":70})";
  const auto out = route_prediction(message, form);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(json::parse(out[0].message.body)->find("hour")->as_integer(), 2);
  EXPECT_EQ(json::parse(out[0].message.body)->find("PredictedRul")->as_number(), 70);
  const auto data = read_engine_data(message, form);
  ASSERT_TRUE(data) << data.error().message;
  Bytes bytes;
  encode(bytes, *data);
  avro::Decoder decoder(bytes);
  const auto back = decode_engine_data(decoder, form.channels.size());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->reading.values, (std::vector<double>{50, 1, 30}));
  EXPECT_EQ(back->reading.cycle, 2);
  EXPECT_NE(engine_data_schema(form).find(R"("vibration_x")"), std::string::npos);
}

TEST(ReadingForm, what_a_classifier_kept_in_another_form_is_set_aside) {
  const Folder folder;
  const SystemClock clock;
  { ASSERT_TRUE(ClassifierStore::open(folder.path, clock, storage::real_file_system())); }
  EXPECT_TRUE(fs::exists(folder.path / "journal"));
  const ReadingForm form = form_of(pumps).value();
  { ASSERT_TRUE(ClassifierStore::open(folder.path, clock, storage::real_file_system(), form)); }
  EXPECT_TRUE(fs::exists(folder.path / "journal.other-form"));
  fs::remove_all(folder.path / "journal.other-form");
  { ASSERT_TRUE(ClassifierStore::open(folder.path, clock, storage::real_file_system(), form)); }
  EXPECT_FALSE(fs::exists(folder.path / "journal.other-form")) << "the same form goes on";
  { ASSERT_TRUE(ClassifierStore::open(folder.path, clock, storage::real_file_system())); }
  EXPECT_TRUE(fs::exists(folder.path / "journal.other-form"));
}

}  // namespace
}  // namespace nacelle::turbofan
