#include "ml/evaluation/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ml/evaluation/chart.h"
#include "ml/evaluation/page.h"

namespace nacelle::evaluation {

namespace {

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
  Chart chart{.title = table.schema->column(column).name,
              .subtitle = table.schema->describe(column),
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

Chart horizon_chart(const Evaluation& evaluation) {
  Chart chart{.title = "Error by horizon",
              .x_label = "true remaining life (cycles)",
              .y_label = "RMSE (cycles)",
              .include_zero_y = true,
              .reverse_x = true};
  Series bars{.shape = Series::Shape::bars, .colour = 1};
  for (const Horizon& horizon : evaluation.horizons) {
    const double high = std::isfinite(horizon.high) ? horizon.high : horizon.low + 25;
    bars.points.emplace_back((horizon.low + high) / 2, horizon.metrics.rmse);
  }
  chart.series.push_back(std::move(bars));
  return chart;
}

std::string horizons_table(const Evaluation& evaluation) {
  std::string out =
      "<table><tr><th>true life</th><th>engines</th><th>RMSE</th><th>bias</th><th>late</th><th>interval "
      "width</th><th>inside</th></tr>";
  const auto line = [&out](const std::string& name, const Horizon& horizon) {
    out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{:.2f}</td><td>{:+.2f}</td><td>{:.0f} %</td><td>{:.1f}</td><td>{:.0f} %</td></tr>", name,
        horizon.metrics.count, horizon.metrics.rmse, horizon.metrics.bias, 100 * horizon.late, horizon.interval_width,
        100 * horizon.interval_coverage);
  };
  for (const Horizon& horizon : evaluation.horizons)
    if (horizon.metrics.count > 0)
      line(std::isfinite(horizon.high) ? fmt::format("{:.0f} to {:.0f}", horizon.low, horizon.high)
                                       : fmt::format("above {:.0f}", horizon.low),
           horizon);
  line("at most 50", evaluation.near_failure);
  return out + "</table>";
}

std::string stress_table(const Robustness& robustness) {
  constexpr std::size_t shown = 5;
  std::string out = fmt::format(
      "<h2>On worse data</h2><p class=\"soft\">RMSE on whole data {:.2f}. Of dead and stuck sensors the {} worst.</p><div "
      "class=\"scroll\"><table><tr><th>what</th><th>RMSE</th><th>loss</th></tr>",
      robustness.whole.rmse, shown);
  for (const LateJoin& join : robustness.late_joins)
    out += fmt::format(
        "<tr><td>{}</td><td>{:.2f}; {:.2f} if only the {} engines that ran so long join late</td><td>{:+.0f} %; {:+.0f} "
        "%</td></tr>",
        escape_markup(join.all.name), join.all.capped.rmse, join.rmse_mixed, join.engines, 100 * join.all.loss,
        100 * join.loss_mixed);
  for (const auto* stresses : {&robustness.dead, &robustness.stuck, &robustness.noisy})
    for (std::size_t i = 0; i < std::min(shown, stresses->size()); ++i)
      out += fmt::format("<tr><td>{}</td><td>{:.2f}</td><td>{:+.0f} %</td></tr>", escape_markup((*stresses)[i].name),
                         (*stresses)[i].capped.rmse, 100 * (*stresses)[i].loss);
  return out + "</table></div>";
}

std::string comparison_text(const ReportSource& source) {
  const Comparison& c = *source.comparison;
  return fmt::format(
      "<h2>Against {}</h2><p>RMSE {:.2f} against {:.2f} on the same {} engines; the difference lies between {:+.2f} and {:+.2f} "
      "cycles "
      "(95 %, both judged on the same resampled engines): <b>{}</b>.</p>",
      escape_markup(source.against), c.rmse_second, c.rmse_first, c.engines, c.difference.low, c.difference.high,
      verdict_text(c.verdict));
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
  std::string out =
      page_begin(source.title) +
      fmt::format("<p class=\"soft\">Remaining useful life of {} {}s, predicted after the last of their {} recorded cycles.{}</p>",
                  table.engines.size(), escape_markup(table.schema->machine), table.row_count(),
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
  const MetricRanges& ranges = evaluation.capped_ranges;
  out += fmt::format(
      "<p class=\"soft\">Over resampled engines (5 to 95 %): RMSE {:.2f} to {:.2f}, PHM08 score {:.0f} to {:.0f}. {:.0f} % of the "
      "engines are "
      "told more than {:.0f} cycles late, {:.0f} % more than {:.0f} early.</p>",
      ranges.rmse.low, ranges.rmse.high, ranges.phm08.low, ranges.phm08.high, 100 * evaluation.late, late_cycles,
      100 * evaluation.early, early_cycles);
  if (source.comparison) out += comparison_text(source);
  out += "<h2>Predictions</h2><div class=\"plots\">" + figure(predicted_vs_actual(evaluation)) +
         figure(residuals_chart(evaluation, errors)) + figure(histogram_chart(errors)) + figure(quantile_chart(errors, m)) +
         "</div>";
  out += "<h2>By horizon</h2><div class=\"plots\">" + figure(horizon_chart(evaluation)) + "<div class=\"scroll\">" +
         horizons_table(evaluation) + "</div></div>";
  if (source.explanation) out += render_importance(*source.explanation);
  if (source.robustness) out += stress_table(*source.robustness);
  out += "<h2>Engines</h2>" + engines_table(evaluation);
  const std::size_t first_sensor = table.schema->settings.size();
  out +=
      "<h2>Operational settings against remaining life</h2><p class=\"soft\">Ten engines, from the nearest to failure to the "
      "farthest.</p>" +
      column_plots(estimator, table, evaluation, 0, first_sensor);
  out += "<h2>Sensors against remaining life</h2><p class=\"soft\">The same ten engines. Failure is at the right.</p>" +
         column_plots(estimator, table, evaluation, first_sensor, table.schema->column_count());
  out += fmt::format(
      "<h2>What made it</h2><p>Model <code>{}</code>, artifact SHA-256 <code>{}</code>, data "
      "<code>{}</code>.</p><details><summary>Provenance</summary><pre><code>{}</code></pre></details>",
      escape_markup(source.model), estimator.content_hash(), escape_markup(source.data),
      escape_markup(json::print_pretty(estimator.provenance())));
  return out + std::string(page_end());
}

}  // namespace nacelle::evaluation
