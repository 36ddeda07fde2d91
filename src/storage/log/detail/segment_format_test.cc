#include "storage/log/detail/segment_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/file/fault_file_system.h"
#include "storage/log/detail/cursor.h"

namespace nacelle::storage::detail {
namespace {

constexpr std::uint32_t salt = 0x1234abcd;
const Timestamp noon{std::chrono::seconds(1'893'500'000)};

/// A segment of `count` records from offset 5 on, each written by a commit of its own.
Bytes segment_of(std::size_t count) {
  Bytes file = encode_segment_header({3, 5, 5, salt});
  for (std::size_t i = 0; i < count; ++i) encode_record(file, {5 + i, noon, true, std::string(i, 'x')}, salt);
  return file;
}

TEST(SegmentFormat, header_comes_back_from_either_of_its_copies) {
  const Bytes whole = encode_segment_header({3, 5, 5, salt});
  ASSERT_EQ(whole.size(), segment_header_bytes);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    const auto header = decode_segment_header(damaged).value();
    EXPECT_EQ(header.partition, 3u);
    EXPECT_EQ(header.first, 5u);
    EXPECT_EQ(header.salt, salt);
  }
  for (std::size_t size = 0; size < 48; ++size)
    EXPECT_EQ(decode_segment_header(BytesView(whole).substr(0, size)).error().fault, Fault::corrupt);
}

TEST(SegmentFormat, record_comes_back_and_no_part_of_it_does) {
  Bytes bytes;
  encode_record(bytes, {77, noon, true, "payload"}, salt);
  const Bytes longer = bytes + "more";
  const auto record = decode_record(longer, salt);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->offset, 77u);
  EXPECT_EQ(record->appended_at, noon);
  EXPECT_TRUE(record->follows_sync);
  EXPECT_EQ(record->payload, "payload");
  EXPECT_EQ(record->bytes(), bytes.size());
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_record(BytesView(bytes).substr(0, size), salt));
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    Bytes damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << i % 8));
    EXPECT_FALSE(decode_record(damaged, salt)) << "bit " << i;
  }
  EXPECT_FALSE(decode_record(bytes, salt + 1));
  EXPECT_FALSE(decode_record(Bytes(100, '\xff'), salt));
  EXPECT_FALSE(decode_record(Bytes(100, '\0'), salt));
}

