#include "ml/evaluation/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ml/evaluation/chart.h"

namespace nacelle::evaluation {

namespace {

constexpr std::string_view style = R"css(
:root{color-scheme:light dark;--paper:#fff;--card:#f6f7f9;--ink:#1c2330;--soft:#5b6577;--rule:#dfe3ea;--c1:#2563a8;--c2:#c2571a;--c3:#2c8a57;--c4:#8a4fb0;--c5:#b3353f;--c6:#16808c;--c7:#a07a12;--c8:#5a6fd0;--c9:#c04d8f;--c10:#6b7280}
@media (prefers-color-scheme:dark){:root{--paper:#14181f;--card:#1c222c;--ink:#e4e8ef;--soft:#98a3b5;--rule:#313947;--c1:#6aa9ec;--c2:#f0955a;--c3:#66c892;--c4:#bf8fe0;--c5:#f07f88;--c6:#5cc3cf;--c7:#d9b451;--c8:#97a6f5;--c9:#ee8cc4;--c10:#a3adbd}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}h1{font-size:26px;line-height:1.25;margin:0 0 4px}h2{font-size:19px;margin:40px 0 12px}p{margin:4px 0 12px;max-width:75ch}.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 14px}.card b{display:block;font-size:24px;font-weight:650;font-variant-numeric:tabular-nums}.card span{color:var(--soft);font-size:13px}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:14px}.small{grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr))}figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:8px}svg{display:block;width:100%;height:auto}
svg text{fill:var(--ink);font-size:12px}svg .title{font-size:14px;font-weight:600}svg tspan.tick{font-weight:400}svg .tick{fill:var(--soft);font-size:11px}svg .label{fill:var(--soft);font-size:12px}.grid{stroke:var(--rule);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1;fill:none}
.line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}.line.faint{stroke-width:1;opacity:.75}.dots{fill:currentColor;fill-opacity:.6}.bars{fill:currentColor;fill-opacity:.8}.key{fill:currentColor}
.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}.c8{color:var(--c8)}.c9{color:var(--c9)}.c10{color:var(--c10)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:4px 14px 4px 0;text-align:right;border-bottom:1px solid var(--rule)}th{color:var(--soft);font-weight:600;font-size:13px}th:first-child,td:first-child{text-align:left}.scroll{overflow-x:auto}summary{cursor:pointer;color:var(--soft)}code{font-size:13px;overflow-wrap:anywhere}
)css";

constexpr std::size_t shown_engines = 10;
constexpr std::size_t points_a_line = 110;

std::string figure(const Chart& chart) { return "<figure>" + render(chart) + "</figure>"; }

std::string card(std::string_view value, std::string_view name) {
  return fmt::format("<div class=\"card\"><b>{}</b><span>{}</span></div>", value, name);
}

/// The engines shown in the sensor plots: spread evenly over the true remaining life.
std::vector<std::size_t> pick_engines(const Evaluation& evaluation) {
  std::vector<std::size_t> order(evaluation.truth.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return evaluation.truth[a] < evaluation.truth[b]; });
  if (order.size() <= shown_engines) return order;
  std::vector<std::size_t> picked;
  for (std::size_t i = 0; i < shown_engines; ++i) picked.push_back(order[i * (order.size() - 1) / (shown_engines - 1)]);
  return picked;
}

Chart column_chart(const dataset::FleetTable& table, const Evaluation& evaluation, const std::vector<std::size_t>& engines,
                   std::size_t column) {
  Chart chart{.title = dataset::turbofan_columns()[column],
              .subtitle = dataset::turbofan_column_meanings()[column],
              .x_label = "true remaining life (cycles)",
              .reverse_x = true,
              .width = 380,
              .height = 250};
  for (std::size_t i = 0; i < engines.size(); ++i) {
    const dataset::EngineRows& rows = table.engines[engines[i]];
    Series series{.shape = Series::Shape::line, .colour = static_cast<int>(i % 10) + 1, .faint = true};
    const std::size_t stride = std::max<std::size_t>(1, rows.size() / points_a_line);
    for (std::size_t row = rows.begin; row < rows.end; row += stride) {
      const double rul = evaluation.truth[engines[i]] + static_cast<double>(table.cycle[rows.end - 1] - table.cycle[row]);
      series.points.emplace_back(rul, table.columns[column][row]);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

/// True if the fleet flies in several regimes: then sensor plots show dots, as a line would only jump between levels.
bool many_regimes(const model::Estimator& estimator) {
  const json::Value pipeline = estimator.pipeline().to_json();
  const json::Value* regimes = pipeline.find("regimes");
  return regimes && regimes->as_integer() > 1;
}

Chart predicted_vs_actual(const Evaluation& evaluation) {
  Chart chart{.title = "Predicted against actual",
              .x_label = "true remaining life, capped (cycles)",
              .y_label = "predicted (cycles)",
              .equal_axes = true};
  Series bands{.shape = Series::Shape::dots, .points = {}, .colour = 1, .label = "engine"};
  for (std::size_t e = 0; e < evaluation.engines.size(); ++e)
    bands.points.emplace_back(std::min(evaluation.truth[e], evaluation.cap), evaluation.engines[e].rul);
  chart.series.push_back(
      {.shape = Series::Shape::line, .points = {{0, 0}, {evaluation.cap, evaluation.cap}}, .colour = 10, .label = "perfect"});
  chart.series.push_back(std::move(bands));
  return chart;
}

/// Errors, predicted less capped truth.
std::vector<double> errors_of(const Evaluation& evaluation) {
  std::vector<double> errors;
  for (std::size_t e = 0; e < evaluation.engines.size(); ++e)
    errors.push_back(evaluation.engines[e].rul - std::min(evaluation.truth[e], evaluation.cap));
  return errors;
}

Chart residuals_chart(const Evaluation& evaluation, const std::vector<double>& errors) {
  Chart chart{.title = "Error against prediction",
              .x_label = "predicted (cycles)",
              .y_label = "predicted \u2212 actual (cycles)",
              .include_zero_y = true};
  Series early{.shape = Series::Shape::dots, .colour = 3, .label = "early (safe)"};
  Series late{.shape = Series::Shape::dots, .colour = 2, .label = "late"};
  double highest = 1;
  for (std::size_t e = 0; e < errors.size(); ++e) {
    (errors[e] > 0 ? late : early).points.emplace_back(evaluation.engines[e].rul, errors[e]);
    highest = std::max(highest, evaluation.engines[e].rul);
  }
  chart.series = {
      {.shape = Series::Shape::line, .points = {{0, 0}, {highest, 0}}, .colour = 10}, std::move(early), std::move(late)};
  return chart;
}

Chart histogram_chart(const std::vector<double>& errors) {
  Chart chart{.title = "Distribution of errors",
              .x_label = "predicted \u2212 actual (cycles)",
              .y_label = "engines",
              .include_zero_y = true};
  constexpr double bin = 5;
  const auto [low, high] = std::minmax_element(errors.begin(), errors.end());
  const double first = std::floor(*low / bin) * bin;
  const auto bins = static_cast<std::size_t>(std::floor((*high - first) / bin)) + 1;
  Series bars{.shape = Series::Shape::bars, .colour = 1};
  for (std::size_t b = 0; b < bins; ++b) bars.points.emplace_back(first + bin * (static_cast<double>(b) + 0.5), 0);
  if (bars.points.size() == 1) bars.points.emplace_back(first + 1.5 * bin, 0);
  for (const double error : errors) bars.points[static_cast<std::size_t>((error - first) / bin)].second += 1;
  chart.series.push_back(std::move(bars));
  return chart;
}

/// The inverse of the standard normal distribution. Source: P. Acklam (2003), relative error below 1.2e-9.
double normal_quantile(double p) {
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01,
                          -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00};
  const auto tail = [&](double q) {
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
  };
  if (p < 0.02425) return tail(std::sqrt(-2 * std::log(p)));
  if (p > 1 - 0.02425) return -tail(std::sqrt(-2 * std::log(1 - p)));
  const double q = p - 0.5;
  const double r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
         (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

Chart quantile_chart(std::vector<double> errors, const Metrics& metrics) {
  Chart chart{.title = "Q\u2013Q plot of errors", .x_label = "standard normal quantile", .y_label = "error (cycles)"};
  std::sort(errors.begin(), errors.end());
  Series dots{.shape = Series::Shape::dots, .colour = 1, .label = "engine"};
  const auto n = static_cast<double>(errors.size());
  for (std::size_t i = 0; i < errors.size(); ++i)
    dots.points.emplace_back(normal_quantile((static_cast<double>(i) + 0.5) / n), errors[i]);
  const double spread = std::sqrt(std::max(0.0, metrics.rmse * metrics.rmse - metrics.bias * metrics.bias));
  const double low = dots.points.front().first;
  const double high = dots.points.back().first;
  chart.series = {{.shape = Series::Shape::line,
                   .points = {{low, metrics.bias + spread * low}, {high, metrics.bias + spread * high}},
                   .colour = 10,
                   .label = "normal"},
                  std::move(dots)};
  return chart;
}

std::string metrics_table(const Evaluation& evaluation) {
  std::string out = "<table><tr><th>truth</th><th>RMSE</th><th>MAE</th><th>R\u00b2</th><th>bias</th><th>PHM08 score</th></tr>";
  const auto line = [&out](const std::string& name, const Metrics& m) {
    out += fmt::format("<tr><td>{}</td><td>{:.2f}</td><td>{:.2f}</td><td>{:.3f}</td><td>{:+.2f}</td><td>{:.0f}</td></tr>", name,
                       m.rmse, m.mae, m.r2, m.bias, m.phm08);
  };
  line(fmt::format("capped at {:.0f}", evaluation.cap), evaluation.capped);
  line("raw", evaluation.raw);
  return out + "</table>";
}

std::string engines_table(const Evaluation& evaluation) {
  std::string out =
      "<details><summary>Every engine</summary><div class=\"scroll\"><table><tr><th>engine</th><th>last "
      "cycle</th><th>true</th><th>predicted</th><th>interval</th><th>error (capped)</th></tr>";
  for (std::size_t e = 0; e < evaluation.engines.size(); ++e) {
    const EnginePrediction& engine = evaluation.engines[e];
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{:.0f}</td><td>{:.1f}</td><td>{:.0f} \u2013 {:.0f}</td><td>{:+.1f}</td></tr>",
                       engine.unit, engine.cycle, evaluation.truth[e], engine.rul, engine.interval.low, engine.interval.high,
                       engine.rul - std::min(evaluation.truth[e], evaluation.cap));
  }
  return out + "</table></div></details>";
}

std::string column_plots(const model::Estimator& estimator, const dataset::FleetTable& table, const Evaluation& evaluation,
                         std::size_t begin, std::size_t end) {
  const std::vector<std::size_t> engines = pick_engines(evaluation);
  const bool dots = many_regimes(estimator);
  std::string out = "<div class=\"plots small\">";
  for (std::size_t column = begin; column < end; ++column) {
    Chart chart = column_chart(table, evaluation, engines, column);
    if (dots)
      for (Series& series : chart.series) series.shape = Series::Shape::dots;
    out += figure(chart);
  }
  return out + "</div>";
}

}  // namespace

std::string render_report(const ReportSource& source, const model::Estimator& estimator, const dataset::FleetTable& table,
                          const Evaluation& evaluation) {
  const Metrics& m = evaluation.capped;
  const std::vector<double> errors = errors_of(evaluation);
  std::string out = fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<title>{0}</title><style>{1}</style></head><body><main><h1>{0}</h1><p class=\"soft\">Remaining useful life of {2} engines, "
      "predicted after the last "
      "of their {3} recorded cycles.{4}</p>",
      escape_markup(source.title), style, table.engines.size(), table.row_count(),
      source.made_at.empty() ? "" : fmt::format(" Made {}.", source.made_at));
  out += "<div class=\"cards\">" + card(fmt::format("{:.2f}", m.rmse), "RMSE (cycles)") +
         card(fmt::format("{:.0f}", m.phm08), "PHM08 score") + card(fmt::format("{:.2f}", m.mae), "mean absolute error") +
         card(fmt::format("{:.3f}", m.r2), "R\u00b2") +
         card(fmt::format("{:.0f} %", 100 * evaluation.interval_coverage), "inside the interval") +
         card(fmt::format("{:.0f}", evaluation.interval_width), "mean interval width") + "</div>";
  out += fmt::format(
      "<p class=\"soft\">True remaining lives are cut at {:.0f} cycles, as the model's target was: before wear shows, no sensor "
      "can tell 150 cycles from 200. "
      "The PHM08 score counts late predictions more than early ones.</p>",
      evaluation.cap);
  out += "<div class=\"scroll\">" + metrics_table(evaluation) + "</div>";
  out += "<h2>Predictions</h2><div class=\"plots\">" + figure(predicted_vs_actual(evaluation)) +
         figure(residuals_chart(evaluation, errors)) + figure(histogram_chart(errors)) + figure(quantile_chart(errors, m)) +
         "</div>";
  out += "<h2>Engines</h2>" + engines_table(evaluation);
  constexpr std::size_t first_sensor = 3;
  out +=
      "<h2>Operational settings against remaining life</h2><p class=\"soft\">Ten engines, from the nearest to failure to the "
      "farthest.</p>" +
      column_plots(estimator, table, evaluation, 0, first_sensor);
  out += "<h2>Sensors against remaining life</h2><p class=\"soft\">The same ten engines. Failure is at the right.</p>" +
         column_plots(estimator, table, evaluation, first_sensor, dataset::turbofan_column_count);
  out += fmt::format(
      "<h2>What made it</h2><p>Model <code>{}</code>, artifact SHA-256 <code>{}</code>, data "
      "<code>{}</code>.</p><details><summary>Provenance</summary><pre><code>{}</code></pre></details>",
      escape_markup(source.model), estimator.content_hash(), escape_markup(source.data),
      escape_markup(json::print_pretty(estimator.provenance())));
  return out + "</main></body></html>\n";
}

}  // namespace nacelle::evaluation
