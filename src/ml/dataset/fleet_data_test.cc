// Schemas, row readers, joins, profiles and streamed labels: fleets of any machines.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "ml/dataset/csv.h"
#include "ml/dataset/detail/short_number.h"
#include "ml/dataset/labels.h"
#include "ml/dataset/prepare.h"
#include "ml/dataset/profile.h"
#include "ml/dataset/row_batches.h"
#include "ml/dataset/row_reader.h"
#include "ml/dataset/seeded.h"
#include "ml/dataset/synthetic.h"

namespace nacelle::dataset {
namespace {

std::shared_ptr<const FleetSchema> schema(const char* text) {
  auto read = FleetSchema::from_json(json::parse(text).value());
  EXPECT_TRUE(read) << read.error().message;
  return std::make_shared<FleetSchema>(std::move(read).value());
}

constexpr const char* pumps = R"({"machine":"pump","id":{"name":"pump","form":"text"},"time":{"name":"hour","step":2},
  "settings":[{"name":"load","unit":"%","tolerance":5}],"sensors":[{"name":"vibration","unit":"mm/s","meaning":"bearing"},"heat"],
  "label":"left","events":{"time":"failed"}})";

Result<FleetTable> read(const std::string& text, const std::shared_ptr<const FleetSchema>& of, ImportCounts* counts = nullptr) {
  std::istringstream in(text);
  return read_csv(in, "pumps.csv", counts, of);
}

TEST(FleetSchema, it_reads_back_and_mistakes_are_named) {
  const json::Value once = schema(pumps)->to_json();
  EXPECT_EQ(FleetSchema::from_json(once)->to_json(), once);
  EXPECT_EQ(FleetSchema::from_json(turbofan_schema()->to_json())->column_names(), turbofan_columns());
  EXPECT_EQ(schema(pumps)->describe(1), "bearing (mm/s)");
  const std::pair<const char*, const char*> wrong[] = {
      {R"({})", "id"},
      {R"({"id":"a","sensors":["s"]})", "time"},
      {R"({"id":"a","time":"t"})", "sensors"},
      {R"({"id":"a","time":"t","sensors":["s","s"]})", "twice"},
      {R"({"id":"a","time":"a","sensors":["s"]})", "twice"},
      {R"({"id":"a","time":"t","sensors":["s,t"]})", "comma"},
      {R"({"id":"a","time":"t","sensors":["s"],"colour":1})", "'colour'"},
      {R"({"id":"a","time":{"name":"t","step":0},"sensors":["s"]})", "step"},
      {R"({"id":"a","time":{"name":"t","form":"unix"},"sensors":["s"]})", "form"},
      {R"({"id":"a","time":"t","sensors":[{"name":"s","tolerance":-1}]})", "tolerance"},
      {R"({"id":"a","time":"t","sensors":[7]})", "sensors[0]"}};
  for (const auto& [text, named] : wrong) {
    const auto refused = FleetSchema::from_json(json::parse(text).value());
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(named), std::string::npos) << refused.error().message;
  }
}

TEST(ReadCsv, a_fleet_of_pumps_needs_a_schema_and_no_code) {
  const auto table =
      read("heat,pump,note,hour,load,vibration,left\n70,P-2,x,0,50,1.5,9\n71,P-2,x,2,50,,8\n60,P-1,x,0,90,2,\n", schema(pumps));
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->engines.size(), 2u);
  EXPECT_EQ(table->unit_names, (std::vector<std::string>{"P-2", "P-1"}));
  EXPECT_EQ(table->cycle, (std::vector<std::int64_t>{1, 2, 1}));
  EXPECT_EQ(table->columns[2], (std::vector<double>{70, 71, 60}));
  EXPECT_TRUE(std::isnan(table->columns[1][1]));
  EXPECT_EQ(table->end_rul[0], 8);
  EXPECT_TRUE(std::isnan(table->end_rul[1]));  // an empty label: it still runs
  std::ostringstream out;
  write_csv(out, *table, {.labels = true});
  EXPECT_EQ(out.str().substr(0, out.str().find('\n')), "pump,hour,load,vibration,heat,left,RULCapped,LifeClass");
  EXPECT_NE(out.str().find("P-1,1,90,2,60,,,\n"), std::string::npos) << out.str();
}

