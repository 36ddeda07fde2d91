#include "ml/dataset/cmapss.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <sstream>

#include "ml/dataset/labels.h"

namespace nacelle::dataset {
namespace {

std::string line(int unit, int cycle, double first = 0.5) {
  std::string text = std::to_string(unit) + " " + std::to_string(cycle) + " " + std::to_string(first);
  for (int i = 0; i < 23; ++i) text += " " + std::to_string(100 + i);
  return text + "  \n";
}

Result<FleetTable> read(const std::string& text) {
  std::istringstream in(text);
  return read_cmapss(in, "train.txt");
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

void expect_error(const std::string& text, Fault fault, const std::string& part) {
  const auto table = read(text);
  ASSERT_FALSE(table) << text;
  EXPECT_EQ(table.error().fault, fault);
  EXPECT_NE(table.error().message.find(part), std::string::npos) << table.error().message;
}

TEST(ReadCmapss, engines_and_values_are_where_the_text_has_them) {
  const auto table = read(line(1, 1) + line(1, 2, -0.25) + line(2, 1));
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->engines.size(), 2u);
  EXPECT_EQ(table->engines[1].unit, 2);
  EXPECT_EQ(table->engines[0].size(), 2u);
  EXPECT_EQ(table->value(1, 0), -0.25);
  EXPECT_EQ(table->value(1, 23), 122);
}

TEST(ReadCmapss, gzip_reads_as_its_text_even_in_two_members) {
  const std::string first = line(1, 1), second = line(1, 2);
  const auto table = read(gzip(first) + gzip(second));
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->content_hash(), read(first + second)->content_hash());
}

TEST(ReadCmapss, mistakes_are_told_with_line_and_column) {
  expect_error(line(1, 1) + "1 2 3\n", Fault::invalid_input, "train.txt, line 2, column 4: expected 26 numbers, found 3");
  expect_error(line(1, 1).substr(0, 40) + "x 1\n", Fault::invalid_input, "line 1, column");
  std::string extra = line(1, 1);
  extra.insert(extra.size() - 1, "7");
  expect_error(extra, Fault::invalid_input, "found 27");
  std::string huge = line(1, 1);
  huge.replace(huge.find("0.5"), 8, "1e999");
  expect_error(huge, Fault::invalid_input, "line 1, column 3: the number '1e999' is out of range");
  std::string nan = line(1, 1);
  nan.replace(nan.find("0.5"), 8, "nan");
  expect_error(nan, Fault::invalid_input, "out of range");
  expect_error(line(1, 1) + line(1, 3), Fault::invalid_input, "line 2, column 2: expected cycle 2 of engine 1, found 3");
  expect_error(line(1, 2), Fault::invalid_input, "expected cycle 1");
  expect_error(line(2, 1) + line(1, 1), Fault::invalid_input, "ascending");
  expect_error(line(0, 1), Fault::invalid_input, "column 1");
  expect_error("", Fault::invalid_input, "found none");
  expect_error(std::string("1 1\0", 4), Fault::invalid_input, "NUL");
  expect_error(std::string(100'000, '1'), Fault::invalid_input, "longer than");
}

TEST(ReadCmapss, gzip_cut_at_any_byte_is_refused) {
  const std::string whole = gzip(line(1, 1) + line(1, 2));
  for (std::size_t size = 3; size < whole.size(); ++size) {
    const auto table = read(whole.substr(0, size));
    ASSERT_FALSE(table) << size;
    EXPECT_EQ(table.error().fault, Fault::corrupt) << size << ": " << table.error().message;
  }
}

TEST(ReadRul, one_number_a_line_and_nothing_else) {
  std::istringstream good("112 \n98 \n"), two("1 2\n"), text("x\n"), negative("-1\n");
  EXPECT_EQ(*read_rul(good, "RUL"), (std::vector<double>{112, 98}));
  EXPECT_FALSE(read_rul(two, "RUL"));
  EXPECT_FALSE(read_rul(text, "RUL"));
  EXPECT_FALSE(read_rul(negative, "RUL"));
}

TEST(Labels, rul_counts_down_to_the_end_and_on_to_the_true_end) {
  FleetTable table = *read(line(1, 1) + line(1, 2) + line(2, 1));
  EXPECT_EQ(label_rul(table), (std::vector<double>{1, 0, 0}));
  ASSERT_FALSE(with_end_rul(table, {1}, "RUL"));
  table = *with_end_rul(std::move(table), {10, 20}, "RUL");
  EXPECT_EQ(label_rul(table), (std::vector<double>{11, 10, 20}));
  EXPECT_EQ(life_class_name(life_class_of(25)), "F25");
  EXPECT_EQ(life_class_name(life_class_of(25.5)), "F75");
  EXPECT_EQ(life_class_name(life_class_of(150)), "F150");
  EXPECT_EQ(life_class_name(life_class_of(151)), "Full");
}

}  // namespace
}  // namespace nacelle::dataset
