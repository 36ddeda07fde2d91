#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "codec/avro/container.h"
#include "domain/telemetry/capture.h"
#include "foundation/random.h"
#include "ml/dataset/csv.h"
#include "ml/dataset/synthetic.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"
#include "service/workbench/model_reference.h"
#include "service/workbench/store.h"

namespace nacelle::workbench {
namespace {

class Workbench : public testing::Test {
 protected:
  void SetUp() override { folder_ = fs::temp_directory_path() / ("workbench-" + random_uuid()); }
  void TearDown() override { fs::remove_all(folder_); }
  WorkbenchStore open() {
    auto store = WorkbenchStore::open(folder_, clock_);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(store).value();
  }
  fs::path write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_whole(folder_ / name, text));
    return folder_ / name;
  }
  fs::path folder_;
  ManualClock clock_;
};

TEST_F(Workbench, versions_count_up_and_the_first_is_champion) {
  WorkbenchStore store = open();
  EXPECT_EQ(store.register_model("rul", "aa", "", "")->version, 1);
  const auto second = store.register_model("rul", "bb", "", "");
  EXPECT_EQ(second->version, 2);
  EXPECT_EQ(second->aliases, std::vector<std::string>{"challenger"});
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul"))->version, 1);
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul@challenger"))->version, 2);
  EXPECT_EQ(store.resolve(*registry::parse_reference("champion"))->version, 1);
  ASSERT_TRUE(store.set_alias("rul", "champion", 2));
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul"))->version, 2);
  ASSERT_TRUE(store.drop_alias("rul", "champion"));
  EXPECT_FALSE(store.drop_alias("rul", "champion"));
  EXPECT_FALSE(store.set_alias("rul", "champion", 9));
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul:1"))->artifact_sha256, "aa");
  EXPECT_TRUE(store.set_stage("rul", 1, "production"));
  EXPECT_FALSE(store.set_stage("rul", 1, "live"));
}

