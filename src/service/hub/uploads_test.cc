#include "service/hub/uploads.h"

#include "codec/text/encoding.h"
#include "service/hub/hub_testing.h"
#include "service/hub/schema.h"

namespace nacelle::hub {
namespace {

std::string query_part(const std::string& sas, const std::string& name) {
  const auto at = sas.find(name + "=") + name.size() + 1;
  return text::percent_decode(sas.substr(at, sas.find('&', at) - at)).value();
}

class UploadsTest : public ::testing::Test {
 protected:
  UploadsTest()
      : tables(open_registry_tables(folder.path()).value()),
        objects(storage::open_folder_store(folder.path() / "objects", storage::real_file_system()).value()) {
    reopen({});
  }
  void reopen(UploadLimits limits) {
    uploads = Uploads::open(tables, *objects, clock, "a secret of thirty-two characters", limits).value();
  }
  Result<> check(const UploadGrant& grant, const std::string& blob) {
    return uploads->check_signature(blob, query_part(grant.sas_token, "se"), query_part(grant.sas_token, "sp"),
                                    query_part(grant.sas_token, "sig"));
  }
  void put(const std::string& blob, const std::string& id, const std::string& bytes) {
    ASSERT_TRUE(uploads->store_block(uploads->reserve_block(blob, id, bytes.size()).value(), bytes));
  }

