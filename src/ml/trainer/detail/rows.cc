#include "ml/trainer/detail/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "codec/text/encoding.h"
#include "ml/trainer/detail/all.h"

namespace nacelle::trainer {

namespace {

/// "drift1.step7": channel drift1, step 7 back from the newest.
struct StepName {
  std::string_view channel;
  std::size_t step = 0;
};
std::optional<StepName> parse_step(std::string_view name) {
  constexpr std::string_view mark = ".step";
  const std::size_t at = name.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const auto step = text::parse_integer(name.substr(at + mark.size()), "step");
  if (!step || *step < 0) return std::nullopt;
  return StepName{name.substr(0, at), static_cast<std::size_t>(*step)};
}

}  // namespace

Result<> ask_for_steps(feature::Recipe& recipe, std::size_t steps, std::string_view trainer) {
  constexpr std::size_t remembered = 200;  // cycles; feature::Recipe allows no longer windows
  if (steps * recipe.sequence_stride > remembered)
    return fail(Fault::invalid_input, fmt::format("{}: steps: {} of {} cycles are more than the {} cycles that are remembered",
                                                  trainer, steps, recipe.sequence_stride, remembered));
  recipe.sequence_steps = std::max(recipe.sequence_steps, steps);
  return {};
}

Result<> check_set(const TrainingSet& set, std::string_view trainer) {
  const auto wrong = [trainer](std::string_view what) { return fail(Fault::invalid_input, fmt::format("{}: {}", trainer, what)); };
  const FeatureRows& rows = set.rows;
  if (rows.rows == 0 || rows.features == 0) return wrong("expected rows to learn from, found none");
  if (rows.values.size() != rows.rows * rows.features || set.target.size() != rows.rows)
    return wrong(fmt::format("expected {} rows of {} values and as many targets, found {} values and {} targets", rows.rows,
                             rows.features, rows.values.size(), set.target.size()));
  if ((!set.engine.empty() && set.engine.size() != rows.rows) || (!set.censored.empty() && set.censored.size() != rows.rows))
    return wrong("expected an engine and a mark for each row");
  if (!set.feature_names.empty() && set.feature_names.size() != rows.features) return wrong("expected a name for each feature");
  for (std::size_t at = 0; at < rows.values.size(); ++at)
    if (!std::isfinite(rows.values[at])) {
      const std::size_t f = at % rows.features;
      return wrong(fmt::format("row {}, feature {}: expected a number, found {}", at / rows.features,
                               set.feature_names.empty() ? fmt::format("{}", f) : set.feature_names[f], rows.values[at]));
    }
  for (std::size_t row = 0; row < rows.rows; ++row)
    if (!std::isfinite(set.target[row])) return wrong(fmt::format("row {}: expected a target, found {}", row, set.target[row]));
  return {};
}

Standard standardise(const FeatureRows& rows, const std::vector<std::uint16_t>& columns) {
  Standard standard;
  const auto n = static_cast<double>(rows.rows);
  for (const std::uint16_t column : columns) {
    double mean = 0, squares = 0;
    for (std::size_t r = 0; r < rows.rows; ++r) mean += static_cast<double>(rows.row(r)[column]) / n;
    for (std::size_t r = 0; r < rows.rows; ++r) {
      const double apart = static_cast<double>(rows.row(r)[column]) - mean;
      squares += apart * apart / n;
    }
    const double spread = std::sqrt(squares);
    // Below this the spread of a float column is rounding.
    const bool varies = spread > 1e-6 * std::max(1.0, std::abs(mean));
    standard.centre.push_back(static_cast<float>(mean));
    standard.scale.push_back(varies ? static_cast<float>(1 / spread) : 0.0f);
  }
  return standard;
}

std::vector<std::uint32_t> engines_in(const TrainingSet& set) {
  if (set.engine.empty()) return {0};
  std::vector<std::uint32_t> engines = set.engine;
  std::sort(engines.begin(), engines.end());
  engines.erase(std::unique(engines.begin(), engines.end()), engines.end());
  return engines;
}

SequenceColumns sequence_columns(const TrainingSet& set, std::size_t steps) {
  std::vector<std::string_view> channels;  // in the row's order
  std::map<std::pair<std::string_view, std::size_t>, std::uint16_t> found;
  for (std::size_t f = 0; f < set.feature_names.size(); ++f) {
    const auto name = parse_step(set.feature_names[f]);
    if (!name) continue;
    if (std::find(channels.begin(), channels.end(), name->channel) == channels.end()) channels.push_back(name->channel);
    found.emplace(std::pair(name->channel, name->step), static_cast<std::uint16_t>(f));
  }
  SequenceColumns sequence{.channels = channels.size(), .columns = {}};
  for (std::size_t step = steps; step-- > 0;)
    for (const std::string_view channel : channels) {
      const auto at = found.find({channel, step});
      if (at == found.end()) return {};
      sequence.columns.push_back(at->second);
    }
  return sequence;
}

std::vector<std::uint16_t> plain_columns(const TrainingSet& set) {
  std::vector<std::uint16_t> columns;
  for (std::size_t f = 0; f < set.rows.features; ++f)
    if (set.feature_names.empty() || !parse_step(set.feature_names[f])) columns.push_back(static_cast<std::uint16_t>(f));
  return columns;
}

}  // namespace nacelle::trainer