TEST(ReadCsv, times_are_counted_from_each_machines_first_reading) {
  const auto of = schema(R"({"id":"m","time":{"name":"at","form":"iso8601","step":3600},"sensors":["s"]})");
  const auto table = read("m,at,s\n1,2030-01-01T05:00:00Z,1\n1,2030-01-01T07:30:00Z,2\n2,2031-01-01T00:00:00Z,3\n", of);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->cycle, (std::vector<std::int64_t>{1, 3, 1}));
  const auto wrong = read("m,at,s\n1,yesterday,1\n", of);
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("line 2, column 2: expected a time"), std::string::npos) << wrong.error().message;
}

TEST(ReadCsv, infinities_negative_labels_and_bad_names_are_refused_with_their_place) {
  const auto of = schema(pumps);
  const std::string header = "pump,hour,load,vibration,heat,left\n";
  const std::pair<const char*, const char*> wrong[] = {{"P,0,1,inf,1,1\n", "column 4: the number 'inf' is out of range"},
                                                       {"P,0,1,nan,1,1\n", "column 4: the number 'nan' is out of range"},
                                                       {"P,0,1,1e999,1,1\n", "out of range"},
                                                       {"P,0,1,1,1,-3\n", "expected a remaining life"},
                                                       {"P,0,1,1,1,1e9\n", "expected a remaining life"},
                                                       {",0,1,1,1,1\n", "name"},
                                                       {"P,-2,1,1,1,1\n", "hour"},
                                                       {"P,0,1,1,1\n", "expected 6 columns, found 5"},
                                                       {"P,0,1,1,1,1,1\n", "expected 6 columns, found 7"}};
  for (const auto& [line, named] : wrong) {
    const auto refused = read(header + line, of);
    ASSERT_FALSE(refused) << line;
    EXPECT_EQ(refused.error().fault, Fault::invalid_input);
    EXPECT_NE(refused.error().message.find(named), std::string::npos) << refused.error().message;
  }
}

TEST(WithFailures, machines_that_are_not_in_the_file_still_run) {
  const auto of = schema(pumps);
  const auto table = read("pump,hour,load,vibration,heat\nA,0,1,1,1\nA,2,1,1,1\nB,0,1,1,1\n", of);
  ASSERT_TRUE(table);
  std::istringstream failures("pump,failed\nA,8\n");
  const auto labelled = with_failures(*table, failures, "failures.csv");
  ASSERT_TRUE(labelled) << labelled.error().message;
  EXPECT_EQ(labelled->end_rul[0], 3);
  EXPECT_TRUE(std::isnan(labelled->end_rul[1]));
  const SurvivalLabels survival = label_survival(*labelled);
  EXPECT_EQ(survival.low, (std::vector<double>{4, 3, 0}));
  EXPECT_EQ(survival.high[0], 4);
  EXPECT_TRUE(std::isinf(survival.high[2]));
  for (const char* wrong : {"pump,failed\nA,8\nA,9\n", "pump,failed\nA,0\n"}) {
    std::istringstream in(wrong);
    EXPECT_FALSE(with_failures(*table, in, "f")) << wrong;
  }
}

TEST(Join, sources_that_tell_different_channels_are_laid_together_by_machine_and_cycle) {
  const auto of = schema(pumps);
  std::istringstream first("pump,hour,load,vibration\nA,0,5,1\nA,2,5,2\nB,0,5,3\n"),
      second("hour,pump,heat\n2,A,20\n0,A,10\n0,C,30\n");
  ImportCounts counts;
  const auto table = read_joined_csv({&first, &second}, {"one", "two"}, &counts, of);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->unit_names, (std::vector<std::string>{"A", "B", "C"}));
  EXPECT_EQ(counts.joined, 2u);
  EXPECT_EQ(table->columns[1][0], 1);
  EXPECT_EQ(table->columns[2][0], 10);
  EXPECT_EQ(table->columns[2][1], 20);
  EXPECT_TRUE(std::isnan(table->columns[2][2]));
  std::istringstream one("pump,hour,load,vibration,heat\nA,0,5,1,1\n"), other("pump,hour,heat\nA,0,2\n");
  const auto contrary = read_joined_csv({&one, &other}, {"one", "two"}, nullptr, of);
  ASSERT_FALSE(contrary);
  EXPECT_NE(contrary.error().message.find("two different readings"), std::string::npos);
}