/// Readings of two engines as the hub captures them, and messages that are none.
std::vector<telemetry::Message> captured_messages() {
  std::vector<telemetry::Message> all;
  for (int i = 0; i < 60; ++i) {
    telemetry::Message message;
    message.enqueued_at = Timestamp{std::chrono::seconds{1'893'456'000 + i}};
    message.system = {{"connectionDeviceId", i % 2 == 0 ? "Client_001" : "Client_002"}};
    if (i % 3 != 0) message.system.set("contentType", "application/json"), message.system.set("contentEncoding", "utf-8");
    message.application = {{"line", "a\"b"}};
    message.body = fmt::format("{{\"CycleTime\":{},\n\"OperationalSetting1\":0.{},\"Sensor1\":{}.25,\"Sensor21\":{}}}", 1 + i / 2,
                               i, i, i % 5 == 0 ? "null" : "-1e-3");
    if (i == 20) message.body = "\"a text\"";
    if (i == 21) message.body = "not JSON";
    if (i == 22) message.body = "";
    if (i == 23) message.body = R"({"CycleTime":1,"Sensor1":"high"})";
    all.push_back(std::move(message));
  }
  return all;
}

TEST_F(Workbench, captures_of_the_same_messages_in_avro_and_in_json_give_the_same_table) {
  const auto messages = captured_messages();
  std::string lines;
  avro::ContainerOptions options;
  options.schema = telemetry::capture_schema;
  options.sync_marker = Bytes(avro::sync_marker_bytes, 's');
  Bytes container;
  const auto sink = [&container](BytesView bytes) -> Result<> { return container += bytes, Result<>(); };
  auto writer = avro::ContainerWriter::open(std::move(options), sink).value();
  for (const auto& message : messages) {
    Bytes record;
    telemetry::append_capture_record(record, message);
    ASSERT_TRUE(writer.add(record));
    lines += telemetry::print_capture_line(message) + "\n";
  }
  ASSERT_TRUE(writer.flush_block());
  write("hub1/objects/capture/all/00.avro", container);
  write("hub2/objects/capture/all/00.json", lines);
  write("hub2/objects/capture/all/notes.json", R"({"name":"somebody's notes"})");

  const auto avro = import_captured({folder_ / "hub1"}, false, 2);
  const auto json = import_captured({folder_ / "hub2"}, false, 2);
  ASSERT_TRUE(avro) << avro.error().message;
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->table.row_count(), 56u);
  EXPECT_EQ(json->table.content_hash(), avro->table.content_hash());
  EXPECT_EQ(json->counts.records, avro->counts.records);
  EXPECT_EQ(json->counts.skipped, avro->counts.skipped);
  EXPECT_EQ(json->counts.unreadable, 1u);
  EXPECT_EQ(avro->counts.unreadable, 1u);
  EXPECT_EQ(json->files, 1u);
  EXPECT_EQ(json->other_files, 1u);

  write("hub2/objects/capture/all/01.json", lines.substr(0, lines.size() / 2));
  const auto cut = import_captured({folder_ / "hub2"}, false, 1);
  ASSERT_FALSE(cut);
  EXPECT_NE(cut.error().message.find("01.json, line "), std::string::npos) << cut.error().message;
}

TEST_F(Workbench, an_unknown_model_is_refused_with_what_there_is) {
  WorkbenchStore store = open();
  (void)store.register_model("rul", "aa", "", "");
  const auto unknown = store.resolve(*registry::parse_reference("other:3"));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().fault, Fault::not_found);
  EXPECT_EQ(unknown.error().message, "model 'other:3' is unknown; there are: rul:1");
}

TEST_F(Workbench, a_deployed_or_named_version_is_not_deleted_and_numbers_do_not_come_back) {
  WorkbenchStore store = open();
  const auto keep = [&store](const std::string& bytes) { return store.keep_artifact(bytes).value(); };
  const std::string first = keep("one"), second = keep("two"), third = keep("three");
  for (const std::string& sha256 : {first, second, third}) ASSERT_TRUE(store.register_model("rul", sha256, "", ""));
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul:3"))->parent, "rul:1");
  ASSERT_TRUE(store.mark_deployed(second, "edge-1", "classifier"));
  const auto deployed = store.delete_version("rul", 2);
  ASSERT_FALSE(deployed);
  EXPECT_EQ(deployed.error().fault, Fault::conflict);
  EXPECT_NE(deployed.error().message.find("edge-1/classifier"), std::string::npos);
  const auto champion = store.delete_version("rul", 1);
  ASSERT_FALSE(champion);
  EXPECT_NE(champion.error().message.find("champion"), std::string::npos);
  ASSERT_TRUE(store.mark_deployed(third, "edge-1", "classifier"));  // another model took its place there
  EXPECT_TRUE(fs::exists(store.artifact_path(second)));
  ASSERT_TRUE(store.delete_version("rul", 2));
  EXPECT_FALSE(fs::exists(store.artifact_path(second)));
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul:2")).error().fault, Fault::not_found);
  EXPECT_FALSE(store.delete_version("rul", 2));
  ASSERT_TRUE(store.unmark_deployed("edge-1"));
  EXPECT_FALSE(store.unmark_deployed("edge-1"));
  ASSERT_TRUE(store.drop_alias("rul", "challenger"));
  ASSERT_TRUE(store.delete_version("rul", 3));
  EXPECT_EQ(store.register_model("rul", first, "", "")->version, 4);
  ASSERT_TRUE(store.drop_alias("rul", "challenger"));
  ASSERT_TRUE(store.delete_version("rul", 4));
  EXPECT_TRUE(fs::exists(store.artifact_path(first)));  // version 1 needs it
  EXPECT_TRUE(store.set_notes("rul", 1, "kept"));
  EXPECT_EQ(store.resolve(*registry::parse_reference("rul:1"))->notes, "kept");
  EXPECT_FALSE(store.set_notes("rul", 9, "nobody"));
}

TEST_F(Workbench, a_model_is_named_by_path_folder_or_reference) {
  const fs::path file = write("m/model.nacelle", "bytes");
  EXPECT_EQ(resolve_model(file.string())->artifact, file);
  EXPECT_EQ(resolve_model((folder_ / "m").string())->artifact, file);
  for (const std::string& wrong : {(folder_ / "none").string(), std::string("rul:x"), std::string("rul")}) {
    const auto missing = resolve_model(wrong, (folder_ / "empty").string());
    ASSERT_FALSE(missing) << wrong;
    EXPECT_FALSE(fs::exists(folder_ / "empty"));
  }
}

TEST_F(Workbench, joined_tables_keep_their_engines_apart) {
  const auto whole = dataset::make_synthetic_fleet({.engines = 3});
  const auto cut = dataset::make_synthetic_fleet({.engines = 2, .cut_off = true});
  const auto both = join_tables({whole, cut});
  EXPECT_EQ(both.engines.size(), 5u);
  EXPECT_EQ(both.engines[3].unit, 4);
  EXPECT_EQ(both.row_count(), whole.row_count() + cut.row_count());
  EXPECT_EQ(both.unit[both.engines[4].begin], 5);
  EXPECT_EQ(both.end_rul, (std::vector<double>{0, 0, 0, cut.end_rul[0], cut.end_rul[1]}));
}

TEST_F(Workbench, a_set_that_is_not_there_is_refused_with_those_that_are) {
  write("data/train_FD002.txt", "");
  ::setenv("NACELLE_DATA", (folder_ / "data").c_str(), 1);
  const auto missing = load_table("FD001");
  ::unsetenv("NACELLE_DATA");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault, Fault::not_found);
  EXPECT_EQ(missing.error().message, "data set 'train_FD001' was not found; there are: train_FD002");
}

TEST_F(Workbench, a_table_that_tells_remaining_lives_is_a_test_set) {
  const auto cut = dataset::make_synthetic_fleet({.engines = 2, .cut_off = true});
  const auto csv = folder_ / "cut.csv";
  ASSERT_TRUE(write_whole(csv, [&cut](std::ostream& out) { dataset::write_csv(out, cut, {.labels = true}); }));
  EXPECT_EQ(load_test_set(csv.string(), "")->truth, cut.end_rul);
  const fs::path rul = write("rul.txt", "7\n8\n");
  EXPECT_EQ(load_test_set(csv.string(), rul.string())->truth, (std::vector<double>{7, 8}));
  EXPECT_FALSE(load_test_set(csv.string(), write("short.txt", "7\n").string()));
}

TEST_F(Workbench, a_failed_write_leaves_nothing_behind) {
  write("file", "x");
  EXPECT_FALSE(write_whole(folder_ / "file" / "below", "y"));
  EXPECT_EQ(files_below(folder_)->size(), 1u);
}

}  // namespace
}  // namespace nacelle::workbench
