#pragma once
// Chart: a plot as SVG text, drawn with the classes of the report's style sheet, so that it follows light and dark.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nacelle::evaluation {

using Points = std::vector<std::pair<double, double>>;

struct Series {
  enum class Shape { dots, line, bars };
  Shape shape = Shape::dots;
  Points points;       ///< bars: centre and height; all bars are as wide as the first two are apart
  int colour = 1;      ///< 1..10: the report's palette
  bool faint = false;  ///< thin or small: many series, or guide lines
  std::string label;   ///< in the legend; empty: not there
};

struct Chart {
  std::string title;
  std::string subtitle;  ///< after the title, softer
  std::string x_label;
  std::string y_label;
  std::vector<Series> series;
  bool equal_axes = false;  ///< both axes over the same range
  bool include_zero_y = false;
  bool reverse_x = false;  ///< remaining life runs out to the right
  int width = 560;
  int height = 360;
};

/// One <svg> element. Points that are not finite are left out.
std::string render(const Chart& chart);

/// Text as HTML or XML content.
std::string escape_markup(std::string_view text);

/// Round numbers that cover low .. high in about `count` steps.
std::vector<double> nice_ticks(double low, double high, int count);

}  // namespace nacelle::evaluation