TEST(TableBuilder, the_number_of_threads_makes_no_difference) {
  const auto build = [](int threads) {
    TableBuilder rows;
    std::vector<double> values(turbofan_columns().size());
    for (std::int64_t cycle = 200; cycle > 0; --cycle)
      for (const std::int64_t unit : {9, 2, 5}) {
        for (std::size_t c = 0; c < values.size(); ++c)
          values[c] = static_cast<double>(unit * 1000 + cycle) + 0.01 * static_cast<double>(c);
        if (cycle % 7 == 0) values[3] = std::nan("");
        rows.add(unit, cycle, values);
        if (cycle % 10 == 0) rows.add(unit, cycle, values);
        values[3] = 4;
        if (cycle % 7 == 0) rows.add(unit, cycle, values);
      }
    ImportCounts counts;
    FleetTable table = rows.finish(&counts, threads).value();
    EXPECT_EQ(counts.duplicates, 60u);
    EXPECT_EQ(counts.joined, 84u);
    return table;
  };
  const FleetTable alone = build(1);
  EXPECT_EQ(alone.row_count(), 600u);
  EXPECT_EQ(alone.value(6, 3), 4);
  for (const int threads : {2, 5}) EXPECT_EQ(build(threads).content_hash(), alone.content_hash());
}

TEST(ParseDouble, the_fast_way_gives_the_nearest_double_as_the_slow_one_does) {
  Seeded random(7);
  const auto same = [](const std::string& text) {
    double fast = 0;
    ASSERT_TRUE(parse_double(text, fast)) << text;
    const double slow = std::strtod(text.c_str(), nullptr);
    EXPECT_EQ(std::memcmp(&fast, &slow, sizeof fast), 0) << text;
  };
  for (const char* text : {"0", "-0", "-0.0000", "0.1", "123456789012345", "9007199254740993", "1e22", "0.000000000000001",
                           "5e-324", "1.", ".5", "99999999999999999999", "518.67", "2388.0600"})
    same(text);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random.below(2) ? "-" : "";
    for (std::size_t d = 0, n = 1 + random.below(12); d < n; ++d) text += static_cast<char>('0' + random.below(10));
    text += '.';
    for (std::size_t d = 0, n = random.below(9); d < n; ++d) text += static_cast<char>('0' + random.below(10));
    same(text);
  }
  for (const char* text : {"", "-", ".", "1.2.3", "x", "1x", "+1", "--1"}) {
    double value = 0;
    EXPECT_FALSE(parse_double(text, value)) << text;
  }
}

TEST(Profile, what_is_wrong_with_the_data_is_counted) {
  const auto of = schema(pumps);
  const auto table = read("pump,hour,load,vibration,heat\nA,0,10,1,7\nA,2,11,3,7\nA,8,90,,7\nB,4,10,5,7\n", of);
  ASSERT_TRUE(table);
  const DataProfile profile = profile_table(*table);
  EXPECT_EQ(profile.rows, 4u);
  EXPECT_EQ(profile.machines, 2u);
  EXPECT_EQ(profile.gaps, 1u);
  EXPECT_EQ(profile.missing_cycles, 2u);
  EXPECT_EQ(profile.late_starts, 1u);
  EXPECT_EQ(profile.one_cycle_machines, 1u);
  EXPECT_EQ(profile.columns[1].silent, 1u);
  EXPECT_EQ(profile.columns[1].mean, 3);
  EXPECT_EQ(profile.columns[1].high, 5);
  EXPECT_NEAR(profile.columns[1].spread, std::sqrt(8.0 / 3), 1e-12);
  EXPECT_TRUE(profile.columns[2].constant);
  ASSERT_EQ(profile.regimes.size(), 2u);
  EXPECT_EQ(profile.regimes[0].rows, 3u);
  EXPECT_FALSE(profile.notes.empty());

  Profiler profiler(of);
  const double values[] = {1, 2, 3};
  for (const std::int64_t cycle : {5, 5, 4, 6}) profiler.add({.unit = 1, .cycle = cycle, .values = values, .rul = NAN, .line = {}});
  const DataProfile disorder = profiler.finish();
  EXPECT_EQ(disorder.repeated, 1u);
  EXPECT_EQ(disorder.out_of_order, 1u);
}

