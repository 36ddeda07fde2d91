#include "ml/evaluation/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ml/evaluation/chart.h"

namespace nacelle::evaluation {
namespace {

TEST(Metrics, match_values_worked_out_by_hand) {
  const std::vector<double> truth = {10, 20, 30}, predicted = {12, 17, 30};
  const Metrics m = measure(truth, predicted);
  EXPECT_DOUBLE_EQ(m.rmse, std::sqrt(13.0 / 3));
  EXPECT_DOUBLE_EQ(m.mae, 5.0 / 3);
  EXPECT_DOUBLE_EQ(m.bias, -1.0 / 3);
  EXPECT_DOUBLE_EQ(m.r2, 1 - 13.0 / 200);
  EXPECT_DOUBLE_EQ(m.phm08, std::exp(0.2) - 1 + std::exp(3.0 / 13) - 1);
}

TEST(Metrics, late_is_worse_than_early_and_nothing_is_nothing) {
  EXPECT_GT(phm08_penalty(10), phm08_penalty(-10));
  EXPECT_EQ(phm08_penalty(0), 0);
  EXPECT_EQ(measure({}, {}).count, 0u);
  const std::vector<double> flat = {5, 5};
  EXPECT_EQ(measure(flat, flat).r2, 0);
  EXPECT_EQ(capped(std::vector<double>{100, 200}, 125), (std::vector<double>{100, 125}));
}

TEST(Chart, ticks_are_round_and_cover_the_range) {
  for (const auto& [low, high] : {std::pair{0.0, 125.0}, {-28.0, 36.0}, {518.1, 519.2}, {-0.0087, 0.0087}, {1e6, 3e6}}) {
    const auto ticks = nice_ticks(low, high, 6);
    ASSERT_GE(ticks.size(), 3u);
    ASSERT_LE(ticks.size(), 14u);
    EXPECT_LE(ticks.front(), low + 1e-9);
    EXPECT_GE(ticks.back(), high - 1e-9 * std::abs(high));
  }
}

TEST(Chart, tick_labels_have_the_decimals_of_their_step) {
  const std::string svg = render({.series = {{.points = {{0, 14}, {1, 15.2}}}}, .width = 380, .height = 250});
  EXPECT_NE(svg.find(">14.5<"), std::string::npos);
  const std::string fine = render({.series = {{.points = {{0, 14.0}, {1, 14.9}}}}, .width = 380, .height = 250});
  EXPECT_NE(fine.find(">14.25<"), std::string::npos);
  EXPECT_EQ(fine.find(">14.2<"), std::string::npos);
}

TEST(Chart, is_well_formed_and_escapes_what_it_is_given) {
  Chart chart{.title = "<b> & \"c\"", .x_label = "a<b", .y_label = "y"};
  chart.series = {{.points = {{0, 1}, {1, NAN}, {2, 3}}, .label = "<s>"},
                  {.shape = Series::Shape::bars, .points = {{0, 1}, {1, 2}}},
                  {.shape = Series::Shape::line}};
  const std::string svg = render(chart);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("&lt;b&gt; &amp; &quot;c&quot;"), std::string::npos);
  EXPECT_EQ(render({.title = "nothing"}).find("inf"), std::string::npos);
  Chart constant{.series = {{.points = {{1, 518.67}, {2, 518.67}}}}};
  EXPECT_EQ(render(constant).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace nacelle::evaluation
