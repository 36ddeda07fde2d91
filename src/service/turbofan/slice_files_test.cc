#include "service/turbofan/slice_files.h"

#include <gtest/gtest.h>

#include "foundation/random.h"
#include "service/turbofan/router_logic.h"

namespace nacelle::turbofan {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

const std::size_t channels = ReadingForm::turbofan().channels.size();

EngineData record(std::int64_t cycle, const std::string& device = "Client_001", const std::string& run = "run1") {
  EngineData made;
  made.correlation_id = run + "-" + device + "-" + std::to_string(cycle);
  made.device = device;
  made.reading.cycle = cycle;
  made.reading.values.resize(channels);
  made.reading.prediction = 100.5 - static_cast<double>(cycle);
  return made;
}

struct World {
  fs::path base = fs::temp_directory_path() / ("nacelle-slices-" + random_uuid());
  fs::path folder = base / "avrofiles";
  ManualClock clock;  // 2030-01-01T00:00:00Z
  std::unique_ptr<SliceFiles> files;
  World() { open(); }
  ~World() {
    files.reset();
    std::error_code ignored;
    fs::remove_all(base, ignored);
  }
  void open() {
    files.reset();
    SliceOptions options;
    options.folder = folder;
    options.notes = base / "written.json";
    auto opened = SliceFiles::open(std::move(options), clock, storage::real_file_system());
    ASSERT_TRUE(opened) << opened.error().message;
    files = std::move(*opened);
  }
  std::size_t add(std::vector<EngineData> records) {
    const auto added = files->add(records);
    EXPECT_TRUE(added) << added.error().message;
    return *added;
  }
  std::vector<std::string> names() const { return *files->complete(); }
  std::vector<std::int64_t> cycles(const std::string& name) {
    std::vector<std::int64_t> found;
    const auto bytes = storage::read_file(storage::real_file_system(), folder / name);
    EXPECT_TRUE(bytes);
    auto reader = avro::ContainerReader::open(*bytes);
    const auto read = reader->each_record([&](avro::Decoder& from) -> Result<> {
      TRY_LET(const EngineData data, decode_engine_data(from, channels));
      found.push_back(data.reading.cycle);
      return {};
    });
    EXPECT_TRUE(read);
    return found;
  }
};

using Names = std::vector<std::string>;
using Cycles = std::vector<std::int64_t>;

TEST(SliceFiles, folders_are_zero_padded_and_a_slice_is_five_minutes) {
  World world;
  world.clock.advance(seconds(3 * 3600 + 7 * 60));
  world.add({record(1), record(2)});
  world.clock.advance(seconds(120));
  world.add({record(3)});
  world.clock.advance(seconds(60));  // 03:10
  world.add({record(4)});
  EXPECT_EQ(*world.files->complete(), Names{"2030/01/01/03/05.avro"});
  EXPECT_EQ(world.cycles("2030/01/01/03/05.avro"), (Cycles{1, 2, 3}));
  ASSERT_TRUE(world.files->tick(true));
  EXPECT_EQ(*world.files->complete(), (Names{"2030/01/01/03/05.avro", "2030/01/01/03/10.avro"}));
}

TEST(SliceFiles, an_untouched_file_is_complete_after_the_idle_time) {
  World world;
  world.add({record(1)});
  world.clock.advance(seconds(599));
  ASSERT_TRUE(world.files->tick());
  EXPECT_TRUE(world.files->complete()->empty());
  world.clock.advance(seconds(1));
  ASSERT_TRUE(world.files->tick());
  EXPECT_EQ(world.files->complete()->size(), 1u);
}

TEST(SliceFiles, a_name_is_never_given_out_twice_also_after_removal_and_restart) {
  World world;
  for (int i = 0; i < 3; ++i) {
    world.add({record(i + 1)});
    ASSERT_TRUE(world.files->tick(true));
    const auto names = *world.files->complete();
    ASSERT_EQ(names.size(), 1u);
    EXPECT_EQ(names[0], i == 0 ? "2030/01/01/00/00.avro" : "2030/01/01/00/00_00" + std::to_string(i) + ".avro");
    ASSERT_TRUE(world.files->remove(names[0]));
    world.open();
  }
  EXPECT_FALSE(fs::exists(world.folder / "2030")) << "empty folders go";
}

TEST(SliceFiles, repetitions_are_left_out_also_after_upload_and_restart) {
  World world;
  EXPECT_EQ(world.add({record(1), record(2), record(1)}), 2u);
  world.open();
  EXPECT_EQ(world.add({record(2), record(3)}), 1u);
  ASSERT_TRUE(world.files->tick(true));
  for (const std::string& name : world.names()) ASSERT_TRUE(world.files->remove(name));
  world.open();
  EXPECT_EQ(world.add({record(1), record(2), record(3)}), 0u);
  EXPECT_EQ(world.add({record(3, "Client_002")}), 1u) << "another device";
}

TEST(SliceFiles, the_same_cycles_of_a_new_run_are_kept) {
  World world;
  world.add({record(1), record(2)});
  EXPECT_EQ(world.add({record(1, "Client_001", "run2"), record(2, "Client_001", "run2")}), 2u);
}

TEST(SliceFiles, a_partial_file_is_cut_behind_its_last_whole_block) {
  Bytes whole;
  std::size_t first_block_end = 0;
  {
    World world;
    world.add({record(1)});
    const fs::path path = world.folder / "2030/01/01/00/00.avro.part";
    first_block_end = fs::file_size(path);
    world.add({record(2), record(3)});
    whole = *storage::read_file(storage::real_file_system(), path);
  }
  // Few places of the header, many of the second block.
  std::vector<std::size_t> cuts{whole.size() - 1, whole.size(), first_block_end - 1};
  for (std::size_t cut = 0; cut < first_block_end; cut += 97) cuts.push_back(cut);
  for (std::size_t cut = first_block_end; cut < whole.size(); cut += 5) cuts.push_back(cut);
  for (const std::size_t cut : cuts) {
    World world;
    const fs::path path = world.folder / "2030/01/01/00/00.avro.part";
    fs::create_directories(path.parent_path());
    ASSERT_TRUE(storage::write_file_atomic(storage::real_file_system(), path, BytesView(whole).substr(0, cut)));
    world.open();
    EXPECT_FALSE(fs::exists(path));
    const auto names = *world.files->complete();
    if (cut < first_block_end) {
      EXPECT_TRUE(names.empty()) << cut;
    } else {
      ASSERT_EQ(names.size(), 1u) << cut;
      EXPECT_EQ(world.cycles(names[0]), cut < whole.size() ? Cycles{1} : (Cycles{1, 2, 3})) << cut;
    }
    // What was cut off was not acknowledged: it comes again, and is then there once.
    world.add({record(1), record(2), record(3)});
    ASSERT_TRUE(world.files->tick(true));
    std::size_t total = 0;
    for (const std::string& name : world.names()) total += world.cycles(name).size();
    EXPECT_EQ(total, 3u) << cut;
  }
}

TEST(EngineDataRecord, it_is_read_out_of_the_router_s_message) {
  telemetry::Message message;
  message.system = {{"connectionDeviceId", "edge1"}, {"connectionModuleId", "router"}, {"correlationId", "c-1"}};
  message.application.set(original_device, "Client_007");
  message.application.set(original_enqueued, "2030-01-01T00:00:01Z");
  message.application.set(original_created, "2030-01-01T00:00:00Z");
  message.body = R"({"CycleTime":3,"Sensor21":23.5,"PredictedRul":99.125})";
  const auto data = read_engine_data(message);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->device, "Client_007");
  Bytes bytes;
  encode(bytes, *data);
  avro::Decoder decoder(bytes);
  const auto back = decode_engine_data(decoder, channels);
  ASSERT_TRUE(back);
  EXPECT_TRUE(decoder.at_end());
  EXPECT_EQ(back->correlation_id, "c-1");
  EXPECT_EQ(back->created, "2030-01-01T00:00:00Z");
  EXPECT_EQ(back->reading.cycle, 3);
  EXPECT_EQ(back->reading.values[23], 23.5);
  EXPECT_EQ(back->reading.prediction, 99.125);
  message.body = R"({"CycleTime":3,"Sensor21":23.5})";
  EXPECT_FALSE(read_engine_data(message));
}

}  // namespace
}  // namespace nacelle::turbofan