TEST(Profile, regimes_and_sensors_that_age_are_seen) {
  const DataProfile one = profile_table(make_synthetic_fleet({.engines = 10, .noise = 0.1}));
  EXPECT_EQ(one.regimes.size(), 1u);
  const auto most =
      std::max_element(one.columns.begin(), one.columns.end(), [](const auto& a, const auto& b) { return a.drift < b.drift; });
  EXPECT_GT(most->drift, 1);
  EXPECT_EQ(profile_table(make_synthetic_fleet({.engines = 10, .regimes = 6})).regimes.size(), 6u);
}

std::function<Result<std::unique_ptr<std::istream>>()> opener(const std::string& text) {
  return [text]() -> Result<std::unique_ptr<std::istream>> {
    return std::unique_ptr<std::istream>(std::make_unique<std::istringstream>(text));
  };
}

TEST(Prepare, rows_that_stream_by_get_the_labels_of_the_table) {
  const FleetTable table = make_synthetic_fleet({.engines = 5, .cut_off = true});
  std::ostringstream plain, labelled, streamed;
  FleetTable unlabelled = table;
  unlabelled.end_rul.clear();
  write_csv(plain, unlabelled, {});
  write_csv(labelled, table, {.labels = true});
  const auto prepared = prepare_rows(opener(plain.str()), "a.csv", turbofan_schema(), {.end_rul = table.end_rul}, streamed);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_EQ(streamed.str(), labelled.str());
  EXPECT_EQ(prepared->profile.rows, table.row_count());
  std::array<std::uint64_t, 4> classes{};
  for (const double rul : label_rul(table)) ++classes[static_cast<std::size_t>(life_class_of(rul))];
  EXPECT_EQ(prepared->classes, classes);
}

TEST(Prepare, c_mapss_text_becomes_csv_with_the_same_bits) {
  std::string text;
  for (int cycle = 1; cycle <= 3; ++cycle) {
    text += "1 " + std::to_string(cycle) + " -0.0007 -0.0004 100.0";
    for (int s = 0; s < 21; ++s) text += " 641." + std::to_string(s);
    text += "  \n";
  }
  std::ostringstream out;
  const auto prepared = prepare_rows(opener(text), "t.txt", turbofan_schema(), {}, out);
  ASSERT_TRUE(prepared) << prepared.error().message;
  std::istringstream back(out.str());
  const auto table = read_csv(back, "back.csv");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->columns[0][0], -0.0007);
  EXPECT_EQ(table->columns[23][2], 641.20);
  EXPECT_TRUE(table->end_rul.empty());
}

TEST(Prepare, a_machine_of_too_many_rows_to_wait_for_gets_the_same_labels) {
  const FleetTable table = make_synthetic_fleet({.engines = 6, .seed = 4});
  std::ostringstream plain, waited, looked_up;
  write_csv(plain, table, {});
  ASSERT_TRUE(prepare_rows(opener(plain.str()), "a.csv", turbofan_schema(), {}, waited));
  const PrepareOptions hasty{.end_rul = {}, .waiting_bytes = 2000};
  const auto prepared = prepare_rows(opener(plain.str()), "a.csv", turbofan_schema(), hasty, looked_up);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_EQ(looked_up.str(), waited.str());
}

TEST(Prepare, fields_parted_by_more_than_one_space_or_by_tabs_are_the_same_fields) {
  std::string spaced, odd;
  for (int cycle = 1; cycle <= 3; ++cycle)
    for (std::string* text : {&spaced, &odd}) {
      *text += "1 " + std::to_string(cycle);
      for (int s = 0; s < 24; ++s)
        *text += (text == &odd && s % 5 == 2 ? "   " : text == &odd && s == 9 ? "\t" : " ") + std::to_string(s) + ".5";
      *text += text == &odd ? " \t\n" : "\n";
    }
  std::ostringstream of_spaced, of_odd;
  ASSERT_TRUE(prepare_rows(opener(spaced), "t.txt", turbofan_schema(), {}, of_spaced));
  ASSERT_TRUE(prepare_rows(opener(odd), "t.txt", turbofan_schema(), {}, of_odd));
  EXPECT_EQ(of_spaced.str(), of_odd.str());
}

