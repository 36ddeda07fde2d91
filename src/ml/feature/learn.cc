// Learning a Pipeline's tables from training engines. Sums are taken in row order: the same data give the same bits.

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ml/feature/detail/regimes.h"
#include "ml/feature/detail/tables.h"

namespace nacelle::feature {

namespace {

using Rows = Pipeline::TrainingRows;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Fewer rows than this say nothing about a regime's spread.
constexpr std::size_t min_regime_rows = 10;
/// A sensor whose spread is below this part of its level is constant, up to rounding.
constexpr double constant_spread = 1e-9;

/// Each row's settings, silent ones held, [rows][settings]; before any was heard an engine's settings are NaN.
std::vector<double> held_settings(const Rows& rows, std::size_t settings) {
  std::vector<double> held(rows.row_count * settings);
  for (std::size_t e = 0; e + 1 < rows.engine_begin.size(); ++e)
    for (std::size_t row = rows.engine_begin[e]; row < rows.engine_begin[e + 1]; ++row)
      for (std::size_t s = 0; s < settings; ++s) {
        const double value = rows.inputs[s][row];
        const bool first = row == rows.engine_begin[e];
        held[row * settings + s] =
            std::isfinite(value) ? value : (first ? std::numeric_limits<double>::quiet_NaN() : held[(row - 1) * settings + s]);
      }
  return held;
}

std::vector<std::size_t> assign_regimes(const Rows& rows, const std::vector<double>& held, const Pipeline::Tables& tables) {
  const std::size_t settings = tables.settings();
  std::vector<std::size_t> regime(rows.row_count);
  for (std::size_t row = 0; row < rows.row_count; ++row) {
    const double* values = held.data() + row * settings;
    const bool told = std::all_of(values, values + settings, [](double v) { return std::isfinite(v); });
    regime[row] = told ? tables.regime_of(values) : 0;
  }
  return regime;
}

struct Standard {
  std::vector<double> mean;            ///< [regimes]
  std::vector<double> inverse_spread;  ///< [regimes]
};

Standard learn_standard(std::span<const double> column, const std::vector<std::size_t>& regime, std::size_t regimes) {
  std::vector<double> sum(regimes), squares(regimes);
  std::vector<std::size_t> count(regimes);
  for (std::size_t row = 0; row < column.size(); ++row)
    if (std::isfinite(column[row])) sum[regime[row]] += column[row], ++count[regime[row]];
  Standard standard{std::vector<double>(regimes), std::vector<double>(regimes)};
  for (std::size_t r = 0; r < regimes; ++r)
    if (count[r] > 0) standard.mean[r] = sum[r] / static_cast<double>(count[r]);
  for (std::size_t row = 0; row < column.size(); ++row)
    if (std::isfinite(column[row]))
      squares[regime[row]] += (column[row] - standard.mean[regime[row]]) * (column[row] - standard.mean[regime[row]]);
  for (std::size_t r = 0; r < regimes; ++r) {
    if (count[r] < min_regime_rows) continue;
    const double spread = std::sqrt(squares[r] / static_cast<double>(count[r]));
    if (spread > constant_spread * std::max(1.0, std::abs(standard.mean[r]))) standard.inverse_spread[r] = 1 / spread;
  }
  return standard;
}

/// z-scores of one sensor over all rows, silent values held: what would estimate them is not learned yet.
std::vector<double> z_scores(std::span<const double> column, const std::vector<std::size_t>& regime, const Standard& standard,
                             const Rows& rows) {
  std::vector<double> z(column.size());
  for (std::size_t e = 0; e + 1 < rows.engine_begin.size(); ++e) {
    double held = 0;
    for (std::size_t row = rows.engine_begin[e]; row < rows.engine_begin[e + 1]; ++row) {
      const double scale = standard.inverse_spread[regime[row]];
      if (std::isfinite(column[row]))
        held = scale == 0 ? 0 : std::clamp((column[row] - standard.mean[regime[row]]) * scale, -max_z, max_z);
      z[row] = held;
    }
  }
  return z;
}

/// Rows of one engine of which the first and the last stretch are compared.
struct Life {
  std::size_t begin;
  std::size_t end;
};

/// Engines that are seen to near their end; if they are too few, all: late drift is then what there is.
std::vector<Life> whole_lives(const Rows& rows, std::size_t near_end) {
  std::vector<Life> whole, all;
  for (std::size_t e = 0; e + 1 < rows.engine_begin.size(); ++e) {
    const Life life{rows.engine_begin[e], rows.engine_begin[e + 1]};
    if (life.end - life.begin < 2) continue;
    all.push_back(life);
    if (rows.rul[life.end - 1] <= static_cast<double>(near_end)) whole.push_back(life);
  }
  return whole.size() >= 5 ? whole : all;
}

/// Mean of the last `cycles` values less the mean of the first ones.
double drift_of(const double* z, const Life& life, std::size_t cycles) {
  const std::size_t length = std::min(cycles, (life.end - life.begin) / 2);
  const double first = std::accumulate(z + life.begin, z + life.begin + length, 0.0);
  const double last = std::accumulate(z + life.end - length, z + life.end, 0.0);
  return (last - first) / static_cast<double>(length);
}

/// Ridge regression of capped RUL on the z-scores: its weights are the health index.
Result<VectorXd> learn_health_index(const MatrixXd& z, const Rows& rows, const Recipe& recipe) {
  VectorXd target(static_cast<Eigen::Index>(rows.row_count));
  for (std::size_t row = 0; row < rows.row_count; ++row)
    target[static_cast<Eigen::Index>(row)] = std::min(rows.rul[row], recipe.rul_cap);
  target.array() -= target.mean();
  const Eigen::RowVectorXd centre = z.colwise().mean();
  const MatrixXd centred = z.rowwise() - centre;
  MatrixXd gram = centred.transpose() * centred;
  gram.diagonal().array() += recipe.fusion_ridge;
  const Eigen::LDLT<MatrixXd> solver(gram);
  const VectorXd weights = solver.solve(centred.transpose() * target);
  if (solver.info() != Eigen::Success || !weights.allFinite())
    return fail(Fault::invalid_input, "feature pipeline: the health index has no solution; is fusion_ridge 0?");
  return weights;
}

/// Weights of the other sensors in the estimate of each: the conditional mean of a normal distribution, from the inverse of the
/// second moment. The ridge keeps sensors that say the same from cancelling each other.
std::vector<double> learn_coupling(const MatrixXd& z) {
  constexpr double ridge = 0.1;  // of a variance of 1
  MatrixXd moment = z.transpose() * z / static_cast<double>(z.rows());
  moment.diagonal().array() += ridge;
  const MatrixXd precision = moment.ldlt().solve(MatrixXd::Identity(z.cols(), z.cols()));
  std::vector<double> weights;
  for (Eigen::Index k = 0; k < z.cols(); ++k)
    for (Eigen::Index j = 0; j < z.cols(); ++j) weights.push_back(j == k ? 0 : -precision(k, j) / precision(k, k));
  return weights;
}

/// The longest run of readings of an engine that tell the same value. A few in a row happen to any rounded number.
double longest_run(std::span<const double> column, const Rows& rows) {
  constexpr std::size_t always_allowed = 3;
  std::size_t longest = always_allowed;
  for (std::size_t e = 0; e + 1 < rows.engine_begin.size(); ++e) {
    std::size_t run = 0;
    for (std::size_t row = rows.engine_begin[e]; row < rows.engine_begin[e + 1]; ++row) {
      run = row > rows.engine_begin[e] && column[row] == column[row - 1] ? run + 1 : 1;
      longest = std::max(longest, run);
    }
  }
  return static_cast<double>(longest);
}

/// The leading eigenvectors of the second moment of late-life drift; signs fixed by the largest component.
MatrixXd learn_drift_directions(const MatrixXd& drift, std::size_t wanted) {
  const MatrixXd moment = drift.transpose() * drift / static_cast<double>(drift.rows());
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(moment);
  const auto count = std::min<Eigen::Index>(static_cast<Eigen::Index>(wanted), moment.cols());
  MatrixXd directions(count, moment.cols());
  for (Eigen::Index d = 0; d < count; ++d) {
    VectorXd direction = solver.eigenvectors().col(moment.cols() - 1 - d);  // ascending eigenvalues
    Eigen::Index largest = 0;
    direction.cwiseAbs().maxCoeff(&largest);
    if (direction[largest] < 0) direction = -direction;
    directions.row(d) = direction.transpose();
  }
  return directions;
}

Result<> check(const Recipe& recipe, const Rows& rows) {
  INVARIANT(rows.inputs.size() == recipe.input_names().size(), "one column an input");
  INVARIANT(rows.rul.size() == rows.row_count && rows.cycle.size() == rows.row_count, "columns have the table's length");
  if (rows.row_count < 50 || rows.engine_begin.size() < 3)
    return fail(Fault::invalid_input,
                fmt::format("feature pipeline: expected at least 2 engines and 50 readings to learn from, found {} and {}",
                            rows.engine_begin.empty() ? 0 : rows.engine_begin.size() - 1, rows.row_count));
  return {};
}

}  // namespace

Result<Pipeline> Pipeline::learn(const Recipe& recipe, const TrainingRows& rows) {
  TRY(check(recipe, rows));
  if (recipe.identity) return identity_of(recipe);
  auto tables = std::make_shared<Tables>();
  tables->recipe = recipe;
  const std::vector<double> held = held_settings(rows, tables->settings());
  TRY(learn_regimes(held, *tables));
  const std::vector<std::size_t> regime = assign_regimes(rows, held, *tables);

  const std::vector<Life> lives = whole_lives(rows, recipe.movement_cycles);
  if (lives.empty()) return fail(Fault::invalid_input, "feature pipeline: no engine has two readings");
  std::vector<Standard> standards;
  std::vector<std::vector<double>> columns;
  for (std::size_t s = 0; s < recipe.sensors.size(); ++s) {
    const std::span<const double> column = rows.inputs[tables->settings() + s];
    Standard standard = learn_standard(column, regime, tables->regimes);
    std::vector<double> z = z_scores(column, regime, standard, rows);
    double moved = 0;
    for (const Life& life : lives) moved += std::pow(drift_of(z.data(), life, recipe.movement_cycles), 2);
    if (std::sqrt(moved / static_cast<double>(lives.size())) < recipe.min_movement) continue;
    tables->kept.push_back(s);
    if (recipe.estimate_silent) tables->longest_run.push_back(longest_run(column, rows));
    standards.push_back(std::move(standard));
    columns.push_back(std::move(z));
  }
  if (tables->kept.empty())
    return fail(Fault::invalid_input,
                fmt::format("feature pipeline: no sensor moves by {} standard deviations over life: there is no wear to learn",
                            recipe.min_movement));

  const auto kept = static_cast<Eigen::Index>(tables->kept.size());
  MatrixXd z(static_cast<Eigen::Index>(rows.row_count), kept);
  MatrixXd drift(static_cast<Eigen::Index>(lives.size()), kept);
  for (Eigen::Index k = 0; k < kept; ++k) {
    const std::vector<double>& column = columns[static_cast<std::size_t>(k)];
    z.col(k) = Eigen::Map<const VectorXd>(column.data(), static_cast<Eigen::Index>(column.size()));
    for (std::size_t l = 0; l < lives.size(); ++l)
      drift(static_cast<Eigen::Index>(l), k) = drift_of(column.data(), lives[l], recipe.drift_cycles);
  }
  for (std::size_t r = 0; r < tables->regimes; ++r)
    for (const Standard& standard : standards) {
      tables->mean.push_back(standard.mean[r]);
      tables->inverse_spread.push_back(standard.inverse_spread[r]);
    }
  if (recipe.estimate_silent) tables->coupling = learn_coupling(z);
  TRY_LET(const VectorXd health, learn_health_index(z, rows, recipe));
  const MatrixXd directions = learn_drift_directions(drift, recipe.drift_channels);
  tables->fusion.assign(health.begin(), health.end());
  for (Eigen::Index d = 0; d < directions.rows(); ++d)
    for (Eigen::Index k = 0; k < kept; ++k) tables->fusion.push_back(directions(d, k));
  tables->channels = static_cast<std::size_t>(directions.rows()) + 1;
  tables->complete();
  if (recipe.life_fits > 0) {
    const Pipeline without(std::make_shared<Tables>(*tables));
    TRY(learn_fits(without, rows, *tables));
    tables->complete();
  }
  if (tables->feature_names.size() > max_features)
    return fail(Fault::invalid_input, fmt::format("feature recipe: it makes {} features, above the limit of {}",
                                                  tables->feature_names.size(), max_features));
  return Pipeline(std::move(tables));
}

}  // namespace nacelle::feature
