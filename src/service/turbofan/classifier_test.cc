// EngineMemory and ClassifierStore: predictions, repetitions, new runs, restarts, and a model that is swapped.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <future>
#include <limits>

#include "foundation/random.h"
#include "ml/dataset/labels.h"
#include "ml/dataset/synthetic.h"
#include "service/turbofan/classifier_store.h"

namespace nacelle::turbofan {
namespace {

namespace fs = std::filesystem;

const dataset::FleetTable& fleet() {
  static const auto table = dataset::make_synthetic_fleet({.engines = 6, .regimes = 1, .seed = 11});
  return table;
}

feature::Pipeline learned(const feature::Recipe& recipe) {
  const std::vector<double> rul = dataset::label_rul(fleet());
  feature::Pipeline::TrainingRows rows{
      .row_count = fleet().row_count(), .inputs = {}, .cycle = fleet().cycle, .rul = rul, .engine_begin = {}};
  for (const auto& column : fleet().columns) rows.inputs.emplace_back(column);
  for (const auto& engine : fleet().engines) rows.engine_begin.push_back(engine.begin);
  rows.engine_begin.push_back(fleet().row_count());
  return *feature::Pipeline::learn(recipe, rows);
}

/// Predicts the sum of the features: different for every state.
class SumModel final : public model::Estimator {
 public:
  SumModel(std::string name, const feature::Recipe& recipe) : name_(std::move(name)), pipeline_(learned(recipe)) {}
  const std::string& name() const override { return name_; }
  const std::string& content_hash() const override { return name_; }
  const feature::Pipeline& pipeline() const override { return pipeline_; }
  const json::Value& provenance() const override { return nothing_; }
  Result<model::Cycles> step(feature::EngineState& state, const feature::Reading& reading) const override {
    std::vector<float> row(pipeline_.feature_count());
    TRY(pipeline_.step(state, reading, row));
    return predict(row);
  }
  model::Cycles predict(std::span<const float> row) const override {
    double sum = 0;
    for (const float value : row) sum += value;
    return sum;
  }
  model::Interval interval(model::Cycles predicted) const override { return {predicted, predicted}; }