std::string hex(BytesView bytes) {
  std::string out;
  for (const unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

TEST(SegmentFormat, example_in_the_format_page) {
  Bytes file = encode_segment_header({1, 42, 42, 0x12345678, false});
  encode_record(file, {42, Timestamp{std::chrono::seconds(1'893'456'000)}, true, R"({"Sensor2":642.58})"}, 0x12345678);
  const std::string copy =
      "4e434c5345474d0a01000000010000002a000000000000002a00000000000000"
      "785634120000000000000000bbcf7eac";
  EXPECT_EQ(hex(file), copy + copy +
                           "12000080a420227a2a00000000000000"
                           "0020479416ba06007b2253656e736f72"
                           "32223a3634322e35387d");
}

TEST(Cursor, example_in_the_format_page) {
  FaultFileSystem disk(1);
  ASSERT_TRUE(disk.make_directories("/s"));
  ASSERT_TRUE(store_cursor(disk, "/s", 7));
  EXPECT_EQ(hex(disk.contents("/s/cursor")),
            "4e434c43555253"
            "0a"
            "0100000007000000"
            "00000000a0a06901");
}

TEST(ScanSegment, intact_file_is_neither_torn_nor_damaged) {
  for (const bool sealed : {false, true}) {
    const Bytes file = segment_of(10);
    const Scan scan = scan_segment(file, {3, 5, !sealed}).value();
    EXPECT_FALSE(scan.torn);
    EXPECT_FALSE(scan.damaged);
    EXPECT_EQ(scan.records, 10u);
    EXPECT_EQ(scan.next, 15u);
    EXPECT_EQ(scan.past, 15u);
    EXPECT_EQ(scan.intact_bytes, file.size());
  }
}

TEST(ScanSegment, every_truncation_of_the_last_file_is_a_torn_tail) {
  const Bytes file = segment_of(6);
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Scan scan = scan_segment(BytesView(file).substr(0, size), {3, 5, true}).value();
    EXPECT_FALSE(scan.damaged) << size;
    EXPECT_LE(scan.intact_bytes, size);
    EXPECT_LE(scan.records, 5u);
    EXPECT_EQ(scan.next, 5 + scan.records);
    EXPECT_GE(scan.past, scan.next);
  }
}

TEST(ScanSegment, damage_before_a_later_commit_is_salvaged_around) {
  Bytes file = segment_of(6);
  file[segment_header_bytes + record_header_bytes + 2] ^= 1;  // in record 6, the second
  const Scan scan = scan_segment(file, {3, 5, true}).value();
  EXPECT_TRUE(scan.damaged);
  EXPECT_EQ(scan.records, 5u);
  EXPECT_EQ(scan.next, 11u);
  const Scan again = scan_segment(scan.salvaged, {3, 5, false}).value();
  EXPECT_FALSE(again.damaged);
  EXPECT_EQ(again.records, 5u);
}

TEST(ScanSegment, records_behind_a_hole_in_the_last_commit_are_cut_and_their_offsets_skipped) {
  Bytes file = encode_segment_header({3, 5, 5, salt});
  encode_record(file, {5, noon, true, "acked"}, salt);
  const std::size_t synced = file.size();
  encode_record(file, {6, noon, true, "lost page"}, salt);
  encode_record(file, {7, noon, false, "kept page"}, salt);
  encode_record(file, {8, noon, false, "kept page"}, salt);
  file.replace(synced, record_header_bytes + 9, Bytes(record_header_bytes + 9, '\0'));
  const Scan scan = scan_segment(file, {3, 5, true}).value();
  EXPECT_TRUE(scan.torn);
  EXPECT_FALSE(scan.damaged);
  EXPECT_EQ(scan.records, 1u);
  EXPECT_EQ(scan.intact_bytes, synced);
  EXPECT_GE(scan.past, 9u);
}

TEST(ScanSegment, payload_that_looks_like_a_record_is_not_taken_for_one) {
  Bytes posing;
  encode_record(posing, {6, noon, true, "not a record"}, 0);  // an outsider does not know the salt
  Bytes file = encode_segment_header({3, 5, 5, salt});
  encode_record(file, {5, noon, true, posing}, salt);
  file[segment_header_bytes + 9] ^= 1;
  EXPECT_EQ(scan_segment(file, {3, 5, false}).value().records, 0u);
}

TEST(ScanSegment, file_of_another_partition_or_place_serves_nothing) {
  const Bytes file = segment_of(3);
  EXPECT_TRUE(scan_segment(file, {4, 5, false}).value().damaged);
  EXPECT_EQ(scan_segment(file, {4, 5, false}).value().records, 0u);
  EXPECT_TRUE(scan_segment(file, {3, 6, false}).value().damaged);
}

TEST(ScanSegment, known_end_tells_a_refused_write_from_a_lost_record) {
  const Bytes file = segment_of(6);  // 5 to 10
  const Scan refused = scan_segment(file, {3, 5, false, 8}).value();
  EXPECT_FALSE(refused.damaged) << "records from 8 on were never answered well";
  EXPECT_EQ(refused.records, 3u);
  EXPECT_LT(refused.intact_bytes, file.size());
  EXPECT_FALSE(scan_segment(file, {3, 5, false, 11}).value().damaged);
  const Scan lost = scan_segment(file, {3, 5, false, 12}).value();
  EXPECT_TRUE(lost.damaged) << "11 was answered, and is not there";
  EXPECT_EQ(lost.records, 6u);
  EXPECT_FALSE(scan_segment(lost.salvaged, {3, 5, false, 12}).value().damaged) << "told once";
}

TEST(Index, finds_a_place_at_or_before_an_offset_and_before_a_time) {
  Index index;
  for (Offset i = 0; i < 1000; ++i) index.add(i, segment_header_bytes + i * 1000, noon + std::chrono::seconds(i));
  EXPECT_GT(index.entries.size(), 10u);
  EXPECT_LT(index.entries.size(), 100u);
  for (Offset i = 0; i < 1000; i += 37) {
    const std::uint64_t at = segment_header_bytes + i * 1000;
    EXPECT_LE(index.position_of(i), at);
    EXPECT_GT(index.position_of(i) + 20'000, at);
    EXPECT_LE(index.position_before(noon + std::chrono::seconds(i)), at);
    EXPECT_GT(index.position_before(noon + std::chrono::seconds(i)) + 20'000, at);
  }
}

TEST(SegmentIndex, thinned_it_still_leads_to_every_record_and_every_time) {
  Index index;
  constexpr Offset count = 2000;
  constexpr std::uint64_t record_bytes = 1000;
  const auto time_of = [](Offset offset) { return Timestamp{std::chrono::seconds(offset)}; };
  for (Offset offset = 0; offset < count; ++offset)
    index.add(offset, segment_header_bytes + offset * record_bytes, time_of(offset));
  const std::size_t before = index.entries.size();
  index.thin();
  EXPECT_LT(index.entries.size(), before / 3);
  EXPECT_EQ(index.entries.capacity(), index.entries.size());
  EXPECT_EQ(index.newest, time_of(count - 1));
  for (Offset offset = 0; offset < count; ++offset) {
    const std::uint64_t position = segment_header_bytes + offset * record_bytes;
    EXPECT_LE(index.position_of(offset), position);
    EXPECT_LT(position - index.position_of(offset), 80u * 1024) << offset;
    EXPECT_LE(index.position_before(time_of(offset)), position) << offset;
    EXPECT_LT(position - index.position_before(time_of(offset)), 160u * 1024) << offset;
  }
}

}  // namespace
}  // namespace nacelle::storage::detail