TEST(RowBatches, rows_come_in_order_and_a_failure_comes_after_the_rows_before_it) {
  std::string text = "unit,cycle";
  for (const std::string& column : turbofan_columns()) text += "," + column;
  text += "\n";
  const auto line = [](int unit, const std::string& value) {
    std::string row = std::to_string(unit) + ",1";
    for (std::size_t c = 0; c < turbofan_column_count; ++c) row += "," + value;
    return row + "\n";
  };
  constexpr int rows = 20'000;
  for (int i = 1; i <= rows; ++i) text += line(i, std::to_string(i) + ".25");
  const auto read = [&](const std::string& whole, std::int64_t refuse_at) {
    std::istringstream in(whole);
    RowReader reader = RowReader::open(in, "b.csv", turbofan_schema()).value();
    std::int64_t seen = 0;
    const auto result = read_in_batches(reader, [&](const RowBatch& batch) -> Result<> {
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const ReadingRow row = batch.row(i);
        EXPECT_EQ(row.unit, ++seen);
        EXPECT_EQ(row.values[23], static_cast<double>(seen) + 0.25);
        EXPECT_EQ(std::string(row.line) + "\n", line(static_cast<int>(seen), std::to_string(seen) + ".25"));
        if (seen == refuse_at) return fail(Fault::conflict, "enough");
      }
      return {};
    });
    return std::pair(result ? Fault::not_found : result.error().fault, seen);
  };
  EXPECT_EQ(read(text, 0), std::pair(Fault::not_found, std::int64_t{rows}));
  EXPECT_EQ(read(text + line(1, "x"), 0), std::pair(Fault::invalid_input, std::int64_t{rows}));
  EXPECT_EQ(read(text, 9000).first, Fault::conflict);
}

TEST(ParseDouble, short_numbers_are_the_nearest_doubles_wherever_they_stand) {
  Seeded random(17);
  for (int i = 0; i < 200'000; ++i) {
    std::string number = random.below(3) == 0 ? "-" : "";
    const std::size_t whole = random.below(11), decimals = random.below(11);
    for (std::size_t d = 0; d < whole; ++d) number += static_cast<char>('0' + random.below(10));
    if (decimals > 0 || random.below(4) == 0) number += '.';
    for (std::size_t d = 0; d < decimals; ++d) number += static_cast<char>('0' + random.below(10));
    if (whole + decimals == 0) continue;
    // In a row of numbers, where eight bytes at a time can be read, and alone, where they cannot.
    for (const std::size_t behind : {0u, 1u, 30u}) {
      std::string text = number + std::string(behind, ' ');
      double value = 0;
      const char* at = text.data();
      ASSERT_TRUE(take_short_number(at, text.data() + text.size(), value) || whole + decimals > 15) << number;
      if (whole + decimals > 15) continue;
      ASSERT_EQ(at - text.data(), static_cast<std::ptrdiff_t>(number.size())) << number;
      ASSERT_EQ(value, std::strtod(number.c_str(), nullptr)) << number;
    }
  }
}

TEST(Prepare, what_needs_a_table_is_not_streamed) {
  const std::string header = "pump,hour,load,vibration,heat\n";
  const auto of = schema(pumps);
  for (const std::string& text :
       {header + "A,2,1,1,1\nA,0,1,1,1\n", header + "A,0,1,1,1\nA,0,1,1,1\n", header + "A,0,1,1,1\nB,0,1,1,1\nA,2,1,1,1\n",
        std::string("pump,hour,load,vibration,heat,left\nA,0,1,1,1,1\n")}) {
    std::ostringstream out;
    const auto refused = prepare_rows(opener(text), "x", of, {}, out);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().fault, Fault::conflict);
  }
  std::ostringstream out;
  EXPECT_EQ(prepare_rows(opener(header), "x", of, {}, out).error().fault, Fault::invalid_input);
  EXPECT_EQ(prepare_rows(opener(header + "A,0,1,1,1\n"), "x", of, {.end_rul = {1, 2}}, out).error().fault, Fault::invalid_input);
}

TEST(WithEndRul, labels_beyond_range_are_refused) {
  const FleetTable table = make_synthetic_fleet({.engines = 1});
  for (const double wrong : {-1.0, 1e9, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    EXPECT_FALSE(with_end_rul(table, {wrong}, "r"));
  EXPECT_TRUE(with_end_rul(table, {0}, "r"));
}

}  // namespace
}  // namespace nacelle::dataset