 private:
  std::string name_;
  feature::Pipeline pipeline_;
  json::Value nothing_;
};

std::shared_ptr<const model::Estimator> first_model() {
  static const auto made = std::make_shared<SumModel>("first", feature::Recipe{});
  return made;
}
std::shared_ptr<const model::Estimator> second_model() {
  static const auto made = std::make_shared<SumModel>("second", feature::Recipe{.mean_windows = {3, 9}});
  return made;
}

const std::size_t channels = ReadingForm::turbofan().channels.size();

SeenReading reading(std::int64_t cycle, std::uint64_t run = 1) {
  SeenReading made;
  made.values.resize(channels);
  made.cycle = cycle;
  made.message = run * 1'000'000 + static_cast<std::uint64_t>(cycle);
  for (std::size_t i = 0; i < channels; ++i)
    made.values[i] = std::sin(static_cast<double>(cycle) * 0.1 + static_cast<double>(i)) + static_cast<double>(run);
  return made;
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("nacelle-classifier-" + random_uuid());
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

double predicted(EngineMemory& memory, const std::string& engine, const SeenReading& seen) {
  const auto answer = memory.step(engine, seen);
  EXPECT_TRUE(answer) << answer.error().message;
  return answer->prediction;
}

TEST(EngineMemory, engines_are_kept_apart) {
  EngineMemory memory, alone;
  ASSERT_TRUE(memory.use(first_model()));
  ASSERT_TRUE(alone.use(first_model()));
  for (int cycle = 1; cycle <= 40; ++cycle) {
    const double mixed = predicted(memory, "a", reading(cycle));
    predicted(memory, "b", reading(cycle, 9));
    EXPECT_EQ(mixed, predicted(alone, "a", reading(cycle)));
  }
}

TEST(EngineMemory, a_repeated_cycle_gets_the_same_answer_and_changes_nothing) {
  EngineMemory memory, once;
  ASSERT_TRUE(memory.use(first_model()));
  ASSERT_TRUE(once.use(first_model()));
  std::vector<double> answers;
  for (int cycle = 1; cycle <= 30; ++cycle) answers.push_back(predicted(memory, "a", reading(cycle)));
  for (int cycle = 1; cycle <= 30; ++cycle) {
    const auto again = memory.step("a", reading(cycle));
    EXPECT_FALSE(again->is_new);
    EXPECT_EQ(again->prediction, answers[static_cast<std::size_t>(cycle - 1)]);
    predicted(once, "a", reading(cycle));
  }
  EXPECT_EQ(predicted(memory, "a", reading(31)), predicted(once, "a", reading(31)));
}

TEST(EngineMemory, cycle_one_of_another_message_begins_a_new_run) {
  EngineMemory memory, fresh;
  ASSERT_TRUE(memory.use(first_model()));
  ASSERT_TRUE(fresh.use(first_model()));
  for (int cycle = 1; cycle <= 50; ++cycle) predicted(memory, "a", reading(cycle));
  for (int cycle = 1; cycle <= 10; ++cycle)
    EXPECT_EQ(predicted(memory, "a", reading(cycle, 2)), predicted(fresh, "a", reading(cycle, 2)));
}

TEST(EngineMemory, a_new_model_is_warmed_up_with_the_kept_readings) {
  EngineMemory swapped, fresh;
  ASSERT_TRUE(swapped.use(first_model()));
  ASSERT_TRUE(fresh.use(second_model()));
  for (int cycle = 1; cycle <= 100; ++cycle) {
    predicted(swapped, "a", reading(cycle));
    predicted(fresh, "a", reading(cycle));
  }
  ASSERT_TRUE(swapped.use(second_model()));
  EXPECT_EQ(predicted(swapped, "a", reading(101)), predicted(fresh, "a", reading(101)));
}

TEST(EngineMemory, memory_is_bounded_per_engine) {
  EngineMemory memory;
  ASSERT_TRUE(memory.use(first_model()));
  for (int cycle = 1; cycle <= 500; ++cycle) predicted(memory, "a", reading(cycle));
  EXPECT_EQ(memory.engines().at("a").readings.size(), EngineMemory::readings_kept);
}

TEST(ReadReading, the_member_that_is_wrong_is_named) {
  for (const auto& [text, word] :
       std::vector<std::pair<const char*, const char*>>{{"{}", "CycleTime"},
                                                        {R"({"CycleTime":"1","Sensor1":1})", "CycleTime"},
                                                        {R"({"CycleTime":1.5,"Sensor1":1})", "CycleTime"},
                                                        {R"({"CycleTime":0,"Sensor1":1})", "CycleTime"},
                                                        {R"({"CycleTime":1,"Sensor3":"hot"})", "Sensor3"},
                                                        {R"({"CycleTime":1})", "no sensor"},
                                                        {"[]", "object"}}) {
    const auto refused = read_reading(*json::parse(text));
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  }
  const auto silent = read_reading(*json::parse(R"({"CycleTime":1,"Sensor1":2,"Sensor2":null})"));
  EXPECT_EQ(silent->values[3], 2);
  EXPECT_TRUE(std::isnan(silent->values[4]));
}

/// A classifier's memory on disk.
struct Kept {
  SystemClock clock;
  std::unique_ptr<ClassifierStore> store;
  EngineMemory memory;
  Kept(const fs::path& folder, std::shared_ptr<const model::Estimator> model) {
    auto opened = ClassifierStore::open(folder, clock, storage::real_file_system());
    EXPECT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    EXPECT_TRUE(memory.use(std::move(model)));
    const auto restored = store->restore(memory);
    EXPECT_TRUE(restored) << restored.error().message;
  }
  double step(const std::string& engine, const SeenReading& seen) {
    const auto answer = memory.step(engine, seen);
    EXPECT_TRUE(answer);
    if (!answer->is_new) return answer->prediction;
    std::promise<bool> synced;
    store->append(engine, answer->reading, [&](Result<> done) { synced.set_value(done.has_value()); });
    EXPECT_TRUE(synced.get_future().get());
    return answer->prediction;
  }
};

TEST(ClassifierStore, a_restart_at_any_place_changes_no_prediction) {
  Folder folder;
  EngineMemory never_stopped;
  ASSERT_TRUE(never_stopped.use(first_model()));
  int cycle = 1;
  for (int run = 0; run < 6; ++run) {
    Kept kept(folder.path, first_model());
    for (int i = 0; i < 45; ++i, ++cycle)
      for (const char* engine : {"a", "b"})
        EXPECT_EQ(kept.step(engine, reading(cycle)), predicted(never_stopped, engine, reading(cycle))) << cycle;
    if (run % 2 == 1) {
      ASSERT_TRUE(kept.store->snapshot(kept.memory, true));
    }
  }
}

TEST(ClassifierStore, a_repetition_after_a_restart_gets_the_answer_given_before) {
  Folder folder;
  double before = 0;
  {
    Kept kept(folder.path, first_model());
    for (int cycle = 1; cycle <= 20; ++cycle) before = kept.step("a", reading(cycle));
  }
  Kept kept(folder.path, second_model());  // even under another model
  EXPECT_EQ(kept.step("a", reading(20)), before);
}

TEST(ClassifierStore, a_snapshot_of_another_pipeline_is_rebuilt_from_readings) {
  Folder folder;
  EngineMemory fresh;
  ASSERT_TRUE(fresh.use(second_model()));
  {
    Kept kept(folder.path, first_model());
    for (int cycle = 1; cycle <= 60; ++cycle) kept.step("a", reading(cycle));
    ASSERT_TRUE(kept.store->snapshot(kept.memory, true));
    EXPECT_EQ(kept.store->model_hash(), "first");
  }
  for (int cycle = 1; cycle <= 60; ++cycle) predicted(fresh, "a", reading(cycle));
  Kept kept(folder.path, second_model());
  EXPECT_EQ(kept.step("a", reading(61)), predicted(fresh, "a", reading(61)));
}

TEST(ClassifierStore, a_damaged_snapshot_is_set_aside) {
  Folder folder;
  {
    Kept kept(folder.path, first_model());
    kept.step("a", reading(1));
    ASSERT_TRUE(kept.store->snapshot(kept.memory, true));
  }
  auto bytes = *storage::read_file(storage::real_file_system(), folder.path / "engines.state");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  ASSERT_TRUE(storage::write_file_atomic(storage::real_file_system(), folder.path / "engines.state", bytes));
  Kept kept(folder.path, first_model());
  EXPECT_TRUE(kept.memory.engines().empty());
  EXPECT_TRUE(fs::exists(folder.path / "engines.state.quarantined"));
}

TEST(ClassifierJournal, a_reading_comes_back_bit_for_bit_and_no_truncation_passes) {
  SeenReading seen = reading(5);
  seen.prediction = 0.1 + 0.2;
  const Bytes record = encode_reading("Client_001", seen);
  const auto back = decode_reading(record, channels);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->first, "Client_001");
  EXPECT_EQ(back->second, seen);
  for (std::size_t cut = 0; cut < record.size(); ++cut)
    EXPECT_FALSE(decode_reading(BytesView(record).substr(0, cut), channels)) << cut;
  EXPECT_FALSE(decode_reading(record + "x", channels));
}

}  // namespace
}  // namespace nacelle::turbofan
