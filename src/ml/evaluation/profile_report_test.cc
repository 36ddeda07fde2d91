#include "ml/evaluation/profile_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ml/dataset/synthetic.h"

namespace nacelle::evaluation {
namespace {

std::size_t count(std::string_view text, std::string_view word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(ProfileReport, shows_ranges_silence_drift_and_regimes_and_names_what_is_constant) {
  dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 6, .regimes = 3});
  const std::size_t dead = *table.find_column("Sensor5"), stuck = *table.find_column("Sensor6");
  for (double& value : table.columns[dead]) value = std::numeric_limits<double>::quiet_NaN();
  for (double& value : table.columns[stuck]) value = 7;
  const std::string page = render_profile(dataset::profile_table(table), "a <fleet>");
  EXPECT_EQ(count(page, "<figure><svg"), 4u);
  for (const char* title : {"Ranges", "Silence", "Drift with age", "Readings of each regime"})
    EXPECT_NE(page.find(title), std::string::npos) << title;
  EXPECT_NE(page.find("never heard"), std::string::npos);
  EXPECT_NE(page.find("constant"), std::string::npos);
  EXPECT_NE(page.find("a &lt;fleet&gt;"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos) << "what is not there is left out of the plots";
  EXPECT_EQ(count(page, "<script"), 0u);
}

TEST(ProfileReport, an_empty_or_narrow_fleet_has_a_page_too) {
  dataset::DataProfile empty;
  empty.machine = "pump";
  EXPECT_NE(render_profile(empty, "none").find("</html>"), std::string::npos);
  empty.columns.push_back({.name = "only", .heard = 1, .low = 3, .high = 3, .mean = 3, .constant = true});
  empty.rows = 1;
  EXPECT_NE(render_profile(empty, "one").find("only"), std::string::npos);
}

}  // namespace
}  // namespace nacelle::evaluation
