#include "ml/evaluation/profile_report.h"

#include <fmt/format.h>

#include "ml/evaluation/chart.h"
#include "ml/evaluation/page.h"

namespace nacelle::evaluation {

namespace {

std::string card(std::uint64_t value, std::string_view name) {
  return fmt::format("<div class=\"card\"><b>{}</b><span>{}</span></div>", value, escape_markup(name));
}

std::string columns_table(const dataset::DataProfile& profile) {
  std::string out =
      "<div class=\"scroll\"><table><tr><th>column</th><th>least</th><th>mean</th><th>most</th><th>spread</th><th>drift with "
      "age</th><th>silent</th><th></th></tr>";
  for (const dataset::ColumnProfile& c : profile.columns)
    out += fmt::format(
        "<tr><td>{}</td><td>{:.6g}</td><td>{:.6g}</td><td>{:.6g}</td><td>{:.4g}</td><td>{:.2f}</td><td>{}</td><td>{}</td></tr>",
        escape_markup(c.name), c.low, c.mean, c.high, c.spread, c.drift, c.silent,
        c.heard == 0 ? "never heard"
        : c.constant ? "constant"
                     : "");
  return out + "</table></div>";
}

/// A number of each column, as bars in the table's order.
template <class Number>
Chart column_bars(const dataset::DataProfile& profile, std::string title, std::string subtitle, Number number) {
  Chart chart{.title = std::move(title),
              .subtitle = std::move(subtitle),
              .x_label = "column, in the table's order",
              .include_zero_y = true};
  Series bars{.shape = Series::Shape::bars, .colour = 1};
  for (std::size_t c = 0; c < profile.columns.size(); ++c)
    bars.points.emplace_back(static_cast<double>(c + 1), number(profile.columns[c]));
  if (bars.points.size() == 1) bars.points.emplace_back(2, 0);
  chart.series.push_back(std::move(bars));
  return chart;
}

/// How far the least and the most of a column are from its mean: a lonely far end is an outlier, none at all a constant.
Chart range_chart(const dataset::DataProfile& profile) {
  Chart chart{.title = "Ranges",
              .subtitle = "least and most, in spreads from the mean; constants at 0",
              .x_label = "column, in the table's order",
              .include_zero_y = true};
  Series low{.colour = 1, .label = "least"}, high{.colour = 2, .label = "most"};
  for (std::size_t c = 0; c < profile.columns.size(); ++c) {
    const dataset::ColumnProfile& column = profile.columns[c];
    if (column.heard == 0) continue;
    const double unit = column.spread > 0 ? column.spread : 1;
    Series span{.shape = Series::Shape::line, .colour = 3, .faint = true};
    const auto x = static_cast<double>(c + 1);
    low.points.emplace_back(x, (column.low - column.mean) / unit);
    high.points.emplace_back(x, (column.high - column.mean) / unit);
    span.points = {low.points.back(), high.points.back()};
    chart.series.push_back(std::move(span));
  }
  chart.series.push_back(std::move(low));
  chart.series.push_back(std::move(high));
  return chart;
}

Chart regime_chart(const dataset::DataProfile& profile) {
  Chart chart{.title = "Readings of each regime", .x_label = "regime, the largest first", .include_zero_y = true};
  Series bars{.shape = Series::Shape::bars, .colour = 2};
  for (std::size_t r = 0; r < profile.regimes.size(); ++r)
    bars.points.emplace_back(static_cast<double>(r + 1), static_cast<double>(profile.regimes[r].rows));
  if (bars.points.size() == 1) bars.points.emplace_back(2, 0);
  chart.series.push_back(std::move(bars));
  return chart;
}

std::string figure(const Chart& chart) { return "<figure>" + render(chart) + "</figure>"; }

std::string plots(const dataset::DataProfile& profile) {
  const auto silent = [&profile](const dataset::ColumnProfile& column) {
    return profile.rows > 0 ? 100 * static_cast<double>(column.silent) / static_cast<double>(profile.rows) : 0;
  };
  return "<div class=\"plots\">" + figure(range_chart(profile)) +
         figure(column_bars(profile, "Silence", "% of the readings in which the column is missing", silent)) +
         figure(column_bars(profile, "Drift with age", "late life less early life, in spreads",
                            [](const dataset::ColumnProfile& column) { return column.drift; })) +
         (profile.regimes.empty() ? std::string() : figure(regime_chart(profile))) + "</div>";
}

}  // namespace

std::string render_profile(const dataset::DataProfile& profile, std::string_view data) {
  std::string out = page_begin(fmt::format("Data profile of {}", data));
  out += "<div class=\"cards\">" + card(profile.rows, "readings") + card(profile.machines, profile.machine + "s") +
         card(profile.regimes.size(), "operating regimes") + card(profile.gaps, "gaps") + card(profile.repeated, "repeated rows") +
         card(profile.out_of_order, "rows out of order") + "</div>";
  out += fmt::format("<p class=\"soft\">{} to {} readings each; {} readings with a label.</p>", profile.shortest, profile.longest,
                     profile.labelled);
  if (!profile.notes.empty()) {
    out += "<h2>To know</h2><ul>";
    for (const std::string& note : profile.notes) out += "<li>" + escape_markup(note) + "</li>";
    out += "</ul>";
  }
  out += "<h2>Columns</h2>" + plots(profile) + columns_table(profile);
  if (profile.regimes.empty()) return out + std::string(page_end());
  out += "<h2>Operating regimes</h2><table><tr><th>at</th><th>readings</th></tr>";
  for (const dataset::RegimeProfile& regime : profile.regimes) {
    std::string settings;
    for (const double value : regime.settings) settings += fmt::format("{}{:.4g}", settings.empty() ? "" : ", ", value);
    out += fmt::format("<tr><td>{}</td><td>{}</td></tr>", settings, regime.rows);
  }
  return out + "</table>" + std::string(page_end());
}

}  // namespace nacelle::evaluation