  hub::testing::TemporaryFolder folder;
  ManualClock clock;
  storage::Database tables;
  std::unique_ptr<storage::ObjectStore> objects;
  std::unique_ptr<Uploads> uploads;
};

TEST_F(UploadsTest, blocks_become_a_blob_in_the_order_of_the_list) {
  const UploadGrant grant = uploads->grant("d1", "dir/a.txt").value();
  EXPECT_EQ(grant.blob_name, "d1/dir/a.txt");
  EXPECT_EQ(grant.sas_token.front(), '?');
  put(grant.blob_name, "AA==", "world");
  put(grant.blob_name, "AQ==", "hello ");
  ASSERT_TRUE(uploads->assemble(grant.blob_name, uploads->blocks_of(grant.blob_name, {"AQ==", "AA=="}).value()));
  uploads->discard(uploads->release(grant.blob_name));
  EXPECT_EQ(objects->get("uploads/d1/dir/a.txt").value(), "hello world");
  EXPECT_TRUE(objects->list("staging/").value().empty());
  ASSERT_TRUE(uploads->notify("d1", grant.correlation_id, true));
  EXPECT_EQ(uploads->completed().value(), 1u);
}

TEST_F(UploadsTest, grant_is_for_its_blob_and_its_time) {
  const UploadGrant grant = uploads->grant("d1", "a.txt").value();
  EXPECT_TRUE(check(grant, "d1/a.txt"));
  EXPECT_EQ(check(grant, "d2/a.txt").error().fault, Fault::denied);
  clock.advance(std::chrono::hours{2});
  EXPECT_EQ(check(grant, "d1/a.txt").error().fault, Fault::denied);
  EXPECT_EQ(uploads->claim_whole("d1/a.txt", 1).error().fault, Fault::denied);
}

TEST_F(UploadsTest, open_uploads_of_a_device_are_bounded_until_they_end_or_expire) {
  std::vector<UploadGrant> grants;
  for (int i = 0; i < 10; ++i) grants.push_back(uploads->grant("d1", std::to_string(i)).value());
  EXPECT_EQ(uploads->grant("d1", "more").error().fault, Fault::exhausted);
  EXPECT_TRUE(uploads->grant("d2", "more"));
  ASSERT_TRUE(uploads->notify("d1", grants[0].correlation_id, false));
  EXPECT_TRUE(uploads->grant("d1", "more"));
  clock.advance(std::chrono::hours{2});
  EXPECT_TRUE(uploads->grant("d1", "later"));
}

TEST_F(UploadsTest, notification_ends_an_upload_once_and_only_its_devices) {
  const UploadGrant grant = uploads->grant("d1", "a").value();
  EXPECT_EQ(uploads->notify("d2", grant.correlation_id, true).error().fault, Fault::not_found);
  EXPECT_TRUE(uploads->notify("d1", grant.correlation_id, true));
  EXPECT_EQ(uploads->notify("d1", grant.correlation_id, true).error().fault, Fault::not_found);
  EXPECT_EQ(uploads->reserve_block("d1/a", "AA==", 1).error().fault, Fault::denied);
}

TEST_F(UploadsTest, staged_blocks_are_bounded_in_number_and_bytes) {
  UploadLimits limits;
  limits.blocks = 2;
  limits.staged_bytes = 100;
  limits.staged_bytes_total = 150;
  reopen(limits);
  const auto a = uploads->grant("d1", "a").value().blob_name;
  const auto b = uploads->grant("d1", "b").value().blob_name;
  EXPECT_TRUE(uploads->reserve_block(a, "1", 60));
  EXPECT_EQ(uploads->reserve_block(a, "2", 50).error().fault, Fault::exhausted);
  EXPECT_TRUE(uploads->reserve_block(a, "1", 90)) << "the same block again takes its own place";
  EXPECT_TRUE(uploads->reserve_block(a, "2", 10));
  EXPECT_EQ(uploads->reserve_block(a, "3", 0).error().fault, Fault::exhausted);
  EXPECT_EQ(uploads->reserve_block(b, "1", 60).error().fault, Fault::exhausted);
  EXPECT_TRUE(uploads->reserve_block(b, "1", 50));
  uploads->release(a);
  EXPECT_TRUE(uploads->reserve_block(b, "2", 50));
}

TEST_F(UploadsTest, names_that_leave_the_folder_and_lists_of_unknown_blocks_are_refused) {
  for (const char* bad : {"../d2/a", "a/../../b", "", "a//b"})
    EXPECT_EQ(uploads->grant("d1", bad).error().fault, Fault::invalid_input) << bad;
  const auto blob = uploads->grant("d1", "a").value().blob_name;
  EXPECT_EQ(uploads->blocks_of(blob, {"AA=="}).error().fault, Fault::invalid_input);
}

TEST_F(UploadsTest, files_and_blocks_count_against_the_quota_of_the_device_and_of_all) {
  UploadLimits limits;
  limits.quota_of_device = 100;
  limits.quota_in_all = 150;
  reopen(limits);
  const auto a = uploads->grant("d1", "a").value().blob_name;
  const auto b = uploads->grant("d2", "b").value().blob_name;
  ASSERT_TRUE(uploads->claim_whole(a, 60));
  ASSERT_TRUE(uploads->store_whole(a, std::string(60, 'x')));
  EXPECT_EQ(uploads->claim_whole(a, 41).error().fault, Fault::conflict);
  EXPECT_TRUE(uploads->reserve_block(a, "1", 40));
  EXPECT_TRUE(uploads->reserve_block(a, "1", 30)) << "the same block again takes its own place";
  EXPECT_EQ(uploads->reserve_block(a, "2", 11).error().fault, Fault::conflict);
  EXPECT_EQ(uploads->used_by("d1"), 90u);
  EXPECT_EQ(uploads->reserve_block(b, "1", 61).error().fault, Fault::conflict) << "60 are left for all";
  EXPECT_TRUE(uploads->reserve_block(b, "1", 60));
  EXPECT_EQ(uploads->grant("d3", "c").error().fault, Fault::conflict) << "no room: told before it sends";
  uploads->discard(uploads->release(b));
  EXPECT_EQ(uploads->remove(a).value(), 60u);
  uploads->give_back(a, 60);
  EXPECT_EQ(uploads->used_by("d1"), 30u);
  EXPECT_EQ(uploads->remove(a).error().fault, Fault::not_found);
  ASSERT_TRUE(uploads->store_whole(b, std::string(70, 'y')));
  reopen(limits);
  EXPECT_EQ(uploads->used_by("d2"), 70u) << "counted again at a start";
}

TEST_F(UploadsTest, unfinished_uploads_are_cleaned_up_when_their_grant_has_expired) {
  const auto blob = uploads->grant("d1", "a").value().blob_name;
  put(blob, "AA==", "left");
  EXPECT_TRUE(uploads->sweep().value().empty()) << "it may still be finished";
  clock.advance(std::chrono::hours{2});
  const auto stale = uploads->sweep().value();
  EXPECT_EQ(stale.size(), 1u);
  uploads->discard(stale);
  EXPECT_TRUE(objects->list("staging/").value().empty());
  EXPECT_EQ(uploads->used_by("d1"), 0u);
  EXPECT_TRUE(tables.query("SELECT 1 FROM upload").value().empty());
}

TEST_F(UploadsTest, file_is_told_of_with_the_end_of_its_upload_or_not_at_all) {
  std::vector<std::string> told;
  const auto tell = [&](const UploadedFile& file) -> Result<> {
    told.push_back(file.device + " " + file.blob_name + " " + std::to_string(file.bytes));
    return {};
  };
  const auto refuse = [](const UploadedFile&) -> Result<> { return fail(Fault::exhausted, "disk full"); };
  const UploadGrant grant = uploads->grant("d1", "dir/a").value();
  ASSERT_TRUE(uploads->store_whole(grant.blob_name, "hello"));
  EXPECT_FALSE(uploads->notify("d1", grant.correlation_id, true, refuse));
  EXPECT_EQ(uploads->completed().value(), 0u) << "the device may notify again";
  ASSERT_TRUE(uploads->notify("d1", grant.correlation_id, true, tell));
  ASSERT_TRUE(uploads->notify("d1", uploads->grant("d1", "nothing").value().correlation_id, true, tell));
  ASSERT_TRUE(uploads->notify("d1", uploads->grant("d1", "dir/a").value().correlation_id, false, tell));
  EXPECT_EQ(told, std::vector<std::string>{"d1 d1/dir/a 5"});
}

TEST_F(UploadsTest, blocks_of_an_earlier_run_are_removed) {
  const auto blob = uploads->grant("d1", "a").value().blob_name;
  put(blob, "AA==", "left");
  reopen({});
  EXPECT_TRUE(objects->list("staging/").value().empty());
}

TEST(BlockList, is_read_in_order_and_mistakes_are_named) {
  const auto ids =
      parse_block_list("<?xml version=\"1.0\"?><BlockList><Latest>QQ==</Latest>\n <Uncommitted>Qg==</Uncommitted></BlockList>");
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, (std::vector<std::string>{"QQ==", "Qg=="}));
  const std::string whole = "<BlockList><Latest>QQ==</Latest></BlockList>";
  for (std::size_t cut = 0; cut < whole.size(); ++cut) (void)parse_block_list(whole.substr(0, cut)).has_value();  // must not crash
  EXPECT_FALSE(parse_block_list("<Latest>QQ=="));
  EXPECT_FALSE(parse_block_list("<BlockList><Latest>QQ=="));
  EXPECT_FALSE(parse_block_list(""));
}

}  // namespace
}  // namespace nacelle::hub
