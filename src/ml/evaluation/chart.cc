#include "ml/evaluation/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace nacelle::evaluation {

namespace {

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void see(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

bool finite(const std::pair<double, double>& point) { return std::isfinite(point.first) && std::isfinite(point.second); }

double bar_width(const Series& series) {
  return series.points.size() > 1 ? std::abs(series.points[1].first - series.points[0].first) : 1;
}

/// The chart's frame: data to pixels.
struct Frame {
  Range x, y;
  double left, top, right, bottom;
  bool reverse_x;
  double px(double value) const {
    const double part = (value - x.low) / (x.high - x.low);
    return left + (reverse_x ? 1 - part : part) * (right - left);
  }
  double py(double value) const { return bottom - (value - y.low) / (y.high - y.low) * (bottom - top); }
};

void widen(Range& range, const std::vector<double>& ticks) {
  if (ticks.empty()) return;
  range.see(ticks.front());
  range.see(ticks.back());
}

Range spread_out(Range range) {
  if (range.empty()) return {0, 1};
  if (range.high - range.low > 1e-9 * std::max(1.0, std::abs(range.high))) return range;
  const double margin = std::max(0.5, std::abs(range.high) * 0.001);  // a constant: show it in the middle
  return {range.low - margin, range.high + margin};
}

std::pair<Range, Range> data_ranges(const Chart& chart) {
  Range x, y;
  for (const Series& series : chart.series)
    for (const auto& point : series.points) {
      if (!finite(point)) continue;
      const double half = series.shape == Series::Shape::bars ? bar_width(series) / 2 : 0;
      x.see(point.first - half);
      x.see(point.first + half);
      y.see(point.second);
    }
  if (chart.include_zero_y) y.see(0);
  if (chart.equal_axes && !x.empty()) {
    x.see(y.low);
    x.see(y.high);
    y = x;
  }
  return {spread_out(x), spread_out(y)};
}

std::string tick_text(double value, double step) {
  int decimals = 0;  // as many as the step has: 0.25 has two
  for (double scaled = step; decimals < 6 && std::abs(scaled - std::round(scaled)) > 1e-6 * scaled; scaled *= 10) ++decimals;
  std::string text = fmt::format("{:.{}f}", std::abs(value) < step / 2 ? 0.0 : value, decimals);
  return text.starts_with('-') ? "\u2212" + text.substr(1) : text;
}

void draw_axes(std::string& out, const Chart& chart, const Frame& frame, const std::vector<double>& x_ticks,
               const std::vector<double>& y_ticks) {
  const auto step = [](const std::vector<double>& ticks) { return ticks.size() > 1 ? ticks[1] - ticks[0] : 1; };
  for (const double tick : y_ticks) {
    out += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", frame.left, frame.right,
                       frame.py(tick), frame.py(tick));
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", frame.left - 7,
                       frame.py(tick) + 3.5, tick_text(tick, step(y_ticks)));
  }
  for (const double tick : x_ticks) {
    out += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", frame.px(tick),
                       frame.px(tick), frame.top, frame.bottom);
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", frame.px(tick),
                       frame.bottom + 16, tick_text(tick, step(x_ticks)));
  }
  out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\"/>", frame.left, frame.top, frame.bottom, frame.right);
  if (!chart.x_label.empty())
    out += fmt::format("<text class=\"label\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                       (frame.left + frame.right) / 2, chart.height - 6, escape_markup(chart.x_label));
  if (!chart.y_label.empty())
    out += fmt::format("<text class=\"label\" transform=\"translate(13 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
                       (frame.top + frame.bottom) / 2, escape_markup(chart.y_label));
}

void draw_series(std::string& out, const Series& series, const Frame& frame) {
  const std::string_view faint = series.faint ? " faint" : "";
  if (series.shape == Series::Shape::line) {
    out += fmt::format("<path class=\"line c{}{}\" d=\"", series.colour, faint);
    char command = 'M';
    for (const auto& point : series.points) {
      if (!finite(point)) continue;
      out += fmt::format("{}{:.1f} {:.1f}", command, frame.px(point.first), frame.py(point.second));
      command = 'L';
    }
    out += "\"/>";
    return;
  }
  out += fmt::format("<g class=\"{} c{}{}\">", series.shape == Series::Shape::bars ? "bars" : "dots", series.colour, faint);
  for (const auto& point : series.points) {
    if (!finite(point)) continue;
    if (series.shape == Series::Shape::dots) {
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", frame.px(point.first), frame.py(point.second),
                         series.faint ? 1.3 : 3.2);
      continue;
    }
    const double half = bar_width(series) / 2;
    const double x0 = frame.px(point.first - half) + 0.75;
    const double x1 = frame.px(point.first + half) - 0.75;
    const double y0 = frame.py(point.second);
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>", x0, y0, std::max(0.5, x1 - x0),
                       std::max(0.0, frame.py(0) - y0));
  }
  out += "</g>";
}

void draw_legend(std::string& out, const Chart& chart, const Frame& frame) {
  double y = frame.top + 14;
  for (const Series& series : chart.series) {
    if (series.label.empty()) continue;
    out += fmt::format("<rect class=\"key c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"10\" height=\"10\" rx=\"2\"/>", series.colour,
                       frame.left + 10, y - 9);
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", frame.left + 26, y, escape_markup(series.label));
    y += 16;
  }
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::vector<double> nice_ticks(double low, double high, int count) {
  const double raw = (high - low) / std::max(1, count);
  if (!(raw > 0) || !std::isfinite(raw)) return {low};
  const double magnitude = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * magnitude;
  for (const double factor : {1.0, 2.0, 2.5, 5.0})
    if (factor * magnitude >= raw * 0.999) {
      step = factor * magnitude;
      break;
    }
  std::vector<double> ticks;
  for (double k = std::floor(low / step + 1e-9); k * step <= high + step * 0.999 && ticks.size() < 50; ++k)
    ticks.push_back(k * step);
  return ticks;
}

std::string render(const Chart& chart) {
  auto [x, y] = data_ranges(chart);
  const bool small = chart.width < 400;
  const std::vector<double> x_ticks = nice_ticks(x.low, x.high, small ? 4 : 7);
  const std::vector<double> y_ticks = chart.equal_axes ? x_ticks : nice_ticks(y.low, y.high, small ? 4 : 6);
  widen(x, x_ticks);
  widen(y, y_ticks);
  const Frame frame{.x = x,
                    .y = y,
                    .left = 58,
                    .top = 32,
                    .right = chart.width - 14.0,
                    .bottom = chart.height - 44.0,
                    .reverse_x = chart.reverse_x};
  std::string out = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", chart.width, chart.height,
                                escape_markup(chart.title));
  const std::string subtitle =
      chart.subtitle.empty() ? "" : fmt::format("<tspan class=\"tick\" dx=\"8\">{}</tspan>", escape_markup(chart.subtitle));
  out += fmt::format("<text class=\"title\" x=\"{:.1f}\" y=\"18\">{}{}</text>", frame.left, escape_markup(chart.title), subtitle);
  draw_axes(out, chart, frame, x_ticks, y_ticks);
  for (const Series& series : chart.series) draw_series(out, series, frame);
  draw_legend(out, chart, frame);
  return out + "</svg>";
}

}  // namespace nacelle::evaluation
