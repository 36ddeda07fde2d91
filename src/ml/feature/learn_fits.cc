// Learning the features "life.1", "life.2", ...: ridge regressions of remaining life on all other features. Why:
// docs/decisions/0274.

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "ml/feature/detail/tables.h"

namespace nacelle::feature {

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// So many rows say enough; of more, every so manieth is taken.
constexpr std::size_t most_rows = 20'000;
/// Histories that begin late are no longer than these, one of each length for every engine: a long one is much like a whole life.
constexpr std::size_t late_lengths[] = {200, 60, 60};
constexpr std::size_t late_stride = 4;
/// Of a variance of 1. Chosen by cross-validation, docs/decisions/0274.
constexpr double ridge = 0.05;
/// A feature whose spread is below this part of its level is constant, up to rounding.
constexpr double constant_spread = 1e-9;

struct FitRows {
  MatrixXd features;  ///< [rows][fit_inputs]
  VectorXd rul;
};

/// Some readings of an engine, as if they were all. Engines whose count is known: whole lives, which serve late joins as well as
/// rows of their own did. Others: histories that begin anywhere.
struct History {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::vector<History> histories_of(const Pipeline::TrainingRows& rows, bool counted) {
  std::vector<History> all;
  for (std::size_t e = 0; e + 1 < rows.engine_begin.size(); ++e) {
    const std::size_t begin = rows.engine_begin[e], end = rows.engine_begin[e + 1];
    if (counted) {
      all.push_back({begin, end});
      continue;
    }
    // Begun at places spread evenly over life, others for every engine: multiples of the golden ratio.
    for (std::size_t h = 0; h < std::size(late_lengths); ++h) {
      const double place = 0.6180339887498949 * static_cast<double>(e * std::size(late_lengths) + h + 1);
      const auto first = begin + static_cast<std::size_t>((place - std::floor(place)) * static_cast<double>(end - begin));
      all.push_back({first, std::min(end, first + late_lengths[h])});
    }
  }
  return all;
}

Result<FitRows> take_rows(const Pipeline& pipeline, const Pipeline::TrainingRows& rows, bool counted) {
  const std::vector<History> histories = histories_of(rows, counted);
  std::size_t readings = 0;
  for (const History& history : histories) readings += history.end - history.begin;
  const std::size_t stride = std::max(counted ? 1 : late_stride, readings / most_rows + 1);
  const std::size_t inputs = pipeline.feature_count();
  std::vector<float> row(inputs), taken;
  std::vector<double> values(rows.inputs.size()), rul;
  for (const History& history : histories) {
    EngineState state;
    for (std::size_t r = history.begin; r < history.end; ++r) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = rows.inputs[i][r];
      TRY(pipeline.step(state, counted ? rows.cycle[r] : 0, values, row));
      if ((r - history.begin) % stride != 0) continue;
      taken.insert(taken.end(), row.begin(), row.end());
      rul.push_back(rows.rul[r]);
    }
  }
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return FitRows{
      Eigen::Map<const RowMajor>(taken.data(), static_cast<Index>(rul.size()), static_cast<Index>(inputs)).cast<double>(),
      Eigen::Map<const VectorXd>(rul.data(), static_cast<Index>(rul.size()))};
}

void learn_scales(const FitRows& rows, const Pipeline::Tables& tables, Fits& fits) {
  for (Index f = 0; f < rows.features.cols(); ++f) {
    const double centre = rows.features.col(f).mean();
    const double spread = std::sqrt((rows.features.col(f).array() - centre).square().mean());
    // A sequence says again what the windows say.
    const bool read = spread > constant_spread * std::max(1.0, std::abs(centre)) &&
                      tables.feature_names[static_cast<std::size_t>(f)].find(".step") == std::string::npos;
    fits.centre.push_back(centre);
    fits.scale.push_back(read ? 1 / spread : 0);
  }
}

Result<Fits> fit(const FitRows& rows, const Pipeline::Tables& tables) {
  Fits fits;
  learn_scales(rows, tables, fits);
  const std::size_t terms = tables.fit_terms();
  MatrixXd z(rows.features.rows(), static_cast<Index>(terms));
  std::vector<float> row(tables.fit_inputs);
  std::vector<double> of_row(terms);
  for (Index r = 0; r < z.rows(); ++r) {
    for (std::size_t f = 0; f < row.size(); ++f) row[f] = static_cast<float>(rows.features(r, static_cast<Index>(f)));
    write_fit_terms(tables, fits, row.data(), of_row.data());
    z.row(r) = Eigen::Map<const Eigen::RowVectorXd>(of_row.data(), z.cols());
  }
  const Eigen::RowVectorXd means = z.colwise().mean();
  z.rowwise() -= means;
  MatrixXd gram = z.transpose() * z;
  gram.diagonal().array() += ridge * static_cast<double>(z.rows());
  const Eigen::LDLT<MatrixXd> solver(gram);
  const std::size_t count = tables.recipe.life_fits;
  for (std::size_t k = 1; k <= count; ++k) {
    const double cap = tables.recipe.rul_cap * static_cast<double>(k) / static_cast<double>(count);
    const VectorXd target = rows.rul.array().min(cap).matrix();
    const VectorXd weights = solver.solve(z.transpose() * (target.array() - target.mean()).matrix());
    if (solver.info() != Eigen::Success || !weights.allFinite())
      return fail(Fault::invalid_input, "feature pipeline: the fitted lives have no solution");
    fits.weight.insert(fits.weight.end(), weights.begin(), weights.end());
    fits.base.push_back(target.mean() - means.dot(weights));
  }
  return fits;
}

}  // namespace

Result<> learn_fits(const Pipeline& without, const Pipeline::TrainingRows& rows, Pipeline::Tables& tables) {
  tables.choose_curved();
  for (const bool counted : {true, false}) {
    if (!counted && !tables.recipe.joined) break;
    TRY_LET(const FitRows taken, take_rows(without, rows, counted));
    TRY_LET(Fits fits, fit(taken, tables));
    tables.fits.push_back(std::move(fits));
  }
  return {};
}

}  // namespace nacelle::feature
