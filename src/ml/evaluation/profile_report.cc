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

/// What ages most, as bars.
Chart drift_chart(const dataset::DataProfile& profile) {
  Chart chart{.title = "Drift with age",
              .subtitle = "late life less early life, in spreads",
              .x_label = "column, in the table's order",
              .include_zero_y = true};
  Series bars{.shape = Series::Shape::bars, .colour = 1};
  for (std::size_t c = 0; c < profile.columns.size(); ++c)
    bars.points.emplace_back(static_cast<double>(c + 1), profile.columns[c].drift);
  if (bars.points.size() == 1) bars.points.emplace_back(2, 0);
  chart.series.push_back(std::move(bars));
  return chart;
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
  out +=
      "<h2>Columns</h2><div class=\"plots\"><figure>" + render(drift_chart(profile)) + "</figure></div>" + columns_table(profile);
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
