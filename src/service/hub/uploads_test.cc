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
  EXPECT_EQ(uploads->check_open("d1/a.txt").error().fault, Fault::denied);
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
