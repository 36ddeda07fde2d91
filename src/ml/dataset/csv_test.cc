#include "ml/dataset/csv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "ml/dataset/labels.h"
#include "ml/dataset/synthetic.h"

namespace nacelle::dataset {
namespace {

FleetTable through_csv(const FleetTable& table, bool labels) {
  std::stringstream text;
  write_csv(text, table, {.labels = labels});
  auto back = read_csv(text, "data.csv");
  EXPECT_TRUE(back) << back.error().message;
  return std::move(back).value();
}

TEST(Csv, a_table_comes_back_bit_for_bit) {
  FleetTable table = make_synthetic_fleet({.engines = 3, .regimes = 6});
  table.columns[7][5] = std::numeric_limits<double>::quiet_NaN();
  const FleetTable back = through_csv(table, false);
  EXPECT_EQ(back.unit, table.unit);
  EXPECT_EQ(back.cycle, table.cycle);
  EXPECT_TRUE(std::isnan(back.columns[7][5]));
  table.columns[7][5] = 0;
  EXPECT_EQ(through_csv(table, true).content_hash(), table.content_hash());
}

TEST(Csv, remaining_lives_of_cut_off_engines_come_back) {
  const FleetTable table = make_synthetic_fleet({.engines = 4, .cut_off = true});
  EXPECT_EQ(through_csv(table, true).end_rul, table.end_rul);
}

TEST(Csv, mistakes_are_told_with_line_and_column) {
  std::stringstream good;
  write_csv(good, make_synthetic_fleet({.engines = 1}));
  const std::string header = good.str().substr(0, good.str().find('\n') + 1);
  const auto message = [&](const std::string& rest) {
    std::istringstream in(rest);
    const auto table = read_csv(in, "data.csv");
    return table ? std::string("read") : table.error().message;
  };
  EXPECT_NE(message("unit,cycle\n").find("expected a column 'OperationalSetting1'"), std::string::npos);
  EXPECT_NE(message(header + "1,1,2\n").find("data.csv, line 2: expected 26 columns, found 3"), std::string::npos);
  std::string row = "1,1";
  for (int i = 0; i < 24; ++i) row += ",1";
  EXPECT_EQ(message(header + row + "\n"), "read");
  EXPECT_NE(message(header + "x" + row + "\n").find("line 2, column 1: expected a number"), std::string::npos);
  EXPECT_NE(message(header + row + "e999\n").find("column 26: the number '1e999' is out of range"), std::string::npos);
  EXPECT_NE(message(header + "0" + row.substr(1) + "\n").find("expected unit numbers from 1 up"), std::string::npos);
  EXPECT_NE(message("").find("empty"), std::string::npos);
}

TEST(TableBuilder, rows_in_any_order_are_sorted_and_repeats_dropped) {
  std::vector<double> values(turbofan_column_count, 1.0);
  TableBuilder rows;
  rows.add(2, 1, values);
  rows.add(1, 2, values);
  rows.add(1, 1, values);
  rows.add(1, 2, values);
  ImportCounts counts;
  const auto table = rows.finish(&counts);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->cycle, (std::vector<std::int64_t>{1, 2, 1}));
  EXPECT_EQ(table->unit, (std::vector<std::int64_t>{1, 1, 2}));
  EXPECT_EQ(counts.duplicates, 1u);
}

TEST(TableBuilder, two_different_readings_of_one_cycle_are_refused) {
  std::vector<double> values(turbofan_column_count, 1.0);
  TableBuilder rows;
  rows.add(7, 3, values);
  values[4] = 2;
  rows.add(7, 3, values);
  const auto table = rows.finish();
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().fault, Fault::invalid_input);
  EXPECT_NE(table.error().message.find("engine 7, cycle 3"), std::string::npos);
}

}  // namespace
}  // namespace nacelle::dataset
